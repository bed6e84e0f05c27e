"""A move is one record and one split, whatever dies or is edited in between."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from typing_extensions import override

from flipback.config import flag_ref
from flipback.control import Moves, Order, in_force
from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import (
    SCALE,
    EntryKind,
    FlagChange,
    FlagRef,
    Intent,
    Version,
)
from flipback.rollout import By, Move, MoveRefused, Phase, RolloutRecord
from flipback.steering import NextMove, first, onward
from projects import FLAG, ROUTE, CreateProject, Project
from troubles import Control, TroubledWriter


Build = Callable[..., Control]
TENTH = {"v1": 90_000, "v2": 10_000}
HALF = {"v1": 50_000, "v2": 50_000}
ALL_CONTROL = {"v1": 100, "v2": 0}


@pytest.fixture
def folder(project: CreateProject) -> Project:
    return project(split=ALL_CONTROL)


class DiedError(BaseException):
    """What a kill -9 looks like to a process that lives on."""


class Dying(TroubledWriter):
    """Dies before or after it has written a split, or says that it does not know."""

    before = False
    after: BaseException | None = None
    splits = 0

    @override
    def set_split(
        self,
        ref: FlagRef,
        split: Mapping[str, int],
        *,
        expect: Version,
        intent: Intent,
    ) -> FlagChange:
        if self.before:
            raise DiedError
        self.splits += 1
        change = super().set_split(ref, split, expect=expect, intent=intent)
        if self.after is not None:
            raise self.after
        return change


def moves_of(control: Control, **trouble: object) -> Moves:
    writer = Dying(control.project.flags)
    for name, value in trouble.items():
        setattr(writer, name, value)
    control.writer = writer
    return Moves(replace(control.ground, writer=writer))


def order(control: Control, move: NextMove | None = None) -> Order:
    plan = control.ground.plans[ROUTE]
    record = control.ground.store.rollout(ROUTE)
    return Order(
        plan=plan, record=record, move=move or first(plan), actor="ada", why="so be it"
    )


def started(control: Control) -> RolloutRecord:
    return moves_of(control).carry_out(order(control)).record


def split_of(control: Control) -> Mapping[str, int]:
    return in_force(control.writer.read(flag_ref(control.ground.plans[ROUTE])))


def settled(control: Control) -> RolloutRecord:
    plan = control.ground.plans[ROUTE]
    record = control.ground.store.rollout(ROUTE)
    return moves_of(control).settle(plan, record, None)


def test_a_start_writes_the_first_stage_and_remembers_it(control: Build) -> None:
    process = control()
    record = started(process)
    assert (record.phase, record.stage, record.attempt) == (Phase.CANARY, 0, 1)
    assert (record.split, record.pending) == (TENTH, {})
    assert split_of(process) == TENTH
    [entry] = process.ground.ledger.entries()
    assert (entry.kind, entry.actor, entry.stage) == (EntryKind.START, "ada", 0)
    assert entry.before
    assert entry.before != entry.after


def test_a_process_that_dies_before_the_flag_was_written_loses_nothing(
    control: Build,
) -> None:
    dying, other = control(), control()
    with pytest.raises(DiedError):
        moves_of(dying, before=True).carry_out(order(dying))
    assert split_of(other) == {"v1": SCALE}
    record = settled(other)
    assert (record.split, record.pending) == (TENTH, {})
    assert split_of(other) == TENTH


def test_a_move_that_somebody_else_finishes_is_in_the_ledger(control: Build) -> None:
    dying, other = control(), control()
    with pytest.raises(DiedError):
        moves_of(dying, before=True).carry_out(order(dying))
    settled(other)
    [entry] = other.ground.ledger.entries()
    assert (entry.kind, entry.actor, entry.stage) == (EntryKind.FLAG_WRITE, "ada", 0)
    assert entry.note == "stage 1, left pending and finished: so be it"
    assert entry.before != entry.after


@pytest.mark.parametrize(
    "lost",
    [DiedError(), FlagWriteError("no answer", kind=FlagProblem.UNAVAILABLE)],
    ids=["died", "answer lost"],
)
def test_a_split_that_was_written_is_not_written_again(
    control: Build, lost: BaseException
) -> None:
    dying, other = control(), control()
    try:
        outcome = moves_of(dying, after=lost).carry_out(order(dying))
        assert outcome.pending == "no answer"
    except DiedError:
        pass
    record = settled(other)
    assert (record.split, record.pending) == (TENTH, {})
    assert (split_of(other), other.writer.splits) == (TENTH, 0)


def test_a_person_who_edits_while_a_split_is_pending_wins(control: Build) -> None:
    dying, other = control(), control()
    with pytest.raises(DiedError):
        moves_of(dying, before=True).carry_out(order(dying))
    _edit(other, {"v1": 70_000, "v2": 30_000})
    record = settled(other)
    assert (record.phase, record.resumes) == (Phase.PAUSED, Phase.CANARY)
    assert record.split == {"v1": 70_000, "v2": 30_000}
    assert split_of(other) == {"v1": 70_000, "v2": 30_000}
    assert other.ground.ledger.entries()[-1].kind is EntryKind.PAUSE


def test_an_edit_of_another_rule_in_the_same_moment_is_no_edit_of_the_split(
    control: Build,
) -> None:
    process = control()
    meddled = _Meddled(process.project.flags)
    meddled.project = process.project
    moves = Moves(replace(process.ground, writer=meddled))
    outcome = moves.carry_out(order(process))
    assert outcome.pending
    assert outcome.record.phase is Phase.CANARY
    record = settled(process)
    assert (record.phase, split_of(process)) == (Phase.CANARY, TENTH)


def test_a_killed_route_is_never_ramped_by_a_process_that_missed_the_kill(
    control: Build,
) -> None:
    zombie, other = control(), control()
    record = started(zombie)
    asked = onward(zombie.ground.plans[ROUTE], record, by=By.PLAN, why="late")
    other.switch.refresh()
    other.switch.kill(ROUTE, intent=Intent(id="i", actor="bob", reason="bad"))
    with pytest.raises(MoveRefused, match="rolled back"):
        moves_of(zombie).carry_out(order(zombie, asked))
    assert zombie.writer.splits == 0
    assert zombie.ground.store.rollout(ROUTE) == record


def test_a_kill_between_record_and_flag_stops_the_split(control: Build) -> None:
    dying, other = control(), control()
    with pytest.raises(DiedError):
        moves_of(dying, before=True).carry_out(order(dying))
    other.switch.refresh()
    other.switch.kill(ROUTE, intent=Intent(id="i", actor="bob", reason="bad"))
    with pytest.raises(MoveRefused):
        settled(dying)
    assert split_of(other) == {}


def test_of_two_who_move_at_once_one_wins(control: Build) -> None:
    one, two = control(), control()
    mine, yours = order(one), order(two)
    moves_of(one).carry_out(mine)
    with pytest.raises(MoveRefused, match="somebody else"):
        moves_of(two).carry_out(yours)
    assert split_of(one) == TENTH


def test_a_leader_that_slept_through_its_lease_writes_neither_record_nor_flag(
    control: Build,
) -> None:
    zombie, leader = control(), control()
    record = started(zombie)
    asked = onward(zombie.ground.plans[ROUTE], record, by=By.PLAN, why="proof")
    stale = zombie.ground.store.acquire("rollout", holder="a", ttl_s=0.0)
    assert leader.ground.store.acquire("rollout", holder="b", ttl_s=60.0)
    late = replace(order(zombie, asked), lease=stale)
    with pytest.raises(MoveRefused):
        moves_of(zombie).carry_out(late)
    assert (split_of(leader), zombie.writer.splits) == (TENTH, 0)


def test_a_flag_without_a_split_names_the_way_out(control: Build) -> None:
    process = control()
    process.project.write_flag(ALL_CONTROL, targeting={})
    with pytest.raises(MoveRefused, match="flipback restore"):
        moves_of(process).carry_out(order(process))
    assert process.ground.store.rollout(ROUTE).revision == 0


def test_where_nothing_can_write_the_flag_nothing_is_recorded(control: Build) -> None:
    process = control()
    with pytest.raises(MoveRefused, match="by hand"):
        Moves(replace(process.ground, writer=None)).carry_out(order(process))
    assert process.ground.store.rollout(ROUTE).revision == 0


def test_a_second_attempt_is_counted_for_its_version(control: Build) -> None:
    process = control()
    started(process)
    process.switch.refresh()
    process.switch.kill(ROUTE, intent=Intent(id="i", actor="bob", reason="bad"))
    process.release(1)
    process.project.write_flag(ALL_CONTROL)
    record = started(process)
    assert (record.attempt, record.tries, record.trip) == (2, 2, 1)


def test_an_edit_that_nobody_has_seen_yet_is_not_written_over(control: Build) -> None:
    process = control()
    record = started(process)
    asked = onward(process.ground.plans[ROUTE], record, by=By.PLAN, why="proof")
    _edit(process, {"v1": 70_000, "v2": 30_000})
    with pytest.raises(MoveRefused, match="edited"):
        moves_of(process).carry_out(order(process, asked))
    assert split_of(process) == {"v1": 70_000, "v2": 30_000}


def test_a_paused_stage_goes_on_with_its_time(control: Build) -> None:
    process = control()
    record = started(process)
    plan = process.ground.plans[ROUTE]
    pause = NextMove(
        move=Move.PAUSE,
        by=By.PERSON,
        to=Phase.PAUSED,
        stage=0,
        weight=None,
        why="",
    )
    moves = moves_of(process)
    moves.carry_out(order(process, pause))
    resume = replace(pause, move=Move.RESUME, to=Phase.CANARY)
    going = replace(order(process, resume), found=record.split)
    resumed = moves.carry_out(going).record
    assert (resumed.phase, resumed.since) == (Phase.CANARY, record.since)
    assert resumed.plan == plan.model_dump_json()


class _Meddled(Dying):
    """Another rule of the flag is edited just before its split is written."""

    project: Project

    @override
    def set_split(
        self,
        ref: FlagRef,
        split: Mapping[str, int],
        *,
        expect: Version,
        intent: Intent,
    ) -> FlagChange:
        pinned = {
            "if": [
                {"==": [{"var": "targetingKey"}, "tester"]},
                "v2",
                {"fractional": [["v1", 100], ["v2", 0]]},
            ]
        }
        self.project.write_flag(ALL_CONTROL, targeting=pinned)
        return super().set_split(ref, split, expect=expect, intent=intent)


def _edit(control: Control, split: Mapping[str, int]) -> None:
    ref = FlagRef(key=FLAG)
    control.writer.set_split(
        ref,
        split,
        expect=control.writer.read(ref).version,
        intent=Intent(id="by hand", actor="bob", reason=""),
    )
