"""What people are told makes sense to whoever reads it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flipback.config import NotifyOn
from flipback.control._told import (
    to_the_second,
    told_of_block,
    told_of_freeze,
    told_of_hold,
    told_of_move,
    told_of_trip,
)
from flipback.latch import Latch
from flipback.rollout import By, Move, Phase, RolloutRecord
from flipback.steering import LATE, NextMove
from offices import LATCH


RECORD = RolloutRecord(route="support", attempt=2, stage=1, revision=9, actor="plan")
PAUSED = "Route support is paused and its split stays"
RELEASE = "flipback release support --trip 3 --reason '...'"


def move(kind: Move, *, weight: float | None = None, why: str = "") -> NextMove:
    return NextMove(
        move=kind, by=By.PLAN, to=Phase.CANARY, stage=1, weight=weight, why=why
    )


def test_a_kill_by_a_person_is_told_as_one() -> None:
    told = told_of_trip(replace(LATCH, actor="ada@host"), automatic=False)
    assert told.text == (
        "Route support serves control: killed by ada@host (trip 3): resolved fell; "
        f"to end it: {RELEASE}"
    )
    assert told.facts["findings"] is None


def test_findings_that_the_reason_says_already_are_not_told_twice() -> None:
    findings = (LATCH.reason, "cost rose")
    told = told_of_trip(LATCH, automatic=True, findings=findings)
    assert told.facts["findings"] == "cost rose"


def test_times_are_told_to_the_second() -> None:
    latch = replace(LATCH, at="2026-03-01T09:30:00.123456+00:00")
    assert "since 2026-03-01T09:30:00+00:00 by" in told_of_hold(latch, 1).text
    assert to_the_second("yesterday") == "yesterday"


def test_a_long_reason_leaves_room_for_the_command() -> None:
    told = told_of_trip(replace(LATCH, reason="x" * 5000), automatic=True)
    assert told.text.endswith(RELEASE)
    assert len(told.text) < 1000


def test_a_kill_of_a_cohort_says_whom_it_is_about() -> None:
    latch = Latch(route="support[plan=free]", trip=1, held=True, actor="ada")
    told = told_of_trip(latch, automatic=True)
    assert (told.route, told.facts["cohort"]) == ("support", "plan=free")
    assert told.text.startswith("Route support serves plan=free control: rolled back")


def test_a_kill_that_is_refused_says_that_control_is_served_all_the_same() -> None:
    told = told_of_block(LATCH, "approval required")
    assert told.event is NotifyOn.BLOCKED
    assert (
        "does not take the kill of route support (trip 3): approval required"
        in told.text
    )
    assert "control all the same" in told.text
    assert told.facts["release"] == RELEASE


def test_each_turn_of_a_reminder_is_a_thing_of_its_own() -> None:
    assert told_of_hold(LATCH, 1).key != told_of_hold(LATCH, 2).key


def test_a_freeze_is_told_once_a_day() -> None:
    def key(day: int, hour: int) -> str:
        at = datetime(2026, 1, day, hour, tzinfo=UTC)
        return told_of_freeze("support", f"{hour}", attempt=1, trip=0, at=at).key

    assert key(1, 1) == key(1, 23) != key(2, 1)


@pytest.mark.parametrize(
    ("asked", "event", "text"),
    [
        (
            move(Move.ADVANCE, weight=25.0, why="the gate passes"),
            NotifyOn.ADVANCE,
            "Route support came to stage 2, the candidate gets 25 %: the gate passes",
        ),
        (
            move(Move.ADVANCE, weight=0.0),
            NotifyOn.ADVANCE,
            "Route support came to stage 2, the candidate answers unseen",
        ),
        (
            move(Move.PROMOTE, weight=95.0, why="the gate passes"),
            NotifyOn.PROMOTE,
            "Route support is promoted to 95 % of subjects: the gate passes",
        ),
        (
            move(Move.PAUSE, why="edited"),
            NotifyOn.PAUSE,
            f"{PAUSED}: edited; to go on: flipback resume support",
        ),
        (
            move(Move.PAUSE, why=f"{LATE} 7d, its deadline"),
            NotifyOn.DEADLINE,
            f"{PAUSED}: {LATE} 7d, its deadline; to go on: flipback resume support",
        ),
    ],
)
def test_moves_are_told_in_one_sentence(
    asked: NextMove, event: NotifyOn, text: str
) -> None:
    told = told_of_move(RECORD, asked)
    assert told is not None
    assert (told.event, told.text) == (event, text)
    assert (told.facts["attempt"], told.facts["stage"]) == (2, 2)


@pytest.mark.parametrize(
    "kind", [Move.START, Move.RESUME, Move.ROLL_BACK, Move.FINISH, None]
)
def test_what_a_person_does_or_a_kill_tells_is_not_told_as_a_move(
    kind: Move | None,
) -> None:
    assert told_of_move(RECORD, replace(move(Move.START), move=kind)) is None
