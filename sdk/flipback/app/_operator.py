"""What a person at a terminal can see and do, with or without a running application."""

import logging
import secrets
import threading
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Self

from flipback.app._assembly import forced, lay_ground, mirror_of, notifier_of
from flipback.app._binding import bounded
from flipback.app._desk import Desk
from flipback.app._open import open_flags
from flipback.app._report import report_on
from flipback.app._reports import (
    Kill,
    Moved,
    Release,
    Restored,
    RouteStatus,
    acknowledged,
)
from flipback.app._status import StatusReader
from flipback.assignment import EVERYBODY, Cohort
from flipback.config import Settings, flag_ref
from flipback.control import Ground, KillReport, KillSwitch, SystemClock
from flipback.errors import FlagWriteError, StoreError
from flipback.latch import Latch, scope_of, scoped
from flipback.ports import Clock, FlagState, FlagWriter, Intent, ProcessRecord
from flipback.report import ReportData


_POLL_S = 0.02
_LEDGER_PATIENCE_S = 1.0  # nobody's calls wait here, and durable is what counts
_AT_ONCE = 32


class Operator:
    """Reads, kills and moves through ledger, store and flag service; waits for each."""

    def __init__(self, settings: Settings, ground: Ground) -> None:
        self._notifier = notifier_of(settings, ground, delivers=True)
        self._mirror = mirror_of(settings, ground)
        ground = replace(ground, tell=self._notifier.tell)
        self._ground = ground
        self._killswitch = KillSwitch(
            ground, forced(settings), ledger_patience_s=_LEDGER_PATIENCE_S
        )
        self._reader = StatusReader(ground, self._killswitch)
        self._desk = Desk(ground, self._killswitch)

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock | None = None) -> Self:
        """Open what the settings name; nothing is read before it is asked for."""
        writer = _writer(settings)
        return cls(settings, lay_ground(settings, writer, clock or SystemClock()))

    def close(self) -> None:
        """Tell people what was done, copy the ledger, and release the store."""
        self._killswitch.stop()
        self._mirror.copy()
        self._notifier.stop()
        self._ground.store.close()

    def status(self) -> Sequence[RouteStatus]:
        """Return how every route stands."""
        self._killswitch.refresh()
        return [self._reader.status(plan) for plan in self._ground.plans.values()]

    def report(self, route: str, *, attempt: int | None = None) -> ReportData:
        """Return what a report tells of an attempt, the latest if none is named.

        Raises:
            RouteError: No plan is about the route, or it has had no such attempt.
        """
        self._killswitch.refresh()
        return report_on(self._ground, self._killswitch, route, attempt)

    def start(self, route: str, *, actor: str, reason: str = "") -> Moved:
        """Begin a new attempt at the plan's first stage.

        Refused while a kill is held, and without a reason in cool-down and quarantine.

        Raises:
            RouteError: No plan is about the route. Likewise for all moves.
            StoreError: The store cannot be used; nothing was moved. Likewise.
            LedgerError: The ledger cannot be read, so a kill may be in it. Likewise.
            FlagWriteError: The flag cannot be read; nothing was moved. Likewise.
        """
        return self._desk.start(route, actor=actor, reason=reason)

    def promote(
        self,
        route: str,
        *,
        actor: str,
        accept: Collection[Cohort] = (),
        reason: str = "",
    ) -> Moved:
        """Leave the stage in force for the next one, or promote from the last.

        Args:
            route: The route.
            actor: Who.
            accept: Undecided cohorts whose risk is taken, where the gate asks.
            reason: Why the step is taken though something is undecided.
        """
        return self._desk.promote(route, actor=actor, accept=accept, reason=reason)

    def pause(self, route: str, *, actor: str, reason: str) -> Moved:
        """Keep the split as it is until somebody resumes; the guard goes on."""
        return self._desk.pause(route, actor=actor, reason=reason)

    def resume(
        self, route: str, *, actor: str, accept_plan: bool = False, reason: str = ""
    ) -> Moved:
        """Go on from the split as it is now.

        Args:
            route: The route.
            actor: Who.
            accept_plan: Go by the plan in the files though it promises less.
            reason: Why.
        """
        return self._desk.resume(
            route, actor=actor, accept_plan=accept_plan, reason=reason
        )

    def finish(self, route: str, *, actor: str, reason: str = "") -> Moved:
        """Give the candidate to everybody; before the watch is over with a reason."""
        return self._desk.finish(route, actor=actor, reason=reason)

    def restore(self, route: str, *, actor: str, reason: str) -> Restored:
        """Put the rules back that a kill took away, with nobody on the candidate."""
        return self._desk.restore(route, actor=actor, reason=reason)

    def kill(
        self,
        routes: Iterable[str],
        *,
        reason: str,
        actor: str,
        wait_s: float,
        cohort: Cohort = EVERYBODY,
    ) -> Sequence[Kill]:
        """Kill routes side by side, and then wait for acknowledgements.

        Args:
            routes: Names; one that no plan is about is latched all the same.
            reason: Why, for the ledger.
            actor: Who.
            wait_s: Seconds to wait for running processes to obey.
            cohort: Whom alone to serve control, everybody if not said.
        """
        # A store that hangs must not hold up a kill; the ledger was read before it.
        bounded(self._killswitch.refresh)

        def kill(route: str) -> KillReport:
            intent = Intent(id=secrets.token_hex(8), actor=actor, reason=reason)
            return self._killswitch.kill(scoped(route, cohort), intent=intent)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            reports = list(pool.map(kill, routes))
        return self._acknowledged(reports, wait_s)

    def release(self, route: str, *, trip: int, reason: str, actor: str) -> Release:
        """Release exactly this trip; a later kill stays.

        Raises:
            LedgerError: The release cannot be made durable, so it is not made.
        """
        latch = self._ground.known_latch(route)
        if not latch.held:
            return Release(latch=latch, refused=f"{route} is not held by any kill")
        if latch.trip != trip:
            refused = f"{route} is held by trip {latch.trip}, not by trip {trip}"
            return Release(latch=latch, refused=refused)
        at = self._ground.clock.now().isoformat()
        released = latch.released(trip, reason=reason, actor=actor, at=at)
        self._ground.ledger.release(released)
        stored = self._store(released)
        now = self._ground.known_latch(route)
        if now.held:
            refused = f"{route} was killed meanwhile: trip {now.trip} holds it"
            return Release(latch=now, refused=refused, stored=stored)
        return Release(latch=released, stored=stored, flag=self._offered(route))

    def _offered(self, route: str) -> FlagState | None:
        plan = self._ground.plans.get(scope_of(route).route)
        writer = self._ground.writer
        if plan is None or writer is None:
            return None
        try:
            return writer.read(flag_ref(plan))
        except FlagWriteError:
            return None

    def _store(self, latch: Latch) -> bool:
        try:
            self._ground.store.put_latch(latch)
        except StoreError as error:
            self._ground.faults.note(latch.route, "release not in the store", error)
            return False
        return True

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
            running = self._reader.running(scope_of(report.latch.route).route)
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


def _writer(settings: Settings) -> FlagWriter | None:
    """Return the flag writer; a kill must work where the service cannot be opened."""
    try:
        return open_flags(settings).writer
    except Exception as error:  # noqa: BLE001 - whatever a vendor's import raises
        logging.getLogger("flipback").debug("no flag writer: %s", error)
        return None
