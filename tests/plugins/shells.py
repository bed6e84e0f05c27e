"""A project on disk and a shell in it, for tests of the command line."""

import json
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from flipback.cli import ExitCode, main


PLAN = """
    route = "summarizer"
    flag = "summarizer-model"
    control = "v1"
    candidate = "v2"
    [cohorts]
    plan = ["free", "enterprise"]
    [[stages]]
    weight = 25
    [[guardrails]]
    metric = "error"
    fails_on = "increase"
    tolerance = 0.2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a configuration, a plan and a flag file, and a shell in it."""

    root: Path
    capture: pytest.CaptureFixture[str]

    def run(self, *argv: str) -> Said:
        """Run a command as a shell would."""
        self.capture.readouterr()
        code = main(argv)
        said = self.capture.readouterr()
        assert "Traceback" not in said.err
        return Said(code=ExitCode(code), out=said.out, err=said.err)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text))

    def plan(self, name: str, **changes: str) -> None:
        text = dedent(PLAN)
        for key, value in changes.items():
            old = next(line for line in text.splitlines() if line.startswith(key))
            text = text.replace(old, f'{key} = "{value}"')
        self.write(f"rollouts/{name}.toml", text)

    def flag(self, key: str, **variants: object) -> None:
        names = list(variants)
        split = [[name, 100 // len(names)] for name in names]
        flag = {
            "state": "ENABLED",
            "variants": variants,
            "defaultVariant": names[0],
            "targeting": {"fractional": split},
        }
        path = self.root / "flags.flagd.json"
        flags = json.loads(path.read_text())["flags"] if path.exists() else {}
        path.write_text(json.dumps({"flags": {**flags, key: flag}}))
