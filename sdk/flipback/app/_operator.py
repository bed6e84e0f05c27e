"""What a person at a terminal can see and do, with or without a running application."""

import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from flipback.analysis import Analysis, analyze, gate
from flipback.app._assembly import forced, lay_ground
from flipback.app._binding import bounded
from flipback.app._open import open_flags
from flipback.app._reports import Kill, Release, RouteStatus, acknowledged
from flipback.assignment import EVERYBODY
from flipback.booking import signals_of
from flipback.config import Settings, candidate_weight, flag_ref
from flipback.control import FORCED_IN_VAIN, Ground, KillReport, KillSwitch, SystemClock
from flipback.errors import FlagWriteError, StoreError
from flipback.exposure import EXPOSURE, Evidence
from flipback.latch import Latch, merge_all
from flipback.plan import BUILT_IN_METRICS, RolloutPlan
from flipback.ports import (
    Clock,
    FlagState,
    FlagWriter,
    Intent,
    ProcessRecord,
)
from flipback.verdict import Gate


ALIVE_S = 5.0
_POLL_S = 0.02
_LEDGER_PATIENCE_S = 1.0  # nobody's calls wait here, and durable is what counts
_AT_ONCE = 32
_TELLING = 100  # exposures; before, an outcome may just not be there yet


class Operator:
    """Reads and kills through ledger, store and flag service; waits for each."""

    def __init__(self, settings: Settings, ground: Ground) -> None:
        self._ground = ground
        self._killswitch = KillSwitch(
            ground, forced(settings), ledger_patience_s=_LEDGER_PATIENCE_S
        )

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock | None = None) -> Self:
        """Open what the settings name; nothing is read before it is asked for."""
        writer = _writer(settings)
        return cls(settings, lay_ground(settings, writer, clock or SystemClock()))

    def close(self) -> None:
        """Release the store."""
        self._killswitch.stop()
        self._ground.store.close()

    def status(self) -> Sequence[RouteStatus]:
        """Return how every route stands."""
        self._killswitch.refresh()
        return [self._status(plan) for plan in self._ground.plans.values()]

    def kill(
        self, routes: Iterable[str], *, reason: str, actor: str, wait_s: float
    ) -> Sequence[Kill]:
        """Kill routes side by side, and then wait for acknowledgements.

        Args:
            routes: Names; one that no plan is about is latched all the same.
            reason: Why, for the ledger.
            actor: Who.
            wait_s: Seconds to wait for running processes to obey.
        """
        # A store that hangs must not hold up a kill; the ledger was read before it.
        bounded(self._killswitch.refresh)

        def kill(route: str) -> KillReport:
            intent = Intent(id=secrets.token_hex(8), actor=actor, reason=reason)
            return self._killswitch.kill(route, intent=intent)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            reports = list(pool.map(kill, routes))
        return self._acknowledged(reports, wait_s)

    def release(self, route: str, *, trip: int, reason: str, actor: str) -> Release:
        """Release exactly this trip; a later kill stays.

        Raises:
            LedgerError: The release cannot be made durable, so it is not made.
        """
        latch = self._latch(route)
        if not latch.held:
            return Release(latch=latch, refused=f"{route} is not held by any kill")
        if latch.trip != trip:
            refused = f"{route} is held by trip {latch.trip}, not by trip {trip}"
            return Release(latch=latch, refused=refused)
        at = self._ground.clock.now().isoformat()
        released = latch.released(trip, reason=reason, actor=actor, at=at)
        self._ground.ledger.release(released)
        stored = self._store(released)
        now = self._latch(route)
        if now.held:
            refused = f"{route} was killed meanwhile: trip {now.trip} holds it"
            return Release(latch=now, refused=refused, stored=stored)
        return Release(latch=released, stored=stored, flag=self._offered(route))

    def _status(self, plan: RolloutPlan) -> RouteStatus:
        standing = self._killswitch.switches[plan.route].standing
        latch = self._killswitch.latch(plan.route)
        problems = self._faults(plan.route)
        flag = evidence = processes = None
        try:
            flag = self._flag(plan)
        except FlagWriteError as error:
            problems.append(f"flag service: {error}")
        try:
            processes = self._running(plan.route)
            # A held trip has no evidence of its own; what led to it explains it.
            explains = standing.trip - 1 if latch.held else standing.trip
            evidence = self._ground.store.evidence(
                plan.route, attempt=standing.attempt, trip=explains
            )
        except StoreError as error:
            if not any(str(error) in problem for problem in problems):
                problems.append(f"store: {error}")
        exposures = 0 if evidence is None else _observed(plan, evidence, EXPOSURE)
        analysis = None if evidence is None else self._analysis(plan, evidence)
        return RouteStatus(
            plan=plan,
            latch=latch,
            override=standing.override,
            flag=flag,
            analysis=analysis,
            processes=processes,
            problems=tuple(dict.fromkeys(problems)),
            unobserved=() if evidence is None else _unobserved(plan, evidence),
            exposures=exposures,
            gate=None
            if evidence is None or latch.held
            else self._gate(plan, flag, evidence, analysis),
        )

    def _gate(
        self,
        plan: RolloutPlan,
        flag: FlagState | None,
        evidence: Evidence,
        analysis: Analysis | None,
    ) -> Gate | None:
        weight = None if flag is None else candidate_weight(plan, flag)
        if weight is None:
            return None
        now = self._ground.clock.now().timestamp()
        return gate(plan, evidence, weight=weight, now=now, analysis=analysis)

    def _analysis(self, plan: RolloutPlan, evidence: Evidence) -> Analysis:
        return analyze(plan, evidence, now=self._ground.clock.now().timestamp())

    def _faults(self, route: str) -> list[str]:
        return [
            detail
            for (where, kind), detail in self._ground.faults.details().items()
            if where in {"*", route} and not kind.endswith(FORCED_IN_VAIN)
        ]

    def _offered(self, route: str) -> FlagState | None:
        plan = self._ground.plans.get(route)
        try:
            return None if plan is None else self._flag(plan)
        except FlagWriteError:
            return None

    def _flag(self, plan: RolloutPlan) -> FlagState | None:
        writer = self._ground.writer
        return None if writer is None else writer.read(flag_ref(plan))

    def _latch(self, route: str) -> Latch:
        """Return the greatest copy; raises where neither history can be read."""
        copies = [self._ground.ledger.latches().get(route)]
        try:
            copies.append(self._ground.store.latches().get(route))
        except StoreError as error:
            self._ground.faults.note(route, "store unreadable", error)
        return merge_all(route, filter(None, copies))

    def _store(self, latch: Latch) -> bool:
        try:
            self._ground.store.put_latch(latch)
        except StoreError as error:
            self._ground.faults.note(latch.route, "release not in the store", error)
            return False
        return True

    def _running(self, route: str) -> tuple[ProcessRecord, ...]:
        since = self._ground.clock.now().timestamp() - ALIVE_S
        return tuple(
            process
            for process in self._ground.store.processes(since=since)
            if route in process.trips and _is_alive(process)
        )

    def _acknowledged(
        self, reports: Sequence[KillReport], wait_s: float
    ) -> Sequence[Kill]:
        """Wait until all obey or the time is up; say how many do."""
        tick = self._ground.clock.monotonic
        until = tick() + wait_s
        pause = threading.Event()
        counted = [self._counted(report) for report in reports]
        while tick() < until and any(map(_waits, counted)):
            pause.wait(_POLL_S)
            counted = [self._counted(report) for report in counted]
        return counted

    def _counted(self, report: KillReport) -> Kill:
        try:
            running = self._running(report.latch.route)
        except StoreError:
            return _kill(report, None)
        return _kill(report, running)


