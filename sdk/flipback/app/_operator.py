"""What a person at a terminal can see and do, with or without a running application."""

import os
import secrets
import socket
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Self

from flipback.analysis import Analysis, analyze
from flipback.app._assembly import forced, lay_ground
from flipback.app._open import open_flags
from flipback.assignment import Reason
from flipback.config import Settings
from flipback.control import Ground, KillReport, KillSwitch, SystemClock
from flipback.errors import ConfigError, FlagWriteError, StoreError
from flipback.latch import Latch, merge_all
from flipback.plan import RolloutPlan
from flipback.ports import (
    Clock,
    FlagRef,
    FlagState,
    FlagWriter,
    Intent,
    ProcessRecord,
)


ALIVE_S = 5.0
_POLL_S = 0.02
_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteStatus:
    """One route as it stands.

    Attributes:
        plan: Its rollout plan.
        latch: The greatest of all copies of its latch.
        override: Why control serves whatever the flag says, None if the flag may.
        flag: What the flag service offers, None if it cannot be read.
        analysis: What the evidence says: of a killed route, what it said before the
            kill. None if it cannot be read.
        processes: Processes of this host that run the route.
        problems: What could not be read, one sentence each.
    """

    plan: RolloutPlan
    latch: Latch
    override: Reason | None
    flag: FlagState | None
    analysis: Analysis | None
    processes: tuple[ProcessRecord, ...]
    problems: tuple[str, ...]

    @property
    def acknowledged(self) -> int:
        """Return how many processes obey the latch."""
        return _acknowledged(self.processes, self.latch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a release did.

    Attributes:
        latch: The latch now.
        refused: Why nothing was released; empty where it was.
        stored: The store has it, so that running processes obey.
    """

    latch: Latch
    refused: str = ""
    stored: bool = False


class Operator:
    """Reads and kills through ledger, store and flag service; waits for each."""

    def __init__(self, settings: Settings, ground: Ground) -> None:
        self._ground = ground
        self._killswitch = KillSwitch(ground, forced(settings))

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
    ) -> Sequence[KillReport]:
        """Kill routes side by side, and then wait for acknowledgements.

        Args:
            routes: Names; one that no plan is about is latched all the same.
            reason: Why, for the ledger.
            actor: Who.
            wait_s: Seconds to wait for running processes to obey.
        """
        self._killswitch.refresh()

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
        return Release(latch=released, stored=stored)

    def _status(self, plan: RolloutPlan) -> RouteStatus:
        standing = self._killswitch.switches[plan.route].standing
        problems: list[str] = [
            detail
            for (where, _), detail in self._ground.faults.details().items()
            if where in {"*", plan.route}
        ]
        flag = analysis = None
        processes: tuple[ProcessRecord, ...] = ()
        try:
            flag = self._flag(plan)
        except FlagWriteError as error:
            problems.append(f"flag service: {error}")
        try:
            processes = self._running(plan.route)
            # A held trip has no evidence of its own; what led to it explains it.
            trip = standing.trip - self._killswitch.latch(plan.route).held
            evidence = self._ground.store.evidence(
                plan.route, attempt=standing.attempt, trip=trip
            )
            analysis = analyze(plan, evidence)
        except StoreError as error:
            problems.append(f"store: {error}")
        return RouteStatus(
            plan=plan,
            latch=self._killswitch.latch(plan.route),
            override=standing.override,
            flag=flag,
            analysis=analysis,
            processes=processes,
            problems=tuple(dict.fromkeys(problems)),
        )

    def _flag(self, plan: RolloutPlan) -> FlagState | None:
        writer = self._ground.writer
        return None if writer is None else writer.read(FlagRef(key=plan.flag))

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
    ) -> Sequence[KillReport]:
        """Wait until all obey or the time is up; say how many do."""
        tick = self._ground.clock.monotonic
        until = tick() + wait_s
        pause = threading.Event()
        counted = [self._counted(report) for report in reports]
        while tick() < until and any(_waits(report) for report in counted):
            pause.wait(_POLL_S)
            counted = [self._counted(report) for report in reports]
        return counted

    def _counted(self, report: KillReport) -> KillReport:
        try:
            running = self._running(report.latch.route)
        except StoreError:
            return report
        return replace(
            report,
            processes=len(running),
            acknowledged=_acknowledged(running, report.latch),
        )


def _waits(report: KillReport) -> bool:
    return report.acknowledged < report.processes


def _acknowledged(processes: Iterable[ProcessRecord], latch: Latch) -> int:
    return sum(process.trips.get(latch.route, 0) >= latch.trip for process in processes)


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
    except ConfigError:
        return None
