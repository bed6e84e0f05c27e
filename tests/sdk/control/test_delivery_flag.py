"""What a delivery does to the flag, confirms, notes and says."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from flipback.control import Delivered, KillReport, SystemClock
from flipback.control._appender import Appender
from flipback.control._delivery import Delivery
from flipback.control._pause import pause_s
from flipback.errors import FlagProblem, FlagWriteError, LedgerError
from flipback.latch import Latch, scoped
from flipback.ports import (
    Capabilities,
    EntryKind,
    FlagChange,
    FlagRef,
    FlagState,
    Ledger,
    LedgerEntry,
    LedgerNote,
)
from flipback.stores import FileLedger
from projects import FLAG, ROUTE, Project
from troubles import INTENT, Control, TroubledWriter, refusal, until


Build = Callable[..., Control]
COHORT = scoped(ROUTE, "plan=enterprise")


class Writer(TroubledWriter):
    """Can be told what it cannot do, and what reads show instead."""

    cohorts = True
    shown: Callable[[FlagState], FlagState] = staticmethod(lambda state: state)

    @property
    @override
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, cohorts=self.cohorts)

    @override
    def read(self, ref: FlagRef) -> FlagState:
        return self.shown(super().read(ref))


@dataclass
class Sender:
    """One process's delivery of kills."""

    process: Control
    writer: Writer
    ledger: Ledger
    failures: list[str] = field(default_factory=list)
    blocks: list[tuple[str, int, str]] = field(default_factory=list)
    held: bool = True

    def __post_init__(self) -> None:
        self.delivery = Delivery(
            ledger=self.ledger,
            appender=Appender(self.ledger, patience_s=10),
            store=self.process.ground.store,
            writer=self.writer,
            still_held=lambda _: self.held,
            failed=lambda _, problem: self.failures.append(problem),
            blocked=self.block,
        )
        self.plan = self.process.ground.plans[ROUTE]

    def block(self, latch: Latch, problem: str) -> None:
        self.blocks.append((latch.route, latch.trip, problem))

    def send(self, report: KillReport | None = None, name: str = ROUTE) -> KillReport:
        return self.delivery.attempt(self.plan, report or pending(name))

    @property
    def arrivals(self) -> list[LedgerEntry]:
        entries = self.ledger.entries()
        return [each for each in entries if each.kind is EntryKind.FLAG_WRITE]


def pending(name: str = ROUTE, **parts: object) -> KillReport:
    killed = Latch(route=name).killed(
        reason=INTENT.reason, actor=INTENT.actor, intent=INTENT.id, at="then"
    )
    report = KillReport(
        latch=killed, durable=False, stored=False, flag=Delivered.PENDING
    )
    return replace(report, **parts)  # type: ignore[arg-type]  # passed on


@pytest.fixture
def sender(control: Build, folder: Project) -> Iterator[Callable[..., Sender]]:
    built: list[Sender] = []

    def build(ledger: Ledger | None = None) -> Sender:
        process = control()
        writer = Writer(folder.flags)
        built.append(Sender(process, writer, ledger or process.ground.ledger))
        return built[-1]

    yield build
    for each in built:
        each.delivery.stop()


Build2 = Callable[..., Sender]


def test_the_note_of_an_arrival_has_versions_snapshot_and_actor(
    sender: Build2,
) -> None:
    each = sender()
    before = each.writer.read(FlagRef(key=FLAG))
    report = each.send()
    assert (report.complete, report.settled) == (True, True)
    [note] = each.arrivals
    assert note.note == "kill intent-1 of trip 1 reached the flag service"
    assert (note.route, note.actor, note.before) == (
        ROUTE,
        INTENT.actor,
        before.version.token,
    )
    assert note.after == each.writer.read(FlagRef(key=FLAG)).version.token
    assert json.loads(note.snapshot) == json.loads(before.raw)
    assert note.at != report.latch.at


def test_the_findings_of_a_kill_are_in_the_ledger_whoever_appends_it(
    sender: Build2,
) -> None:
    each = sender()
    each.send(pending(findings=("error is worse",)))
    assert each.ledger.entries()[0].findings == ("error is worse",)


