"""The kill switch among bugs, delays and damage."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from typing_extensions import override

from flipback.assignment import Reason
from flipback.control import KillSwitch, SystemClock
from flipback.control._force import ForcedControl
from flipback.histogram import Threshold
from flipback.latch import Latch
from flipback.ports import EntryKind, Intent
from projects import ROUTE, Project
from troubles import (
    INTENT,
    PATIENCE_S,
    Control,
    InterruptedStore,
    until,
)


Build = Callable[..., Control]
CLOCK = SystemClock()


def kinds(control: Control) -> list[EntryKind]:
    return [entry.kind for entry in control.ground.ledger.entries()]


class StoreWithABug(InterruptedStore):
    @override
    def latches(self) -> dict[str, Latch]:
        raise ZeroDivisionError


def test_a_bug_of_a_store_keeps_nobody_from_obeying_the_ledger(
    control: Build, folder: Project
) -> None:
    control().switch.kill(ROUTE, intent=INTENT)
    process = control(store=StoreWithABug(folder.store, CLOCK))
    process.switch.refresh()
    assert process.override is Reason.KILLED


def test_a_stopped_switch_serves_control_whatever_is_read_later(
    control: Build,
) -> None:
    process = control()
    process.switch.refresh()
    process.switch.stop()
    process.switch.refresh()
    assert process.override is Reason.NOT_READY


class Dawdling(frozenset[str]):
    """Nothing is forced, but to find that out takes long the third time."""

    gate: threading.Event
    looks: int

    @override
    def __iter__(self) -> Iterator[str]:
        self.looks += 1
        if self.looks == 3:
            self.gate.wait(PATIENCE_S)
        return super().__iter__()


class DawdlingControl(ForcedControl):
    def __init__(self, names: Dawdling) -> None:
        self.names = names

    @override
    def routes(self) -> frozenset[str]:
        return self.names


def test_no_refresh_undoes_a_kill_that_comes_in_between(control: Build) -> None:
    process = control()
    names = Dawdling()
    names.gate, names.looks = threading.Event(), 0
    switch = KillSwitch(process.ground, DawdlingControl(names))
    refreshing = threading.Thread(target=switch.refresh)
    killing = threading.Thread(
        target=switch.kill, args=(ROUTE,), kwargs={"intent": INTENT}
    )
    refreshing.start()
    assert until(lambda: names.looks == 3)
    killing.start()
    killing.join(0.2)  # it would be over by now, had it not waited for the refresh
    names.gate.set()
    refreshing.join()
    killing.join()
    standing = switch.switches[ROUTE].standing
    switch.stop()
    assert (standing.trip, standing.override) == (1, Reason.KILLED)


class SlowStore(InterruptedStore):
    gate = threading.Event()

    @override
    def latches(self) -> dict[str, Latch]:
        self.gate.wait(10)
        return dict(super().latches())


def test_a_store_that_hangs_holds_up_neither_break_glass_nor_the_ledger(
    control: Build, folder: Project
) -> None:
    control().switch.kill(ROUTE, intent=INTENT)
    process = control(store=SlowStore(folder.store, CLOCK))
    reading = threading.Thread(target=process.switch.refresh)
    reading.start()
    assert until(lambda: process.override is Reason.KILLED)
    assert reading.is_alive()
    SlowStore.gate.set()
    reading.join()


def test_a_forked_switch_works_while_the_parent_holds_its_locks(
    control: Build,
) -> None:
    process = control()
    process.switch.refresh()
    process.switch.after_fork()
    assert process.switch.kill(ROUTE, intent=INTENT).complete


def test_frozen_percentiles_outlast_refreshes_and_kills(control: Build) -> None:
    process = control()
    frozen = {"latency_s": Threshold(tail=1.0, cap=2.0)}
    process.switch.refresh()
    process.switch.freeze(ROUTE, frozen)
    standing = process.switch.switches[ROUTE].standing
    process.switch.freeze(ROUTE, dict(frozen))
    process.switch.refresh()
    assert process.switch.switches[ROUTE].standing is standing
    process.switch.kill(ROUTE, intent=INTENT)
    after = process.switch.switches[ROUTE].standing
    assert (after.thresholds, after.override) == (frozen, Reason.KILLED)


@pytest.mark.parametrize("trip", ["'x'", "NULL", "1.5"])
def test_a_damaged_latch_in_the_store_opens_no_route(
    folder: Project, control: Build, trip: str
) -> None:
    first = control()
    first.switch.refresh()
    first.switch.kill(ROUTE, intent=Intent(id="i", actor="ada", reason="bad"))
    first.close()
    folder.ledger.unlink()
    with closing(sqlite3.connect(folder.store)) as db, db:
        row = f"('support[plan=x]', {trip}, 1, '', '', '', '')"
        db.execute("DROP TABLE latches")
        db.execute(
            "CREATE TABLE latches (route, trip, held, reason, actor, intent, at)"
        )
        db.execute(f"INSERT INTO latches VALUES {row}")  # noqa: S608 - our own text
    fresh = control()
    fresh.switch.refresh()
    assert fresh.override is Reason.NOT_READY
    assert "is damaged" in fresh.faults


def test_the_command_that_frees_a_kill_can_be_pasted_whatever_the_names_are(
    control: Build, caplog: pytest.LogCaptureFixture
) -> None:
    process = control()
    process.switch.refresh()
    intent = Intent(id="i", actor="ada\nroute forged", reason="bad\nworse")
    process.switch.kill(f"{ROUTE}[plan=it's $(x)]", intent=intent)
    said = caplog.messages[-1]
    assert "\n" not in said
    assert "flipback release 'support[plan=it'\"'\"'s $(x)]' --trip 1" in said
