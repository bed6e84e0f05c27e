"""Bring a kill to the store, the ledger and the flag service, until it is there."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from flipback.config import flag_variant
from flipback.errors import FlagProblem, FlagWriteError, LedgerError, StoreError
from flipback.latch import Latch
from flipback.plan import RolloutPlan
from flipback.ports import EntryKind, FlagRef, FlagWriter, Intent, Ledger, StateStore


_BLOCKED = frozenset(
    {FlagProblem.FORBIDDEN, FlagProblem.APPROVAL_REQUIRED, FlagProblem.INVALID_WRITE}
)
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0


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
        store: StateStore,
        writer: FlagWriter | None,
        still_held: Callable[[Latch], bool],
        failed: Callable[[str, str], object],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._writer = writer
        self._still_held = still_held
        self._failed = failed
        self._stopping = threading.Event()

    def attempt(self, plan: RolloutPlan | None, report: KillReport) -> KillReport:
        """Try once to deliver what is missing; `plan` None means: no flag known."""
        report = replace(report, problem="")
        if not report.durable:
            report = self._to_ledger(report)
        if not report.stored:
            report = self._to_store(report)
        if report.flag is not Delivered.APPLIED:
            report = self._to_flag(plan, report)
        return report

    def pursue(self, plan: RolloutPlan | None, report: KillReport) -> None:
        """Go on in a thread until all is delivered or a person released the kill."""
        threading.Thread(
            target=self._pursue,
            args=(plan, report),
            name="flipback-delivery",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """Stop all pursuits; a restart takes them up again from the ledger."""
        self._stopping.set()

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
        intent = Intent(id=latch.intent, actor=latch.actor, reason=latch.reason)
        floor = replace(latch, trip=latch.trip - 1, intent="")
        try:
            self._ledger.kill(latch.route, intent=intent, at=latch.at, floor=floor)
        except LedgerError as error:
            return _with_problem(report, f"not durable: {error}")
        return replace(report, durable=True)

    def _to_store(self, report: KillReport) -> KillReport:
        try:
            self._store.put_latch(report.latch)
        except StoreError as error:
            return _with_problem(report, f"not in the store: {error}")
        return replace(report, stored=True)

    def _to_flag(self, plan: RolloutPlan | None, report: KillReport) -> KillReport:
        if self._writer is None or plan is None:
            return replace(report, flag=Delivered.NO_WRITER)
        latch = report.latch
        if self._has_arrived(latch):
            return replace(report, flag=Delivered.APPLIED)
        intent = Intent(id=latch.intent, actor=latch.actor, reason=latch.reason)
        control = _control_in_flag(self._writer, plan)
        try:
            self._writer.kill(FlagRef(key=plan.flag), control=control, intent=intent)
        except FlagWriteError as error:
            blocked = error.kind in _BLOCKED
            flag = Delivered.BLOCKED if blocked else Delivered.PENDING
            return _with_problem(replace(report, flag=flag), f"flag service: {error}")
        self._note(plan, latch)
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

    def _note(self, plan: RolloutPlan, latch: Latch) -> None:
        try:
            self._ledger.note(
                EntryKind.FLAG_WRITE,
                plan.route,
                text=_arrival(latch),
                at=latch.at,
            )
        except LedgerError as error:
            self._failed(plan.route, str(error))


def _arrival(latch: Latch) -> str:
    """Spell the note by which the ledger remembers that a kill reached the flag."""
    return f"kill {latch.intent} of trip {latch.trip} reached the flag service"


def _control_in_flag(writer: FlagWriter, plan: RolloutPlan) -> str:
    """Return the flag's own name of control; a kill does not wait for this read."""
    try:
        state = writer.read(FlagRef(key=plan.flag))
    except FlagWriteError:
        return plan.control
    return flag_variant(plan, state, plan.control) or plan.control


def _with_problem(report: KillReport, problem: str) -> KillReport:
    joined = f"{report.problem}; {problem}" if report.problem else problem
    return replace(report, problem=joined)
