"""A project with a drill flag in its flag file, and who drills it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from flipback.app import Driller
from flipback.config import load_settings
from flipback.ports import Clock
from projects import CreateProject, Project


DRILL_FLAG = "drill-me"
FLAG: dict[str, object] = {
    "state": "ENABLED",
    "variants": {"control": "control", "candidate": "candidate"},
    "defaultVariant": "control",
    "x-owner": "sre",
    "targeting": {"fractional": [["control", 95], ["candidate", 5]]},
}


def drillable(project: CreateProject, **toml: object) -> Project:
    """Create a project whose configuration and flag file have a drill flag."""
    folder = project(drill_flag=DRILL_FLAG, **toml)
    put_flag(folder, FLAG)
    return folder


def put_flag(folder: Project, flag: dict[str, object] | None) -> None:
    """Replace the drill flag, or take it away."""
    document = json.loads(folder.flags.read_text())
    document["flags"].pop(DRILL_FLAG, None)
    if flag is not None:
        document["flags"][DRILL_FLAG] = flag
    fresh = folder.flags.with_suffix(".new")
    fresh.write_text(json.dumps(document, indent=2))
    fresh.replace(folder.flags)


def flags(folder: Project) -> dict[str, object]:
    """Return all flags as the file has them."""
    found = json.loads(folder.flags.read_text())["flags"]
    assert isinstance(found, dict)
    return found


@contextmanager
def driller(folder: Project, clock: Clock | None = None) -> Iterator[Driller]:
    """Open what drills, and close it."""
    opened = Driller.open(load_settings(folder.config), clock=clock)
    try:
        yield opened
    finally:
        opened.close()