def _kill(report: KillReport, running: Sequence[ProcessRecord] | None) -> Kill:
    return Kill(
        latch=report.latch,
        durable=report.durable,
        stored=report.stored,
        flag=report.flag,
        problem=report.problem,
        processes=len(running or ()),
        acknowledged=acknowledged(running or (), report.latch),
        counted=running is not None,
    )


def _waits(kill: Kill) -> bool:
    return kill.acknowledged < kill.processes


def _unobserved(plan: RolloutPlan, evidence: Evidence) -> tuple[str, ...]:
    """Return metrics that the application was to record and never has."""
    if _observed(plan, evidence, EXPOSURE) < _TELLING:
        return ()
    judged = [guardrail.metric for guardrail in plan.guardrails]
    recorded = [name for m in judged for name in plan.metric(m).components or (m,)]
    return tuple(
        metric
        for metric in dict.fromkeys(recorded)
        if metric not in BUILT_IN_METRICS and not _is_observed(plan, evidence, metric)
    )


def _is_observed(plan: RolloutPlan, evidence: Evidence, metric: str) -> bool:
    signals = [signal for judged in plan.judged for signal in signals_of(plan, judged)]
    names = {signal.name for signal in signals if signal.metric == metric}
    return any(_observed(plan, evidence, name) for name in names)


def _observed(plan: RolloutPlan, evidence: Evidence, metric: str) -> int:
    """Return how many observations of the candidate there are."""
    return sum(
        cell.total_n
        for key, cell in evidence.cells.items()
        if (key.metric, key.cohort, key.variant) == (metric, EVERYBODY, plan.candidate)
    )


def _is_alive(process: ProcessRecord) -> bool:
    """Return whether a process of this host still runs; of another host, assume so."""
    if process.host != socket.gethostname():
        return True
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _writer(settings: Settings) -> FlagWriter | None:
    """Return the flag writer; a kill must work where the service cannot be opened."""
    try:
        return open_flags(settings).writer
    except Exception as error:  # noqa: BLE001 - whatever a vendor's import raises
        logging.getLogger("flipback").debug("no flag writer: %s", error)
        return None
