"""A flag file to write to, with a pin and a split, and what tests do to it."""

import json
from pathlib import Path

from flipback.ports import FlagRef, Intent
from flipback_providers.flagfile import FlagFileWriter


REF = FlagRef(key="summarizer")
INTENT = Intent(id="i-1", actor="eve", reason="test")
BUCKET = {"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]}
DOCUMENT = {
    "$schema": "https://flagd.dev/schema/v0/flags.json",
    "metadata": {"team": "ranking"},
    "flags": {
        "other": {"state": "DISABLED", "variants": {"on": True}, "x-owner": "é"},
        "summarizer": {
            "x-note": "keep me",
            "state": "ENABLED",
            "variants": {"v1": "v1", "v2": "v2"},
            "defaultVariant": "v1",
            "targeting": {
                "if": [
                    {"$ref": "insider"},
                    "v2",
                    {"fractional": [BUCKET, ["v1", 90], ["v2", 10]]},
                ]
            },
        },
    },
    "$evaluators": {"insider": {"==": [{"var": "targetingKey"}, "insider"]}},
}


def flag_in(path: Path) -> dict[str, object]:
    found = json.loads(path.read_text())["flags"]["summarizer"]
    assert isinstance(found, dict)
    return found


def ramp(writer: FlagFileWriter, share: int, ref: FlagRef = REF) -> None:
    expect = writer.read(ref).version
    split = {"v1": 100_000 - share, "v2": share}
    writer.set_split(ref, split, expect=expect, intent=INTENT)
