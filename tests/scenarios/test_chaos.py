"""Whatever dies at whatever step: one trip, obeyed, told and verified."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import striking
from workers import TESTS


pytestmark = pytest.mark.long
Became = Mapping[str, Any]
EVERYBODY = 3000


def chaos(folder: Path, *kinds: str) -> Sequence[Became]:
    """Return what became of each case of these kinds."""
    places = [TESTS / "plugins", TESTS / "scenarios"]
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, TESTS / "scenarios" / "chaos.py", folder, *kinds],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-5000:]
    return [json.loads(line) for line in ran.stdout.splitlines()]


def steps(cases: Sequence[Became], kind: str) -> Sequence[str]:
    return sorted(case["step"] for case in cases if case["kind"] == kind)


def hold_the_contract(cases: Sequence[Became]) -> None:
    for case in cases:
        assert case["struck"], case
        assert case["settled"], case  # all processes that live obey, and all is told
        assert case["verified"] == 0, case
        assert case["entries"].count("kill") == 1, case
        assert (case["served"], case["reason"]) == ({"v1": 100}, "killed"), case
        assert "served     v1: killed" in case["status"], case
        assert "killed     trip 1, since" in case["status"], case
        assert "release    flipback release support --trip 1" in case["status"], case


def reach_the_flag(cases: Sequence[Became]) -> None:
    for case in cases:
        assert case["offered"] == {"v1": EVERYBODY}, case
        assert "offered    v1 to everybody, no split" in case["status"], case


@pytest.mark.parametrize("dead", [("guard", "both"), ("application", "own guard")])
def test_a_kill_9_at_any_step_of_a_trip_leaves_one_trip_that_everybody_obeys(
    dead: tuple[str, str], tmp_path: Path
) -> None:
    cases = chaos(tmp_path, *dead)
    for kind in dead:
        assert steps(cases, kind) == striking.TRIP
    hold_the_contract(cases)
    reach_the_flag(cases)


def test_a_clock_that_is_set_by_an_hour_amid_a_trip_changes_nothing(
    tmp_path: Path,
) -> None:
    cases = chaos(tmp_path, "forward", "back")
    hold_the_contract(cases)
    reach_the_flag(cases)


def test_two_guards_that_find_the_same_harm_at_once_make_one_trip(
    tmp_path: Path,
) -> None:
    cases = chaos(tmp_path, "two guards")
    assert any(case["met"] for case in cases)
    hold_the_contract(cases)
    reach_the_flag(cases)


def test_a_flag_that_may_not_be_written_is_killed_once_it_may(tmp_path: Path) -> None:
    (case,) = chaos(tmp_path, "read-only")
    before = case["before"]
    hold_the_contract([{**before, "settled": True}, case])
    reach_the_flag([case])
    assert before["offered"]["v2"] > 0
    assert "offered    v1 90 %, v2 10 %" in before["status"]
    assert {"trip", "blocked"} <= {*before["told"]}


def test_a_kill_9_at_any_step_of_a_move_is_finished_by_the_next_guard(
    tmp_path: Path,
) -> None:
    cases = chaos(tmp_path, "dies")
    assert steps(cases, "dies") == striking.MOVE
    for case in cases:
        assert case["struck"], case
        assert case["settled"], case
        assert case["verified"] == 0, case
        assert case["split"] == {"v1": 50_000, "v2": 50_000}, case
        assert case["offered"]["v2"] == pytest.approx(EVERYBODY / 2, rel=0.1), case


def test_a_kill_at_any_step_of_a_move_wins_whoever_lives(tmp_path: Path) -> None:
    cases = chaos(tmp_path, "killed", "dies and killed")
    for kind in ("killed", "dies and killed"):
        assert steps(cases, kind) == striking.MOVE
    hold_the_contract(cases)
    reach_the_flag(cases)
