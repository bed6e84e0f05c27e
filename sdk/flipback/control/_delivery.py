"""Bring a kill to the store, the ledger and the flag service, until it is there."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from flipback.config import flag_ref, flag_variant
from flipback.control._appender import Appender
from flipback.errors import FlagProblem, FlagWriteError, FlipbackError, LedgerError
from flipback.latch import Latch
from flipback.plan import RolloutPlan
from flipback.ports import EntryKind, FlagWriter, Intent, Ledger, LedgerNote, StateStore


_BLOCKED = frozenset(
    {FlagProblem.FORBIDDEN, FlagProblem.APPROVAL_REQUIRED, FlagProblem.INVALID_WRITE}
)
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0
_LAST_WAIT_S = 1.0


class Delivered(StrEnum):
    """How far a kill has come in the flag service."""

    APPLIED = "applied"
    PENDING = "pending"
    BLOCKED = "blocked"
    NO_WRITER = "no writer"


@dataclass(frozen=True, slots=True, kw_only=True)
class KillReport:
    """What a kill reached. Control is served locally whatever it says.

    Attributes:
        latch: The latch that is held now.
        durable: The ledger has it on disk.
        stored: The store has it, so the host's other processes see it.
        flag: How far it came in the flag service.
        problem: What is still missing, for people; empty if nothing.
        processes: Processes of this host that run the route.
        acknowledged: Those of them that obey this kill already.
    """

    latch: Latch
    durable: bool
    stored: bool
    flag: Delivered
    problem: str = ""
    processes: int = 0
    acknowledged: int = 0

    @property
    def complete(self) -> bool:
        """Return whether nothing is left to deliver."""
        done = self.flag in {Delivered.APPLIED, Delivered.NO_WRITER}
        return self.durable and self.stored and done


class Delivery:
    """Delivers kills; what fails is tried again until it succeeds.

    A kill is a state and not a toggle, so delivering it twice changes nothing,
    and a time-out (outcome unknown) is answered by sending it once more.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        appender: Appender,
        store: StateStore,
        writer: FlagWriter | None,
        still_held: Callable[[Latch], bool],
        failed: Callable[[str, str], object],
    ) -> None:
        self._ledger = ledger
        self._appender = appender
        self._store = store
        self._writer = writer
        self._still_held = still_held
        self._failed = failed
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def attempt(self, plan: RolloutPlan | None, report: KillReport) -> KillReport:
        """Try once to deliver what is missing; `plan` None means: no flag known.

        The latch in the report may have a later trip than before: that of the
        ledger or the store, where they knew of kills that this process did not.
        """
        report = replace(report, problem="")
        if not report.durable:
            report = self._to_ledger(report)
        if not report.stored:
            report = self._to_store(report)
        if report.flag is not Delivered.APPLIED:
            report = self._to_flag(plan, report)
        if report.durable and report.flag is Delivered.APPLIED:
            self._note(report.latch)
        return report

    def pursue(self, plan: RolloutPlan | None, report: KillReport) -> None:
        """Go on in a thread until all is delivered or a person released the kill."""
        thread = threading.Thread(
            target=self._pursue,
            args=(plan, report),
            name="flipback-delivery",
            daemon=True,
        )
        self._threads = [each for each in self._threads if each.is_alive()]
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Stop all pursuits; a restart takes them up again from the ledger."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_LAST_WAIT_S)

    def after_fork(self) -> None:
        """Leave the pursuits to the parent, whose threads they are."""
        self._stopping = threading.Event()
        self._threads = []

    def _pursue(self, plan: RolloutPlan | None, report: KillReport) -> None:
        pause = _FIRST_PAUSE_S
        while not self._stopping.wait(pause) and self._still_held(report.latch):
            report = self.attempt(plan, report)
            if report.complete:
                return
            self._failed(report.latch.route, report.problem)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _to_ledger(self, report: KillReport) -> KillReport:
        latch = report.latch
        try:
            latch = self._appender.append(
                latch.route,
                intent=_intent_of(latch),
                at=latch.at,
                floor=replace(latch, trip=latch.trip - 1, intent=""),
            )
        except LedgerError as error:
            return _with_problem(report, f"not durable: {error}")
        return replace(report, durable=True, latch=report.latch.merge(latch))

    def _to_store(self, report: KillReport) -> KillReport:
        latch = report.latch
        try:
            # Looked up first: all processes deliver a kill, and writes queue.
            merged = self._store.latches().get(latch.route)
            if merged is None or merged.order < latch.order:
                merged = self._store.put_latch(latch)
            if not merged.held and merged.intent != latch.intent:
                # Others killed and released meanwhile; this kill comes after that.
                latch = merged.killed(
                    reason=latch.reason,
                    actor=latch.actor,
                    intent=latch.intent,
                    at=latch.at,
                )
                self._store.put_latch(latch)
        except Exception as error:  # noqa: BLE001 - a bug of a store stops no kill
            return _with_problem(report, f"not in the store: {_said(error)}")
        return replace(report, stored=True, latch=latch)

    def _to_flag(self, plan: RolloutPlan | None, report: KillReport) -> KillReport:
        if self._writer is None or plan is None:
            return replace(report, flag=Delivered.NO_WRITER)
        latch = report.latch
        if self._has_arrived(latch):
            return replace(report, flag=Delivered.APPLIED)
        try:
            self._writer.kill(
                flag_ref(plan),
                control=_control_in_flag(self._writer, plan),
                intent=_intent_of(latch),
            )
        except Exception as error:  # noqa: BLE001 - a bug of a writer stops no kill
            blocked = isinstance(error, FlagWriteError) and error.kind in _BLOCKED
            flag = Delivered.BLOCKED if blocked else Delivered.PENDING
            problem = f"flag service: {_said(error)}"
            return _with_problem(replace(report, flag=flag), problem)
        return replace(report, flag=Delivered.APPLIED)

    def _has_arrived(self, latch: Latch) -> bool:
        """Return whether this trip reached the flag before.

        What people did to the flag since is theirs: the latch keeps serving
        control, and the flag is not written again.
        """
        try:
            entries = self._ledger.entries()
        except LedgerError:
            return False
        return any(
            entry.kind is EntryKind.FLAG_WRITE and entry.note == _arrival(latch)
            for entry in entries
        )

    def _note(self, latch: Latch) -> None:
        """Remember that this trip reached the flag; not before it is in the ledger."""
        if self._has_arrived(latch):
            return
        try:
            self._ledger.note(
                LedgerNote(
                    kind=EntryKind.FLAG_WRITE,
                    route=latch.route,
                    text=_arrival(latch),
                    at=latch.at,
                )
            )
        except LedgerError as error:
            self._failed(latch.route, str(error))


def _intent_of(latch: Latch) -> Intent:
    return Intent(id=latch.intent, actor=latch.actor, reason=latch.reason)


def _said(error: Exception) -> str:
    """Return our own sentence, or what a bug of others has to say."""
    return str(error) if isinstance(error, FlipbackError) else repr(error)


def _arrival(latch: Latch) -> str:
    """Spell the note by which the ledger remembers that a kill reached the flag."""
    return f"kill {latch.intent} of trip {latch.trip} reached the flag service"


def _control_in_flag(writer: FlagWriter, plan: RolloutPlan) -> str:
    """Return the flag's own name of control; a kill does not wait for this read."""
    try:
        state = writer.read(flag_ref(plan))
    except FlagWriteError:
        return plan.control
    return flag_variant(plan, state, plan.control) or plan.control


def _with_problem(report: KillReport, problem: str) -> KillReport:
    joined = f"{report.problem}; {problem}" if report.problem else problem
    return replace(report, problem=joined)
