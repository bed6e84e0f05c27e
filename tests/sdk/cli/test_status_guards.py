"""Whether anybody looks after a route is told apart from who serves it."""

from dataclasses import replace

import pytest
from tests.sdk.cli.test_status_rendering import status

from flipback.cli._status_json import status_json
from flipback.cli._status_text import status_text
from flipback.config import GuardRun, GuardSettings
from flipback.ports import ProcessRecord


APP = ProcessRecord(id="a", host="web-1", pid=1, seen_at=0.0, trips={"support": 0})
GUARD = replace(APP, id="g", pid=2, serves=False, guards=True, leads=("support",))
ELSEWHERE = GuardSettings(run=GuardRun.ELSEWHERE)


def told(*processes: ProcessRecord, guard: GuardSettings | None = None) -> str:
    guards = sum(process.guards for process in processes)
    route = replace(status(), processes=processes, guards=guards)
    return status_text(route, guard)


@pytest.mark.parametrize(
    ("processes", "guard", "missing"),
    [
        ([], None, False),
        ([], ELSEWHERE, True),
        ([APP], None, True),
        ([APP], ELSEWHERE, True),
        ([APP, GUARD], ELSEWHERE, False),
        ([APP], GuardSettings(dry_run=True), False),
    ],
)
def test_that_nobody_guards_is_told_where_it_matters(
    processes: list[ProcessRecord], guard: GuardSettings | None, *, missing: bool
) -> None:
    assert ("NONE RUNS" in told(*processes, guard=guard)) is missing


def test_applications_and_guards_are_counted_apart() -> None:
    assert "  processes  1 running, 1 guard\n" in told(APP, GUARD)
    assert "  processes  no application is running, 1 guard\n" in told(GUARD)


def test_programs_are_told_who_guards_and_who_leads() -> None:
    route = replace(status(), processes=(GUARD,), guards=1, leader="web-1:2")
    said = status_json(route)
    assert (said["guards"], said["leader"]) == (1, "web-1:2")
