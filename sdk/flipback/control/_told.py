"""What people are told, in sentences that make sense in a chat at three at night."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flipback.assignment import EVERYBODY
from flipback.config import NotifyOn
from flipback.control._commands import release_command
from flipback.latch import Latch, scope_of
from flipback.rollout import By, Move, RolloutRecord
from flipback.steering import LATE, NextMove


Fact = str | int | float | bool | None
_LONGEST_REASON = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Something that people are to be told.

    Attributes:
        event: What happened.
        route: The route that it is about.
        key: The same in every process that tells the same thing.
        text: What happened, in one sentence.
        facts: The same for programs.
        at: When it happened, as ISO 8601; empty for the time of telling.
    """

    event: NotifyOn
    route: str
    key: str
    text: str
    facts: Mapping[str, Fact] = field(default_factory=dict[str, Fact])
    at: str = ""


def told_of_trip(
    latch: Latch, *, automatic: bool, findings: Sequence[str] = ()
) -> Told:
    """Return that a kill was made, by the evaluator or by a person."""
    said = latch.reason
    did = "rolled back" if automatic else "killed"
    return Told(
        event=NotifyOn.TRIP,
        route=scope_of(latch.route).route,
        key=_of(latch),
        text=f"{_who_gets_control(latch)} control: {did} by {latch.actor} "
        f"(trip {latch.trip}): {_short(latch.reason)}; {_to_end_it(latch)}",
        facts={
            **_facts(latch),
            "automatic": automatic,
            "findings": "; ".join(found for found in findings if found not in said)
            or None,
        },
        at=latch.at,
    )


def told_of_block(latch: Latch, problem: str) -> Told:
    """Return that the flag service does not take a kill, which is obeyed anyway."""
    return Told(
        event=NotifyOn.BLOCKED,
        route=scope_of(latch.route).route,
        key=_of(latch),
        text=f"The flag service does not take the kill of {_name(latch)} (trip "
        f"{latch.trip}): {_short(problem)}; flipback serves control all the same, "
        "whoever reads the flag without it does not",
        facts={**_facts(latch), "problem": problem},
    )


def told_of_hold(latch: Latch, turn: int) -> Told:
    """Return that a kill is still held.

    Args:
        latch: The latch that is held.
        turn: Which reminder this is; the same in every process.
    """
    since = f"since {to_the_second(latch.at)} " if latch.at else ""
    return Told(
        event=NotifyOn.HELD,
        route=scope_of(latch.route).route,
        key=f"{_of(latch)}|{turn}",
        text=f"{_who_gets_control(latch, still=True)} control, held {since}by trip "
        f"{latch.trip} of {latch.actor}: {_short(latch.reason)}; {_to_end_it(latch)}",
        facts=_facts(latch),
    )


def told_of_freeze(
    route: str, why: str, *, attempt: int, trip: int, at: datetime
) -> Told:
    """Return that the data of a route cannot be trusted; told once a day at most."""
    return Told(
        event=NotifyOn.FREEZE,
        route=route,
        key=f"{route}|{attempt}|{trip}|{at.date()}",
        text=f"Route {route} is frozen, for its data cannot be trusted: {_short(why)}; "
        "nothing moves until that is repaired",
        facts={"attempt": attempt, "trip": trip, "reason": why},
        at=at.isoformat(),
    )


def told_of_move(record: RolloutRecord, move: NextMove) -> Told | None:
    """Return that a rollout was moved; None for moves that tell themselves.

    Args:
        record: Where the rollout stands after the move.
        move: The move that was made.
    """
    event = _event(move)
    if event is None:
        return None
    return Told(
        event=event,
        route=record.route,
        key=f"{record.route}|{record.attempt}|{record.revision}",
        text=f"Route {record.route} {_came_to(event, record, move)}",
        facts={
            "attempt": record.attempt,
            "stage": record.stage + 1,
            "phase": record.phase.value,
            "weight": move.weight,
            "actor": record.actor,
            "reason": move.why,
        },
    )


def to_the_second(at: str) -> str:
    """Return an ISO time without its fraction; as it was written where it is none."""
    try:
        return datetime.fromisoformat(at).replace(microsecond=0).isoformat()
    except ValueError:
        return at


def _event(move: NextMove) -> NotifyOn | None:
    match move.move:
        case Move.ADVANCE:
            return NotifyOn.ADVANCE
        case Move.PROMOTE:
            return NotifyOn.PROMOTE
        case Move.PAUSE:
            late = move.by is By.PLAN and move.why.startswith(LATE)
            return NotifyOn.DEADLINE if late else NotifyOn.PAUSE
        case Move.START | Move.RESUME | Move.ROLL_BACK | Move.FINISH | None:
            return None


def _came_to(event: NotifyOn, record: RolloutRecord, move: NextMove) -> str:
    why = f": {_short(move.why)}" if move.why else ""
    if event is NotifyOn.ADVANCE:
        share = "answers unseen" if not move.weight else f"gets {move.weight:g} %"
        return f"came to stage {record.stage + 1}, the candidate {share}{why}"
    if event is NotifyOn.PROMOTE:
        kept = "" if move.weight is None else f" to {move.weight:g} % of subjects"
        return f"is promoted{kept}{why}"
    go_on = f"flipback resume {shlex.quote(record.route)}"
    return f"is paused and its split stays{why}; to go on: {go_on}"


def _of(latch: Latch) -> str:
    return f"{latch.route}|{latch.trip}|{latch.intent}"


def _name(latch: Latch) -> str:
    route, cohort = scope_of(latch.route)
    return f"route {route}" if cohort == EVERYBODY else f"{cohort} on route {route}"


def _who_gets_control(latch: Latch, *, still: bool = False) -> str:
    route, cohort = scope_of(latch.route)
    serves = "still serves" if still else "serves"
    whom = "" if cohort == EVERYBODY else f" {cohort}"
    return f"Route {route} {serves}{whom}"


def _to_end_it(latch: Latch) -> str:
    return f"to end it: {release_command(latch.route, latch.trip)}"


def _facts(latch: Latch) -> dict[str, Fact]:
    facts: dict[str, Fact] = {
        "trip": latch.trip,
        "actor": latch.actor,
        "reason": latch.reason,
        "release": release_command(latch.route, latch.trip),
    }
    cohort = scope_of(latch.route).cohort
    return facts if cohort == EVERYBODY else {**facts, "cohort": cohort}


def _short(text: str) -> str:
    """Return text that leaves room for the command that comes after it."""
    if len(text) <= _LONGEST_REASON:
        return text
    return f"{text[: _LONGEST_REASON - 3]}..."
