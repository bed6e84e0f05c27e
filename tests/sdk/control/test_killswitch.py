import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from typing_extensions import override

from flipback.assignment import Reason
from flipback.control import Delivered, KillSwitch, SystemClock
from flipback.control._force import ForcedControl
from flipback.histogram import Threshold
from flipback.latch import Latch
from flipback.ports import EntryKind, Intent
from projects import ROUTE, Project
from troubles import (
    INTENT,
    OTHER_INTENT,
    PATIENCE_S,
    BlockedLedger,
    BuggyLedger,
    Control,
    InterruptedStore,
    RefusingLedger,
    until,
)


Build = Callable[..., Control]
CLOCK = SystemClock()


def kinds(control: Control) -> list[EntryKind]:
    return [entry.kind for entry in control.ground.ledger.entries()]


def test_control_serves_until_ledger_and_store_have_been_read(control: Build) -> None:
    process = control()
    assert process.override is Reason.NOT_READY
    process.switch.refresh()
    assert process.override is None


def test_a_kill_reaches_ledger_store_and_flag(control: Build, folder: Project) -> None:
    process = control()
    process.switch.refresh()
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert (report.complete, report.problem) == (True, "")
    assert process.override is Reason.KILLED
    assert kinds(process) == [EntryKind.KILL, EntryKind.FLAG_WRITE]
    assert process.ground.store.latches()[ROUTE] == report.latch
    assert '"targeting": {}' in folder.flags.read_text()


def test_the_ledger_has_a_kill_before_anybody_obeys_it(
    control: Build, folder: Project
) -> None:
    seen: list[object] = []
    ledger = BlockedLedger(folder.ledger, CLOCK)
    process = control(ledger=ledger)
    process.switch.refresh()
    killing = threading.Thread(
        target=lambda: seen.append(process.switch.kill(ROUTE, intent=INTENT))
    )
    killing.start()
    assert until(lambda: bool(ledger.threads))
    assert process.override is None
    ledger.gate.set()
    killing.join()
    assert process.override is Reason.KILLED


def test_a_ledger_that_hangs_holds_up_neither_control_nor_store_nor_flag(
    control: Build, folder: Project
) -> None:
    ledger = BlockedLedger(folder.ledger, CLOCK)
    process = control(ledger=ledger)
    process.switch.refresh()
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert not ledger.gate.is_set()
    assert process.override is Reason.KILLED
    assert (report.durable, report.stored, report.flag) == (
        False,
        True,
        Delivered.APPLIED,
    )
    assert "not durable: the ledger is slow" in report.problem
    ledger.gate.set()


def test_a_ledger_that_hangs_costs_one_thread_however_often_it_is_tried(
    control: Build, folder: Project
) -> None:
    ledger = BlockedLedger(folder.ledger, CLOCK)
    process = control(ledger=ledger)
    process.switch.refresh()
    process.switch.kill(ROUTE, intent=INTENT)
    assert until(lambda: "not delivered everywhere" in process.faults)
    ledger.gate.set()
    assert until(lambda: kinds(process) == [EntryKind.KILL, EntryKind.FLAG_WRITE])
    assert len(ledger.threads) == 1


@pytest.mark.parametrize("kind", [RefusingLedger, BuggyLedger])
def test_a_kill_that_is_not_durable_is_tried_again_until_it_is(
    control: Build, folder: Project, kind: type[RefusingLedger]
) -> None:
    ledger = kind(folder.ledger, CLOCK)
    process = control(ledger=ledger)
    process.switch.refresh()
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert (report.durable, report.stored) == (False, True)
    assert process.override is Reason.KILLED
    ledger.refuses = False
    assert until(lambda: kinds(process) == [EntryKind.KILL, EntryKind.FLAG_WRITE])
    assert ledger.latches()[ROUTE] == report.latch


def test_a_kill_while_the_store_is_down_is_kept_by_the_ledger(
    control: Build, folder: Project
) -> None:
    store = InterruptedStore(folder.store, CLOCK)
    process = control(store=store)
    process.switch.refresh()
    store.down = True
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert (report.durable, report.stored) == (True, False)
    assert "the store is down" in report.problem
    store.down = False
    assert until(lambda: store.latches().get(ROUTE) == report.latch)


def test_a_kill_outlives_a_release_that_this_process_had_not_seen(
    control: Build, folder: Project
) -> None:
    store = InterruptedStore(folder.store, CLOCK)
    process = control(ledger=RefusingLedger(folder.ledger, CLOCK), store=store)
    process.switch.refresh()
    newer = Latch(route=ROUTE, trip=4, reason="fixed", intent="long ago")
    store.put_latch(newer)
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert (report.latch.trip, report.latch.held) == (5, True)
    process.switch.refresh()
    assert process.override is Reason.KILLED


