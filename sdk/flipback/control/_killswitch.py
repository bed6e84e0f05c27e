"""The kill contract: whoever kills, every process obeys until a person releases."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from flipback.control._appender import PATIENCE_S, Appender
from flipback.control._delivery import Delivery
from flipback.control._force import ALL, FORCED_IN_VAIN, ForcedControl
from flipback.control._ground import Ground
from flipback.control._lost import LOST, lost
from flipback.control._reached import Delivered, KillReport
from flipback.control._standings import Known, standing_of
from flipback.control._telling import tell_of_latch, tell_of_moves
from flipback.control._told import told_of_block, told_of_trip
from flipback.errors import FlipbackError, LedgerError
from flipback.histogram import Thresholds
from flipback.latch import Latch, merge_all, scope_of
from flipback.plan import RolloutPlan, nearest
from flipback.ports import Intent
from flipback.rollout import By, RolloutRecord, phase_of
from flipback.routing import Switch
from flipback.telemetry import Stood


EVALUATOR = "guardrail evaluator"
NEVER = Latch(route="")


class KillSwitch:
    """Keeps the switches of all routes in step with ledger, store and break-glass.

    A latch is known by its name: a route, or a route and a cohort of it.

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
        self._forces = frozenset[str]()
        self._taken_up: dict[str, tuple[int, bool]] = {}
        self._may_be_lost = True
        self.records: Mapping[str, RolloutRecord] = {}
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
            blocked=lambda latch, problem: ground.tell(told_of_block(latch, problem)),
            clock=ground.clock,
        )

    def latch(self, name: str) -> Latch:
        """Return the latch of this name, as this process knows it."""
        return self._latches.get(name, Latch(route=name))

    def latches(self) -> tuple[Latch, ...]:
        """Return every latch that this process knows."""
        return tuple(self._latches.values())

    def rollouts(self) -> Iterator[Stood]:
        """Yield where each attempt that is under way stands, for gauges."""
        for route, record in self.records.items():
            plan = self._ground.plans.get(route)
            phase = phase_of(record, self.latch(route))
            if plan is not None and phase.is_open:
                yield Stood(route=route, phase=phase.value, stage=record.stage)

    def held(self, route: str) -> tuple[Latch, ...]:
        """Return the latches of a route, and of cohorts of it, that are held."""
        latches = self._latches.values()
        return tuple(
            latch
            for latch in latches
            if latch.held and scope_of(latch.route).route == route
        )

    def trips(self) -> Mapping[str, int]:
        """Return the trips that this process obeys, by latch, as it acknowledges."""
        with self._lock:
            return {
                name: latch.trip
                for name, latch in self._latches.items()
                if self._obeys(latch)
            }

    def refresh(self) -> None:
        """Read break-glass, ledger and store, and obey them; never raises.

        Each is obeyed before the next one is read, which may hang.
        """
        forced = self._forced.routes()
        self._check_names(forced)
        self._set_switches(forced)
        self._merge("ledger", self._from_ledger())
        self._set_switches(forced)
        stored = self._from_store()
        self._merge("store", stored)
        if stored is not None:
            self._read_records()
        self._set_switches(forced)

    def freeze(self, route: str, thresholds: Thresholds) -> None:
        """Let decisions from now on belong to epochs of these frozen percentiles."""
        switch = self.switches[route]
        with self._lock:
            if switch.standing.thresholds != thresholds:
                switch.standing = replace(switch.standing, thresholds=thresholds)

    def resume(self, *, waits: bool = False) -> None:
        """Deliver what others left undone: an ended command line, a crashed process.

        Each trip is taken up once per process; to repeat one that arrived changes
        nothing. Both histories are given what only one of them has.

        Args:
            waits: Try once now, for a process that ends right after.
        """
        self._miss()
        for route, latch in tuple(self._latches.items()):
            if latch.trip and self._taken_up.get(route) != latch.order:
                self._taken_up[route] = latch.order
                self._take_up(latch, waits=waits)

    def kill(
        self, route: str, *, intent: Intent, automatic: bool = False
    ) -> KillReport:
        """Serve control from the next call on, then tell everybody else.

        `route` may name a cohort of a route: see `flipback.latch.scoped`.

        The ledger comes first so that the kill survives a crash, but for a
        tenth of a second at most: a slow disk must not keep the candidate alive.
        """
        report = self._obeyed(self._append(route, intent))
        plan = self._plan_of(route)
        report = self._obeyed(self._delivery.attempt(plan, report))
        self._announce(report, intent, automatic=automatic)
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
            findings=intent.findings,
        )

    def _obeyed(self, report: KillReport) -> KillReport:
        latch = report.latch
        self._taken_up[latch.route] = latch.order
        with self._lock:
            known = self._latches.get(latch.route, NEVER)
            merged = latch.merge(known)
            self._latches[latch.route] = merged
            self._set(scope_of(latch.route).route)
        tell_of_latch(known, merged)
        return report

    def _obeys(self, latch: Latch) -> bool:
        route, cohort = scope_of(latch.route)
        switch = self.switches.get(route)
        if switch is None:
            return False
        if cohort:
            return latch.held is (cohort in switch.standing.killed)
        return switch.standing.trip == latch.trip

    def _plan_of(self, name: str) -> RolloutPlan | None:
        return self._ground.plans.get(scope_of(name).route)

    def _announce(self, report: KillReport, intent: Intent, *, automatic: bool) -> None:
        latch, plan = report.latch, self._plan_of(report.latch.route)
        if plan is not None:
            self._ground.events.flip(
                plan.flag, plan.control, latch, automatic=automatic
            )
        self._ground.tell(
            told_of_trip(latch, automatic=automatic, findings=intent.findings)
        )

    def _pursue(self, route: str, report: KillReport) -> None:
        if report.settled:
            return
        if report.problem and not report.complete:
            self._ground.faults.note(
                route, f"trip {report.latch.trip} not delivered yet", report.problem
            )
        self._delivery.pursue(self._plan_of(route), report)

    def _still_held(self, latch: Latch) -> bool:
        now = self._latches.get(latch.route, latch).merge(latch)
        return now.held and now.trip == latch.trip

    def _take_up(self, latch: Latch, *, waits: bool) -> None:
        if latch.held:
            self._tell_again(latch)
            report = KillReport(
                latch=latch, durable=False, stored=False, flag=Delivered.PENDING
            )
            plan = self._plan_of(latch.route)
            if waits:
                report = self._delivery.attempt(plan, report)
            if not report.settled:
                self._delivery.pursue(plan, report)
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

    def _tell_again(self, latch: Latch) -> None:
        """Tell of a kill whose process may have died before it did; twice is once."""
        found: tuple[str, ...] = ()
        with suppress(Exception):  # the sentences only adorn what is told
            for entry in self._ground.ledger.entries():
                if entry.latch is not None and entry.latch.order == latch.order:
                    found = entry.findings if entry.route == latch.route else found
        automatic = latch.actor in {EVALUATOR, By.PLAN}
        self._ground.tell(told_of_trip(latch, automatic=automatic, findings=found))

    def _merge(self, source: str, copies: Mapping[str, Latch] | None) -> None:
        if copies is None:
            return
        with self._lock:
            before = dict(self._latches)
            for name in {*before, *filter(self._plan_of, copies)}:
                known = [before.get(name), copies.get(name)]
                self._latches[name] = merge_all(name, filter(None, known))
            after = dict(self._latches)
        self._read.add(source)
        for name, latch in after.items():
            tell_of_latch(before.get(name, NEVER), latch)

    def _read_records(self) -> None:
        """Read where rollouts stand; what cannot be read stays as it was known."""
        before = self.records
        try:
            self.records = self._ground.store.rollouts()
        except Exception as error:  # noqa: BLE001 - the thread that obeys goes on
            self._ground.faults.note("*", "store unreadable", error)
            self.records = {**before, **dict(self._readable_records())}
        self._may_be_lost |= bool(before.keys() - self.records.keys())
        tell_of_moves(before, self.records)

    def _miss(self) -> None:
        """Say which rollouts a store that is new, or another one, has lost."""
        if not self._may_be_lost or "store" not in self._read:
            return
        with suppress(FlipbackError):  # read again with the next beat
            entries = self._ground.ledger.entries()
            self._may_be_lost = False
            for route in self._ground.plans:
                record = self.records.get(route, RolloutRecord(route=route))
                if text := lost(record, entries):
                    self._ground.faults.note(route, LOST, text)

    def _readable_records(self) -> Iterator[tuple[str, RolloutRecord]]:
        """Yield the records beside one that is garbage, or of a later version."""
        for route in self._ground.plans:
            with suppress(Exception):  # said already, of all of them
                yield route, self._ground.store.rollout(route)

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
            self._forces = forced
            for route in self.switches:
                self._set(route)

    def _set(self, route: str) -> None:
        switch = self.switches.get(route)
        if switch is None:
            return
        known = Known(
            latches=self._latches,
            records=self.records,
            forced=self._forces,
            complete=self._read == {"ledger", "store"},
            stopped=self._stopped,
        )
        plan = self._ground.plans[route]
        switch.standing = standing_of(plan, known, switch.standing)