def test_of_two_processes_the_one_that_changed_the_flag_keeps_the_snapshot(
    sender: Build2,
) -> None:
    """In whichever order their notes come."""
    first, second = sender(), sender()
    late = first.delivery._to_flag(first.plan, pending(durable=True, stored=True))  # noqa: SLF001 - between two steps
    second.send()
    assert [bool(note.snapshot) for note in second.arrivals] == [False]
    assert first.send(late).settled
    assert [bool(note.snapshot) for note in first.arrivals] == [False, True]
    second.send()
    sender().send()
    assert len(first.arrivals) == 2


def test_many_at_once_leave_one_trip_and_one_snapshot(sender: Build2) -> None:
    senders = [sender() for _ in range(4)]
    threads = [threading.Thread(target=each.send) for each in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kills = [e for e in senders[0].ledger.entries() if e.kind is EntryKind.KILL]
    assert len(kills) == 1
    assert sum(bool(note.snapshot) for note in senders[0].arrivals) == 1


def test_a_note_that_fails_is_written_later_with_its_snapshot(
    sender: Build2, folder: Project
) -> None:
    class Full(FileLedger):
        full = True

        @override
        def note(self, note: LedgerNote) -> None:
            if self.full:
                raise LedgerError("the disk is full")
            super().note(note)

    ledger = Full(folder.ledger, SystemClock())
    each = sender(ledger)
    report = each.send()
    assert (report.complete, report.settled) == (True, False)
    assert each.failures == ["the disk is full"]
    each.delivery.pursue(each.plan, report)
    ledger.full = False
    assert until(lambda: len(each.arrivals) == 1)
    assert each.arrivals[0].snapshot
    assert each.writer.kills == 1


@pytest.mark.parametrize(
    ("shown", "doubt"),
    [
        (lambda state: replace(state, enabled=False), "it is off"),
        (lambda state: replace(state, default_variant="v2"), "serves 'v2' where no"),
        (lambda state: replace(state, default_variant=None), "serves None where no"),
        (lambda state: replace(state, split={"v1": 1, "v2": 99_999}), "serves 'v2'"),
        (lambda state: replace(state, splits={"3": {"v2": 1}}), "a split of it"),
    ],
)
def test_a_kill_is_confirmed_by_what_the_flag_offers_and_not_by_the_answer(
    sender: Build2, shown: Callable[[FlagState], FlagState], doubt: str
) -> None:
    each = sender()
    each.writer.shown = shown
    report = each.send()
    assert (report.flag, each.arrivals) == (Delivered.PENDING, [])
    assert doubt in report.problem
    each.writer.shown = lambda state: state
    assert each.send(report).settled
    assert each.arrivals[0].snapshot


def test_a_kill_that_cannot_be_read_back_was_sent_and_is_sent_again(
    sender: Build2, folder: Project
) -> None:
    def unreadable(_: FlagState) -> FlagState:
        raise refusal(FlagProblem.UNAVAILABLE)

    each = sender()
    each.writer.shown = unreadable
    report = each.send()
    assert "it cannot be read back" in report.problem
    flag = json.loads(folder.flags.read_text())["flags"][FLAG]
    assert flag["targeting"] == {}
    each.writer.shown = lambda state: state
    assert each.send(report).settled


def test_the_name_of_control_is_remembered_for_when_the_flag_cannot_be_read(
    sender: Build2, folder: Project
) -> None:
    variants = {"a": "v1", "b": "v2"}
    folder.write_flag({"a": 1, "b": 1}, variants=variants, defaultVariant="b")
    each = sender()
    each.send()
    folder.write_flag({"a": 1, "b": 1}, variants=variants, defaultVariant="b")

    def buggy(_: FlagState) -> FlagState:
        raise ZeroDivisionError

    each.writer.shown = buggy
    later = pending(latch=replace(pending().latch, trip=2, intent="intent-2"))
    each.send(later)
    flag = json.loads(folder.flags.read_text())["flags"][FLAG]
    assert flag["defaultVariant"] == "a"


def test_a_kill_of_a_cohort_puts_one_rule_into_the_flag(sender: Build2) -> None:
    each = sender()
    assert each.send(name=COHORT).settled
    state = each.writer.read(FlagRef(key=FLAG))
    assert state.exceptions == ('rule 1 serves "v1" to plan=enterprise',)
    [note] = each.arrivals
    assert (note.route, bool(note.snapshot)) == (COHORT, True)
    assert each.send().settled
    assert [each.route for each in each.arrivals] == [COHORT, ROUTE]


def test_a_kill_of_a_cohort_whose_rule_does_not_stay_is_sent_on(
    sender: Build2, folder: Project
) -> None:
    class Forgetful(Writer):
        @override
        def kill(self, *args: object, **parts: object) -> FlagChange:
            change = super().kill(*args, **parts)  # type: ignore[arg-type]  # passed on
            folder.write_flag({"v1": 1, "v2": 1})
            return change

    each = sender()
    each.writer = Forgetful(folder.flags)
    each.__post_init__()
    report = each.send(name=COHORT)
    assert report.flag is Delivered.PENDING
    assert "gone at once" in report.problem


def test_a_cohort_that_the_service_cannot_kill_alone_is_blocked_with_a_way_out(
    sender: Build2,
) -> None:
    each = sender()
    each.writer.cohorts = False
    report = each.send(name=COHORT)
    assert (report.flag, report.durable, report.stored) == (
        Delivered.BLOCKED,
        True,
        True,
    )
    assert f"flipback kill {ROUTE} --reason" in report.problem
    assert each.writer.kills == 0
    assert each.blocks == [
        (COHORT, 1, "it cannot serve control to plan=enterprise alone")
    ]


@pytest.mark.parametrize(
    "kind",
    [
        FlagProblem.FORBIDDEN,
        FlagProblem.APPROVAL_REQUIRED,
        FlagProblem.INVALID_WRITE,
    ],
)
def test_people_are_told_once_of_each_kill_that_is_refused(
    sender: Build2, kind: FlagProblem
) -> None:
    each = sender()
    each.writer.trouble = refusal(kind)
    each.send(each.send())
    assert each.blocks == [(ROUTE, 1, f"the service says {kind.value}")]
    each.send(pending(latch=replace(pending().latch, trip=2, intent="intent-2")))
    assert [trip for _, trip, _ in each.blocks] == [1, 2]


def test_people_who_could_not_be_told_are_told_with_the_next_attempt(
    sender: Build2,
) -> None:
    each = sender()
    each.writer.trouble = refusal(FlagProblem.FORBIDDEN)
    told: list[str] = []

    def block(_: Latch, problem: str) -> None:
        told.append(problem)
        if len(told) == 1:
            raise LedgerError("no outbox")

    each.delivery._blocked = block  # noqa: SLF001 - as another one would be given
    for _ in range(3):
        each.send()
    assert len(told) == 2
    assert each.failures == ["nobody was told of it: no outbox"]


def test_a_service_that_asks_for_rest_gets_it_and_nothing_else_waits(
    sender: Build2, folder: Project
) -> None:
    each = sender()
    each.writer.trouble = FlagWriteError(
        "slow down", kind=FlagProblem.RATE_LIMITED, retry_after_s=3600
    )
    folder.ledger.mkdir()
    report = each.send()
    assert (report.durable, report.rest_s) == (False, 60)
    folder.ledger.rmdir()
    each.delivery.pursue(each.plan, report)
    assert until(lambda: len(each.ledger.entries()) == 1)
    assert each.writer.kills == 1


def test_the_end_of_the_rest_is_the_next_attempt(sender: Build2) -> None:
    each = sender()
    each.delivery.pursue(each.plan, pending(rest_s=0.3))
    assert until(lambda: len(each.arrivals) == 1)


@given(st.text(), st.integers(0, 10_000))
def test_pauses_double_to_ten_seconds_and_differ_between_processes(
    whose: str, tries: int
) -> None:
    longest = min(0.25 * 2 ** min(tries, 20), 10)
    assert longest / 2 <= pause_s(whose, tries) <= longest
    assert pause_s(whose, tries) == pause_s(whose, tries)
    assert pause_s(whose, tries) != pause_s(f"{whose}'", tries)


def test_a_process_without_a_writer_writes_no_flag(
    sender: Build2, folder: Project
) -> None:
    each = sender()
    each.delivery._writer = None  # noqa: SLF001 - as it is started elsewhere
    before = folder.flags.read_bytes()
    for name in (ROUTE, COHORT):
        report = each.send(name=name)
        assert (report.flag, report.settled) == (Delivered.NO_WRITER, True)
    assert folder.flags.read_bytes() == before
    assert each.arrivals == []
