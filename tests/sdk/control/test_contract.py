"""Clauses of the kill contract that no single part keeps alone."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest
from typing_extensions import override

from flipback.assignment import Reason
from flipback.control import EVALUATOR, Delivered, KillSwitch, Told
from flipback.control._force import ForcedControl
from flipback.latch import Latch
from flipback.ports import FlagChange, FlagRef, Intent
from flipback.rollout import Phase, RolloutRecord
from projects import ROUTE, Project
from troubles import INTENT, Control, TroubledWriter, until


Build = Callable[..., Control]
AUTOMATIC = replace(INTENT, actor=EVALUATOR, findings=("errors doubled",))


class Racing(TroubledWriter):
    """Has no lock: a writer that hangs overwrites its first kill."""

    @override
    def kill(
        self, ref: FlagRef, *, control: str, intent: Intent, cohort: str | None = None
    ) -> FlagChange:
        change = super().kill(ref, control=control, intent=intent, cohort=cohort)
        return replace(change, raced=True)


def switch_of(process: Control, told: list[Told]) -> KillSwitch:
    ground = replace(process.ground, tell=told.append)
    switch = KillSwitch(ground, ForcedControl({}, process.settings.force_control_file))
    switch.refresh()
    return switch


def change(folder: Project, statement: str) -> None:
    with closing(sqlite3.connect(folder.store)) as db, db:
        db.execute(statement)


def test_a_kill_that_its_process_told_nobody_of_is_told_by_the_next(
    control: Build,
) -> None:
    at = "2026-01-01T00:00:00+00:00"
    died, told = control(), list[Told]()
    floor = Latch(route=ROUTE)
    died.ground.ledger.kill(ROUTE, intent=AUTOMATIC, at=at, floor=floor)
    switch = switch_of(control(), told)
    switch.resume()
    switch.resume()
    switch.stop()
    [trip] = told
    assert (trip.event, trip.route, trip.at) == ("trip", ROUTE, at)
    assert trip.facts["automatic"] is True
    assert trip.facts["findings"] == "errors doubled"


def test_who_kills_and_who_takes_it_up_tell_the_same_thing(control: Build) -> None:
    told = list[Told](), list[Told]()
    killer, other = (switch_of(control(), each) for each in told)
    killer.kill(ROUTE, intent=AUTOMATIC, automatic=True)
    other.refresh()
    other.resume()
    killer.stop()
    other.stop()
    assert told[0] == told[1] != []


def test_a_release_is_taken_up_without_a_word(control: Build) -> None:
    told, process = list[Told](), control()
    process.switch.refresh()
    process.switch.kill(ROUTE, intent=INTENT)
    process.release(1)
    switch = switch_of(control(), told)
    switch.resume()
    switch.stop()
    assert told == []


@pytest.mark.parametrize(
    "record", ["'[]'", "'{broken'", "json_set(record, '$.\"phase\"', 'levitating')"]
)
def test_a_record_that_nobody_can_read_keeps_no_kill_from_being_obeyed(
    record: str, control: Build, folder: Project
) -> None:
    process, other = control(), control()
    process.ground.store.replace_rollout(
        RolloutRecord(route=ROUTE, revision=1, phase=Phase.CANARY), lease=None
    )
    change(folder, f"UPDATE rollouts SET record = {record}")  # noqa: S608 - our own
    process.switch.refresh()
    assert process.override is None
    other.switch.refresh()
    other.switch.kill(ROUTE, intent=INTENT)
    process.ground.ledger.latches = dict  # type: ignore[method-assign]  # store alone
    process.switch.refresh()
    assert process.override is Reason.KILLED
    assert "upgrade flipback" in process.faults


def test_a_record_that_nobody_can_read_hides_no_other(
    control: Build, folder: Project
) -> None:
    process = control()
    mine = RolloutRecord(route=ROUTE, revision=1, attempt=3, phase=Phase.CANARY)
    store = process.ground.store
    store.replace_rollout(mine, lease=None)
    store.replace_rollout(replace(mine, route="other"), lease=None)
    change(folder, "UPDATE rollouts SET record = '[]' WHERE route = 'other'")
    process.switch.refresh()
    assert process.switch.records[ROUTE] == mine


def test_a_kill_that_a_hanging_writer_overwrites_is_sent_again(
    control: Build, folder: Project
) -> None:
    process = control(writer=Racing(folder.flags))
    process.switch.refresh()
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert (report.flag, report.complete) == (Delivered.PENDING, False)
    assert "may overwrite it" in report.problem
    folder.write_flag({"v1": 50, "v2": 50})
    noted = "reached the flag service"

    def arrived() -> bool:
        return any(noted in e.note for e in process.ground.ledger.entries())

    assert until(arrived)
    assert '"targeting": {}' in folder.flags.read_text()


def test_a_person_kills_while_the_guard_runs_dry(
    project: Callable[..., Project],
) -> None:
    folder = project(guard={"run": "manual", "dry_run": True})
    process = Control(folder)
    process.switch.refresh()
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert (report.complete, process.override) == (True, Reason.KILLED)
    process.close()
    assert '"targeting": {}' in folder.flags.read_text()
