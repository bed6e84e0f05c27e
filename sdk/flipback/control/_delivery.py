"""Bring a kill to the store, the ledger and the flag service, until it is there.

A process may die between any two steps of a kill. What it has done is found by the
others, or by itself when it starts again, and what is missing is done then:

    dies after          left behind           who goes on
    nothing             no trip               whoever wanted the kill repeats it
    the ledger          ledger                all processes of the host: they read
                                              it, obey, and deliver (`resume`)
    the local override  the same              the same
    the store           ledger, store         those of other hosts as well
    the flag            ... and flag          the same: sent again it changes nothing
    the confirmation    the same              the same
    the note            everything            nobody; the flag is people's again

Each step may be done twice. The trip is counted once all the same, as it is known by
its intent. What the death between flag and note loses is the snapshot in the ledger:
the service's own history still has it.
"""

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from flipback.config import flag_ref, flag_variant
from flipback.control._appender import Appender
from flipback.control._arrival import arrival, is_arrival, offered
from flipback.control._clock import SystemClock
from flipback.control._commands import REASON, rollout_command
from flipback.control._pause import pause_s
from flipback.control._reached import Delivered, KillReport
from flipback.errors import FlagProblem, FlagWriteError, FlipbackError, LedgerError
from flipback.latch import Latch, scope_of
from flipback.plan import RolloutPlan
from flipback.ports import (
    Clock,
    EntryKind,
    FlagChange,
    FlagWriter,
    Intent,
    Ledger,
    LedgerEntry,
    LedgerNote,
    StateStore,
)


_BLOCKED = frozenset(
    {FlagProblem.FORBIDDEN, FlagProblem.APPROVAL_REQUIRED, FlagProblem.INVALID_WRITE}
)
_LONGEST_REST_S = 60.0  # a service that asks for more than that is asked earlier
_LATE_S = 60.0
_LAST_WAIT_S = 1.0
_CLOCK = SystemClock()