def test_a_kill_comes_after_every_trip_that_store_or_ledger_know(
    control: Build,
) -> None:
    process = control()
    process.ground.store.put_latch(Latch(route=ROUTE, trip=7, intent="long ago"))
    assert process.switch.kill(ROUTE, intent=INTENT).latch.trip == 8


def test_the_same_intent_in_two_processes_is_one_trip(control: Build) -> None:
    here, there = control(), control()
    here.switch.refresh()
    there.switch.refresh()
    trips = [
        each.switch.kill(ROUTE, intent=INTENT).latch.trip for each in (here, there)
    ]
    assert trips == [1, 1]
    assert kinds(here).count(EntryKind.KILL) == 1


def test_a_person_kills_what_is_killed_already_once_more(control: Build) -> None:
    process = control()
    process.switch.kill(ROUTE, intent=INTENT)
    assert process.switch.kill(ROUTE, intent=OTHER_INTENT).latch.trip == 2
    process.release(1)
    process.switch.refresh()
    assert process.override is Reason.KILLED
    process.release(2)
    process.switch.refresh()
    assert process.override is None


def test_another_process_obeys_by_the_ledger_alone(
    control: Build, folder: Project
) -> None:
    killer = control()
    store = InterruptedStore(folder.store, CLOCK)
    other = control(store=store)
    other.switch.refresh()
    store.down = True
    killer.switch.kill(ROUTE, intent=INTENT)
    other.switch.refresh()
    assert other.override is Reason.KILLED
    assert other.switch.trips() == {ROUTE: 1}


def test_another_process_obeys_by_the_store_alone(
    control: Build, folder: Project
) -> None:
    killer = control(ledger=RefusingLedger(folder.ledger, CLOCK))
    other = control()
    other.switch.refresh()
    killer.switch.kill(ROUTE, intent=INTENT)
    other.switch.refresh()
    assert other.override is Reason.KILLED


def test_a_latch_survives_a_restart(control: Build) -> None:
    control().switch.kill(ROUTE, intent=INTENT)
    restarted = control()
    restarted.switch.refresh()
    assert restarted.override is Reason.KILLED


@pytest.mark.parametrize("lost", ["store", "ledger"])
def test_a_kill_is_rebuilt_from_the_copy_that_is_left(
    control: Build, folder: Project, lost: str
) -> None:
    control().switch.kill(ROUTE, intent=INTENT)
    path = getattr(folder, lost)
    for file in folder.path.glob(f"{path.name}*"):
        file.unlink()
    process = control()
    process.switch.refresh()
    assert process.override is Reason.KILLED
    process.switch.resume()
    copy = process.ground.store if lost == "store" else process.ground.ledger
    assert until(lambda: copy.latches()[ROUTE].held if copy.latches() else False)


def test_a_release_is_rebuilt_from_the_copy_that_is_left(
    control: Build, folder: Project
) -> None:
    first = control()
    first.switch.kill(ROUTE, intent=INTENT)
    first.release(1)
    folder.ledger.unlink()
    process = control()
    process.switch.refresh()
    process.switch.resume()
    process.switch.resume()
    assert [entry.kind for entry in process.ground.ledger.entries()] == [
        EntryKind.RELEASE
    ]


def test_a_release_that_cannot_be_copied_is_noted(
    control: Build, folder: Project
) -> None:
    first = control()
    first.switch.kill(ROUTE, intent=INTENT)
    first.release(1)
    store = InterruptedStore(folder.store, CLOCK)
    process = control(store=store)
    process.switch.refresh()
    store.down = True
    process.switch.resume()
    assert "release not everywhere yet: the store is down" in process.faults


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("ledger", "ledger unreadable"),
        ("store", "store unreadable"),
    ],
)
def test_a_history_that_is_damaged_at_start_means_control(
    control: Build, folder: Project, broken: str, said: str
) -> None:
    control().switch.kill(ROUTE, intent=INTENT)
    path = getattr(folder, broken)
    for file in folder.path.glob(f"{path.name}-*"):
        file.unlink()
    path.write_bytes(b'{"this": "is neither"}\n' + b"x" * 8192 + b'\n{"a": 1}\n')
    process = control()
    process.switch.refresh()
    assert process.override in {Reason.KILLED, Reason.NOT_READY}
    assert said in process.faults
    assert str(path) in process.faults
    assert "Traceback" not in process.faults


def test_what_was_read_once_is_obeyed_while_the_store_is_down(
    control: Build, folder: Project
) -> None:
    store = InterruptedStore(folder.store, CLOCK)
    process = control(store=store)
    process.switch.refresh()
    store.down = True
    process.switch.refresh()
    assert process.override is None


def test_a_store_that_comes_up_late_lets_the_flag_speak(
    control: Build, folder: Project
) -> None:
    store = InterruptedStore(folder.store, CLOCK)
    store.down = True
    process = control(store=store)
    process.switch.refresh()
    assert process.override is Reason.NOT_READY
    assert "store unreadable: the store is down" in process.faults
    store.down = False
    process.switch.refresh()
    assert process.override is None


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
