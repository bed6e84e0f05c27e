"""How every route stands, read from ledger, store and flag service."""

from datetime import timedelta

from flipback.analysis import Analysis, Renewal, analyze
from flipback.app._processes import (
    demand_writable,
    guards_among,
    leader_among,
    registered,
)
from flipback.app._reports import RouteStatus
from flipback.assignment import EVERYBODY
from flipback.booking import signals_of
from flipback.config import candidate_weight, flag_ref
from flipback.control import (
    FORCED_IN_VAIN,
    AcceptedPlans,
    Asked,
    Ground,
    KillSwitch,
    gate_of,
    lost,
)
from flipback.errors import FlagWriteError, LedgerError, StoreError
from flipback.exposure import EXPOSURE, Evidence
from flipback.latch import scope_of
from flipback.plan import BUILT_IN_METRICS, RolloutPlan
from flipback.ports import FlagState, ProcessRecord
from flipback.rollout import Phase, RolloutRecord
from flipback.routing import Standing
from flipback.steering import elapsed
from flipback.verdict import Gate


_TRIPS_BACK = 20
_TELLING = 100  # exposures; before, an outcome may just not be there yet


class StatusReader:
    """Reads how routes stand; what cannot be read is a problem that is told."""

    def __init__(self, ground: Ground, switch: KillSwitch) -> None:
        self._ground = ground
        self._switch = switch
        self._accepted = AcceptedPlans()

    def status(self, plan: RolloutPlan) -> RouteStatus:
        """Return how one route stands; the kill switch was refreshed before."""
        standing = self._switch.switches[plan.route].standing
        record = self._switch.records.get(plan.route, RolloutRecord(route=plan.route))
        accepted = self._accepted.of(plan, record)
        problems = self._faults(plan.route)
        flag = self._flag(plan, problems)
        processes, evidence = self._stored(plan, standing, problems)
        if evidence is not None:
            self._lost(record, problems)
        analysis = (
            None
            if evidence is None
            else self._analysis(accepted.plan, record, standing, evidence)
        )
        return RouteStatus(
            plan=accepted.plan,
            latch=self._switch.latch(plan.route),
            override=standing.override,
            flag=flag,
            analysis=analysis,
            processes=processes,
            problems=tuple(dict.fromkeys(problems)),
            unobserved=() if evidence is None else _unobserved(plan, evidence),
            exposures=0 if evidence is None else _observed(plan, evidence, EXPOSURE),
            gate=self._gate(accepted.plan, record, standing, flag, evidence, analysis),
            record=record,
            phase=standing.phase,
            killed_cohorts=tuple(
                latch
                for latch in self._switch.held(plan.route)
                if scope_of(latch.route).cohort
            ),
            loosened=accepted.loosened,
            stage_lasts=self._lasts(record, standing.phase),
            guards=None if processes is None else guards_among(processes),
            leader=leader_among(processes or (), plan.route),
        )

    def running(self, route: str) -> tuple[ProcessRecord, ...]:
        """Return the processes of this host that run a route.

        Raises:
            StoreError: The store cannot be read.
        """
        return tuple(each for each in registered(self._ground) if route in each.trips)

    def _stored(
        self, plan: RolloutPlan, standing: Standing, problems: list[str]
    ) -> tuple[tuple[ProcessRecord, ...] | None, Evidence | None]:
        processes, evidence = None, None
        try:
            evidence = self._evidence(plan.route, standing)
            processes = self.running(plan.route)
            if not processes:
                demand_writable(self._ground.store)
        except StoreError as error:
            processes = None
            if not any(str(error) in problem for problem in problems):
                problems.append(f"store: {error}")
        return processes, evidence

    def _evidence(self, route: str, standing: Standing) -> Evidence:
        """Return what is judged now; of a held kill, what led to it.

        A held trip has no evidence of its own, nor had one that came on top of another.
        """
        read, attempt, era = self._ground.store.evidence, standing.attempt, standing.era
        if not self._switch.latch(route).held:
            return read(route, attempt=attempt, trip=era)
        earlier = range(era - 1, max(era - 1 - _TRIPS_BACK, -1), -1)
        found = (read(route, attempt=attempt, trip=trip) for trip in earlier)
        first = next(found)
        return first if first.cells else next((e for e in found if e.cells), first)

    def _lost(self, record: RolloutRecord, problems: list[str]) -> None:
        """Tell of an attempt that the ledger has and the store has not."""
        try:
            text = lost(record, self._ground.ledger.entries())
        except LedgerError:  # said already, where the latches were read
            return
        if text and not any(text in problem for problem in problems):
            problems.append(text)

    def _gate(
        self,
        plan: RolloutPlan,
        record: RolloutRecord,
        standing: Standing,
        flag: FlagState | None,
        evidence: Evidence | None,
        analysis: Analysis | None,
    ) -> Gate | None:
        weight = None if flag is None else candidate_weight(plan, flag)
        killed = standing.phase is Phase.ROLLED_BACK
        if evidence is None or analysis is None or weight is None or killed:
            return None
        asked = Asked(
            plan=plan,
            record=record,
            phase=standing.phase,
            weight=weight,
            without=standing.killed,
            now=self._now(),
        )
        return gate_of(asked, evidence, analysis)

    def _analysis(
        self,
        plan: RolloutPlan,
        record: RolloutRecord,
        standing: Standing,
        evidence: Evidence,
    ) -> Analysis:
        return analyze(
            plan,
            evidence,
            now=self._now(),
            without=standing.killed,
            renewal=Renewal.of(record),
        )

    def _flag(self, plan: RolloutPlan, problems: list[str]) -> FlagState | None:
        writer = self._ground.writer
        try:
            return None if writer is None else writer.read(flag_ref(plan))
        except FlagWriteError as error:
            problems.append(f"flag service: {error}")
            return None

    def _faults(self, route: str) -> list[str]:
        return [
            detail
            for (where, kind), detail in self._ground.faults.details().items()
            if where in {"*", route} and not kind.endswith(FORCED_IN_VAIN)
        ]

    def _lasts(self, record: RolloutRecord, phase: Phase) -> timedelta | None:
        return elapsed(record, self._now()) if phase.is_open else None

    def _now(self) -> float:
        return self._ground.clock.now().timestamp()


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
