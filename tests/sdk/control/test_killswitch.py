import threading
from collections.abc import Callable

import pytest

from flipback.assignment import Reason
from flipback.control import Delivered, SystemClock
from flipback.latch import Latch
from flipback.ports import EntryKind
from projects import ROUTE, Project
from troubles import (
    INTENT,
    OTHER_INTENT,
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