class Delivery:
    """Delivers kills; what fails is tried again until it succeeds.

    A kill is a state and not a toggle, so delivering it twice changes nothing,
    and a time-out (outcome unknown) is answered by sending it once more.

    Args:
        ledger: Tells what has arrived already.
        appender: Appends to that ledger.
        store: Has the latches of all processes.
        writer: Writes flags; None where this process does not.
        still_held: Whether a latch is held and there is no later trip.
        failed: Is told of a route and what is missing, at each attempt.
        blocked: Is told once of each kill that the flag service refuses, or has not
            taken for a minute, and why.
        clock: Tells when a kill reached the flag.
    """

    def __init__(  # noqa: PLR0913 - the parts of the world that a kill goes to
        self,
        *,
        ledger: Ledger,
        appender: Appender,
        store: StateStore,
        writer: FlagWriter | None,
        still_held: Callable[[Latch], bool],
        failed: Callable[[str, str], object],
        blocked: Callable[[Latch, str], object] = lambda _, __: None,
        clock: Clock = _CLOCK,
    ) -> None:
        self._ledger = ledger
        self._appender = appender
        self._store = store
        self._writer = writer
        self._still_held = still_held
        self._failed = failed
        self._blocked = blocked
        self._clock = clock
        self._told: set[tuple[str, int]] = set()
        self._controls: dict[str, str] = {}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def attempt(self, plan: RolloutPlan | None, report: KillReport) -> KillReport:
        """Try once to deliver what is missing.

        The latch in the report may have a later trip than before: that of the
        ledger or the store, where they knew of kills that this process did not.

        Args:
            plan: The plan of the route, also where a cohort of it is killed; None
                where no flag is known.
            report: What is delivered so far.
        """
        report = replace(report, problem="")
        if not report.durable:
            report = self._to_ledger(report)
        if not report.stored:
            report = self._to_store(report)
        if report.flag is not Delivered.APPLIED and not report.rest_s:
            report = self._to_flag(plan, report)
        if report.flag is Delivered.PENDING and report.problem:
            self._tell_if_late(report)
        if report.durable and report.flag is Delivered.APPLIED and not report.noted:
            report = self._note(report)
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
        whose = f"{report.latch.intent} {socket.gethostname()} {os.getpid()}"
        tries, pause = 0, pause_s(whose, 0)
        while not self._stopping.wait(pause) and self._still_held(report.latch):
            rest_s = max(0.0, report.rest_s - pause)
            report = self.attempt(plan, replace(report, rest_s=rest_s))
            if report.settled:
                return
            if report.problem:
                self._failed(report.latch.route, report.problem)
            tries += 1
            pause = pause_s(whose, tries)

    def _to_ledger(self, report: KillReport) -> KillReport:
        latch = report.latch
        try:
            latch = self._appender.append(
                latch.route,
                intent=_intent_of(latch, report.findings),
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
        if self._arrivals(report.latch):
            return replace(report, flag=Delivered.APPLIED, noted=True)
        try:
            change = self._kill(self._writer, plan, report.latch)
        except Exception as error:  # noqa: BLE001 - a bug of a writer stops no kill
            return self._unwritten(report, error)
        overtaken = change.raced and change.changed
        if not change.changed and report.written is not None:
            change = report.written  # the one that has the flag as it was before
        report = replace(report, written=change)
        try:
            doubt = self._doubt(self._writer, plan, report.latch)
        except Exception as error:  # noqa: BLE001 - likewise
            doubt = f"it cannot be read back: {_said(error)}"
        if overtaken and not doubt:
            doubt = "another writer, which hangs, may overwrite it"
        if doubt:
            doubt = f"flag service: took the kill, but {doubt}"
            return _with_problem(replace(report, flag=Delivered.PENDING), doubt)
        return replace(report, flag=Delivered.APPLIED)

    def _kill(self, writer: FlagWriter, plan: RolloutPlan, latch: Latch) -> FlagChange:
        cohort = scope_of(latch.route).cohort
        ref, intent = flag_ref(plan), _intent_of(latch)
        if cohort and not writer.capabilities.cohorts:
            raise FlagWriteError(
                f"it cannot serve control to {cohort} alone",
                kind=FlagProblem.INVALID_WRITE,
            )
        control = self._control_in_flag(writer, plan)
        if cohort:
            return writer.kill(ref, control=control, intent=intent, cohort=cohort)
        return writer.kill(ref, control=control, intent=intent)

    def _doubt(self, writer: FlagWriter, plan: RolloutPlan, latch: Latch) -> str:
        """Return why the kill may not hold in the flag, empty where it does.

        A rule for a cohort cannot be read back as such; it is there if to send
        the kill again changes nothing.
        """
        if scope_of(latch.route).cohort:
            changed = self._kill(writer, plan, latch).changed
            return "its rule for the cohort was gone at once" if changed else ""
        return offered(plan, writer.read(flag_ref(plan)))

    def _unwritten(self, report: KillReport, error: Exception) -> KillReport:
        kind = error.kind if isinstance(error, FlagWriteError) else None
        rest_s = error.retry_after_s if isinstance(error, FlagWriteError) else None
        blocked = kind in _BLOCKED
        if blocked:
            self._tell(report.latch, _said(error))
        problem = (
            f"flag service: {_said(error)}{_way_out(report.latch) if blocked else ''}"
        )
        return _with_problem(
            replace(
                report,
                flag=Delivered.BLOCKED if blocked else Delivered.PENDING,
                rest_s=min(rest_s or 0.0, _LONGEST_REST_S),
            ),
            problem,
        )

    def _tell_if_late(self, report: KillReport) -> None:
        """Tell of a kill that is only tried again, where that has gone on for long."""
        try:
            age = self._clock.now() - datetime.fromisoformat(report.latch.at)
        except (TypeError, ValueError):  # no time, or one without a zone
            return
        if age.total_seconds() >= _LATE_S:
            self._tell(report.latch, report.problem)

    def _tell(self, latch: Latch, problem: str) -> None:
        key = (latch.route, latch.trip)
        if key in self._told:
            return
        try:
            self._blocked(latch, problem)
        except Exception as error:  # noqa: BLE001 - told with the next attempt then
            self._failed(latch.route, f"nobody was told of it: {_said(error)}")
        else:
            self._told.add(key)

    def _control_in_flag(self, writer: FlagWriter, plan: RolloutPlan) -> str:
        """Return the flag's own name of control; a kill does not wait for this read.

        If it fails, the name that was read last is taken.
        """
        try:
            state = writer.read(flag_ref(plan))
        except Exception:  # noqa: BLE001 - the kill itself says what is wrong
            return self._controls.get(plan.route, plan.control)
        name = flag_variant(plan, state, plan.control) or plan.control
        self._controls[plan.route] = name
        return name

    def _arrivals(self, latch: Latch) -> list[LedgerEntry]:
        """Return the notes that this trip reached the flag.

        Once it has, what people did to the flag since is theirs: the latch keeps
        serving control, and the flag is not written again.
        """
        try:
            entries = self._ledger.entries()
        except Exception:  # noqa: BLE001 - in doubt the kill is sent again
            return []
        return [
            entry
            for entry in entries
            if is_arrival(entry, latch.trip)
            and (entry.route, entry.note) == (latch.route, arrival(latch))
        ]

    def _note(self, report: KillReport) -> KillReport:
        """Remember that this trip reached the flag; not before it is in the ledger.

        Of the processes that deliver the same kill, one changes the flag and has
        the snapshot: it adds its note to those of the others, who add none to its.
        """
        noted, change = self._arrivals(report.latch), report.written
        snapshot = change.snapshot if change and change.changed else None
        if any(entry.snapshot for entry in noted) or (noted and snapshot is None):
            return replace(report, noted=True)
        note = LedgerNote(
            kind=EntryKind.FLAG_WRITE,
            route=report.latch.route,
            text=arrival(report.latch),
            at=self._clock.now().isoformat(),
            actor=report.latch.actor,
            before=change.before.token if change else "",
            after=change.after.token if change else "",
            snapshot=snapshot.raw if snapshot else "",
        )
        try:
            self._appender.note(note)
        except LedgerError as error:
            self._failed(report.latch.route, str(error))
            return report
        return replace(report, noted=True)


def _intent_of(latch: Latch, findings: tuple[str, ...] = ()) -> Intent:
    return Intent(
        id=latch.intent, actor=latch.actor, reason=latch.reason, findings=findings
    )


def _way_out(latch: Latch) -> str:
    route, cohort = scope_of(latch.route)
    if not cohort:
        return ""
    return (
        f"; {cohort} gets control where flipback decides, and to have it in the flag"
        f" too, kill all of it: {rollout_command('kill', route, REASON)}"
    )


def _said(error: Exception) -> str:
    """Return our own sentence, or what a bug of others has to say."""
    return str(error) if isinstance(error, FlipbackError) else repr(error)


def _with_problem(report: KillReport, problem: str) -> KillReport:
    joined = f"{report.problem}; {problem}" if report.problem else problem
    return replace(report, problem=joined)
