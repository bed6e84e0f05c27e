"""The kill contract: whoever kills, every process obeys until a person releases."""

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from flipback.assignment import Reason
from flipback.control._appender import PATIENCE_S, Appender
from flipback.control._delivery import Delivered, Delivery, KillReport
from flipback.control._force import ALL, FORCED_IN_VAIN, ForcedControl, is_forced
from flipback.errors import FlipbackError, LedgerError
from flipback.histogram import Thresholds
from flipback.latch import Latch, merge_all
from flipback.plan import RolloutPlan, nearest
from flipback.ports import Clock, FlagWriter, Intent, Ledger, Store
from flipback.routing import Faults, Standing, Switch
from flipback.telemetry import EventLog


EVALUATOR = "guardrail evaluator"
logger = logging.getLogger("flipback")
NEVER = Latch(route="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all of control stands on; built by the composition root."""

    plans: Mapping[str, RolloutPlan]
    store: Store
    ledger: Ledger
    writer: FlagWriter | None
    events: EventLog
    faults: Faults
    clock: Clock


class KillSwitch:
    """Keeps the switches of all routes in step with ledger, store and break-glass.

    Control serves until ledger and store have been read once. Afterwards one of
    them being unreadable changes nothing: the latch is the greatest of all
    copies, and the last known copy stays.
    """

    def __init__(
        self,
        ground: Ground,
        forced: ForcedControl,
        *,
        ledger_patience_s: float = PATIENCE_S,
    ) -> None:
        self._ground = ground
        self._forced = forced
        self._lock = threading.Lock()
        self._latches = {route: Latch(route=route) for route in ground.plans}
        self._read: set[str] = set()
        self._stopped = False
        self._taken_up: dict[str, tuple[int, bool]] = {}
        self.switches = {route: Switch(route) for route in ground.plans}
        self._appender = Appender(ground.ledger, patience_s=ledger_patience_s)
        self._delivery = Delivery(
            ledger=ground.ledger,
            appender=self._appender,
            store=ground.store,
            writer=ground.writer,
            still_held=self._still_held,
            failed=lambda route, problem: ground.faults.note(
                route, "kill not delivered everywhere yet", problem
            ),
        )

    def latch(self, route: str) -> Latch:
        """Return the latch as this process obeys it."""
        return self._latches[route]

    def trips(self) -> Mapping[str, int]:
        """Return the trip that this process obeys, per route, as it acknowledges."""
        return {route: switch.standing.trip for route, switch in self.switches.items()}

    def refresh(self) -> None:
        """Read break-glass, ledger and store, and obey them; never raises.

        Each is obeyed before the next one is read, which may hang.
        """
        forced = self._forced.routes()
        self._check_names(forced)
        self._set_switches(forced)
        self._merge("ledger", self._from_ledger())
        self._set_switches(forced)
        self._merge("store", self._from_store())
        self._set_switches(forced)

    def freeze(self, route: str, thresholds: Thresholds) -> None:
        """Let decisions from now on belong to epochs of these frozen percentiles."""
        switch = self.switches[route]
        with self._lock:
            if switch.standing.thresholds != thresholds:
                switch.standing = replace(switch.standing, thresholds=thresholds)

    def resume(self) -> None:
        """Deliver what others left undone: an ended command line, a crashed process.

        Each trip is taken up once per process; to repeat one that arrived changes
        nothing. Both histories are given what only one of them has.
        """
        for route, latch in self._latches.items():
            if latch.trip and self._taken_up.get(route) != latch.order:
                self._taken_up[route] = latch.order
                self._take_up(latch)

    def kill(
        self, route: str, *, intent: Intent, automatic: bool = False
    ) -> KillReport:
        """Serve control from the next call on, then tell everybody else.

        The ledger comes first so that the kill survives a crash, but for a
        tenth of a second at most: a slow disk must not keep the candidate alive.
        """
        report = self._obeyed(self._append(route, intent))
        plan = self._ground.plans.get(route)
        report = self._obeyed(self._delivery.attempt(plan, report))
        self._announce(report, automatic=automatic)
        self._pursue(route, report)
        return report

    def after_fork(self) -> None:
        """Replace locks, whose copies in a forked child may be held for ever."""
        self._lock = threading.Lock()
        self._appender.after_fork()
        self._delivery.after_fork()

    def stop(self) -> None:
        """Stop delivering and serve control: nobody would see the next kill."""
        with self._lock:
            self._stopped = True
        self._set_switches(frozenset())
        self._delivery.stop()

    def _append(self, route: str, intent: Intent) -> KillReport:
        at = self._ground.clock.now().isoformat()
        known = self._latches.get(route, Latch(route=route))
        durable, problem = True, ""
        try:
            latch = self._appender.append(route, intent=intent, at=at, floor=known)
        except LedgerError as error:
            latch = known.killed(
                reason=intent.reason, actor=intent.actor, intent=intent.id, at=at
            )
            durable, problem = False, str(error)
        return KillReport(
            latch=latch,
            durable=durable,
            stored=False,
            flag=Delivered.PENDING,
            problem=problem,
        )

    def _obeyed(self, report: KillReport) -> KillReport:
        latch = report.latch
        self._taken_up[latch.route] = latch.order
        with self._lock:
            known = self._latches.get(latch.route, NEVER)
            merged = latch.merge(known)
            self._latches[latch.route] = merged
            switch = self.switches.get(latch.route)
            if switch is not None and merged.held:
                switch.standing = replace(
                    switch.standing,
                    trip=merged.trip,
                    override=switch.standing.override or Reason.KILLED,
                )
        _tell(known, merged)
        return report

    def _announce(self, report: KillReport, *, automatic: bool) -> None:
        plan = self._ground.plans.get(report.latch.route)
        if plan is not None:
            self._ground.events.flip(
                plan.flag, plan.control, report.latch, automatic=automatic
            )

    def _pursue(self, route: str, report: KillReport) -> None:
        if not report.complete:
            self._ground.faults.note(
                route, f"trip {report.latch.trip} not delivered yet", report.problem
            )
            self._delivery.pursue(self._ground.plans.get(route), report)

    def _still_held(self, latch: Latch) -> bool:
        now = self._latches.get(latch.route, latch).merge(latch)
        return now.held and now.trip == latch.trip

    def _take_up(self, latch: Latch) -> None:
        if latch.held:
            report = KillReport(
                latch=latch, durable=False, stored=False, flag=Delivered.PENDING
            )
            self._delivery.pursue(self._ground.plans[latch.route], report)
            return
        ledger, store = self._ground.ledger, self._ground.store
        try:
            # Looked up first: all processes come here at once, and writes queue.
            if ledger.latches().get(latch.route, NEVER).order < latch.order:
                ledger.release(latch)
            if store.latches().get(latch.route, NEVER).order < latch.order:
                store.put_latch(latch)
        except FlipbackError as error:
            del self._taken_up[latch.route]  # taken up again with the next beat
            self._ground.faults.note(latch.route, "release not everywhere yet", error)

    def _merge(self, source: str, copies: Mapping[str, Latch] | None) -> None:
        if copies is None:
            return
        self._read.add(source)
        with self._lock:
            before = dict(self._latches)
            for route, latch in before.items():
                known = [latch, *filter(None, [copies.get(route)])]
                self._latches[route] = merge_all(route, known)
            after = dict(self._latches)
        for route, latch in before.items():
            _tell(latch, after[route])

    def _from_ledger(self) -> Mapping[str, Latch] | None:
        try:
            return self._ground.ledger.latches()
        except Exception as error:  # noqa: BLE001 - the store must still be read
            self._ground.faults.note("*", "ledger unreadable", error)
            return None

    def _from_store(self) -> Mapping[str, Latch] | None:
        try:
            return self._ground.store.latches()
        except Exception as error:  # noqa: BLE001 - the thread that obeys goes on
            self._ground.faults.note("*", "store unreadable", error)
            return None

    def _check_names(self, forced: frozenset[str]) -> None:
        """Say once what break-glass forces in vain: a misspelled route stays open."""
        for name in forced - self.switches.keys() - {ALL}:
            hint = nearest(name, self.switches, otherwise="correct it, or use *")
            self._ground.faults.note(
                "*", f"{name!r} {FORCED_IN_VAIN}", f"no plan names it; {hint}"
            )

    def _set_switches(self, forced: frozenset[str]) -> None:
        """Set all switches; under the lock, or a kill in between would be undone."""
        with self._lock:
            for route, switch in self.switches.items():
                switch.standing = self._standing(route, forced, switch.standing)

    def _standing(
        self, route: str, forced: frozenset[str], before: Standing
    ) -> Standing:
        latch = self._latches[route]
        override: Reason | None = None
        if self._stopped:
            override = Reason.NOT_READY
        elif is_forced(route, forced):
            override = Reason.FORCED
        elif latch.held:
            override = Reason.KILLED
        elif self._read != {"ledger", "store"}:
            override = Reason.NOT_READY
        if (before.trip, before.override) == (latch.trip, override):
            return before  # the very same, by which others know that nothing changed
        return replace(before, trip=latch.trip, override=override)


def _tell(before: Latch, after: Latch) -> None:
    """Log a kill or a release as this process comes to know of it; never raises."""
    if after.order == before.order:
        return
    with suppress(Exception):  # a filter of the application must not stop a kill
        if after.held:
            logger.warning(
                "route %s: control serves, killed by %s (trip %d): %s; "
                "to end it: flipback release %s --trip %d --reason ...",
                *(after.route, after.actor, after.trip, after.reason),
                *(after.route, after.trip),
            )
        elif before.held:
            logger.warning(
                "route %s: trip %d released by %s: %s; the flag decides again",
                *(after.route, after.trip, after.actor, after.reason),
            )
