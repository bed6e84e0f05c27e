"""Look at the evidence, and flip the flag back when it proves harm."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from flipback.analysis import Analysis, PeakKey, Renewal, analyze, describe
from flipback.assignment import EVERYBODY, Cohort
from flipback.booking import Booking
from flipback.control._accepted import AcceptedPlans
from flipback.control._dry_run import DryRun
from flipback.control._flush import Flusher
from flipback.control._ground import Ground
from flipback.control._killswitch import EVALUATOR, KillSwitch
from flipback.control._reached import KillReport
from flipback.control._told import told_of_freeze
from flipback.exposure import Evidence
from flipback.histogram import Histogram
from flipback.latch import scoped
from flipback.plan import RolloutPlan
from flipback.ports import Intent
from flipback.rollout import Phase, RolloutRecord
from flipback.routing import EpochBook, Standing
from flipback.verdict import Action, Finding


UNTRUSTED = "the data cannot be trusted, so nothing moves"
_Run = tuple[str, int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at one route saw and did.

    Attributes:
        route: The route.
        record: Where the rollout stood when the evidence was read.
        plan: The plan in force.
        loosened: What the plan in the files promises less of; empty where it is in
            force.
        without: Cohorts that are rolled back on their own already.
        era: The period of the attempt that the evidence is of.
        evidence: What was looked at.
        analysis: What the evidence says; of an empty store: INCONCLUSIVE.
        kill: What the roll back reached, None where nothing was proven.
    """

    route: str
    record: RolloutRecord
    plan: RolloutPlan
    loosened: tuple[str, ...]
    without: frozenset[Cohort]
    era: int
    evidence: Evidence
    analysis: Analysis
    kill: KillReport | None


class GuardrailEvaluator:
    """Analyses each route's evidence; any process may, and any may roll back.

    The evidence is read from the store, so all processes see the same, and a
    second process that proves the same harm makes no second trip.
    """

    def __init__(
        self,
        ground: Ground,
        switch: KillSwitch,
        flusher: Flusher,
        epochs: Mapping[str, EpochBook],
        *,
        dry_run: bool = False,
    ) -> None:
        self._ground = ground
        self._switch = switch
        self._flusher = flusher
        self._epochs = epochs
        self._dry = DryRun(ground) if dry_run else None
        self._accepted = AcceptedPlans()
        self._peaks: dict[_Run, Mapping[PeakKey, float]] = {}
        self._untrusted: set[str] = set()
        self._freezing = [
            plan for plan in ground.plans.values() if Booking(plan).freezes
        ]

    def look(self) -> tuple[Look, ...]:
        """Flush, then look at every route once; roll back where harm is proven.

        Kills and releases are read first: what was observed before the last of
        them proves nothing any more.

        Raises:
            StoreError: The evidence cannot be read; nothing was decided.
        """
        self._prepare()
        return tuple(map(self._look, self._ground.plans.values()))

    def watch(self) -> tuple[Look, ...]:
        """Look at every route, each whatever became of the others, and never raise."""
        self._prepare()
        looks: list[Look] = []
        for plan in self._ground.plans.values():
            try:
                looks.append(self._look(plan, shown=False))
            except Exception as error:  # noqa: BLE001 - the other routes need a look
                self._ground.faults.note(plan.route, "no look at the evidence", error)
        return tuple(looks)

    def catch_up(self) -> None:
        """Take over what others have frozen, without a look; never raises."""
        for plan in self._freezing:
            self._freeze(plan, "", {})

    def _prepare(self) -> None:
        self._flusher.flush()
        self._switch.refresh()

    def _look(self, plan: RolloutPlan, *, shown: bool = True) -> Look:
        standing = self._switch.switches[plan.route].standing
        record = self._switch.records.get(plan.route, RolloutRecord(route=plan.route))
        accepted = self._accepted.of(plan, record)
        book = self._epochs.get(plan.route)
        evidence = self._ground.store.evidence(
            plan.route,
            attempt=standing.attempt,
            trip=standing.era,
            comparison=None if book is None else book.comparison,
        )
        renewal = Renewal.of(record)
        analysis = self._analysis(
            accepted.plan, standing, evidence, renewal, shown=shown
        )
        kill = self._act(accepted.plan, analysis, standing)
        if plan in self._freezing and self._dry is None:
            self._freeze(plan, evidence.comparison, evidence.histograms)
        return Look(
            route=plan.route,
            record=record,
            plan=accepted.plan,
            loosened=accepted.loosened,
            without=standing.killed,
            era=standing.era,
            evidence=evidence,
            analysis=analysis,
            kill=kill,
        )

    def _analysis(
        self,
        plan: RolloutPlan,
        standing: Standing,
        evidence: Evidence,
        renewal: Renewal | None,
        *,
        shown: bool,
    ) -> Analysis:
        run = (plan.route, standing.attempt, standing.era, evidence.comparison)
        peaks = self._peaks.get(run, {})
        now = self._ground.clock.now().timestamp()
        without = standing.killed
        look = partial(
            analyze,
            plan,
            evidence,
            peaks=peaks,
            now=now,
            without=without,
            renewal=renewal,
        )
        analysis = look(shown=shown)
        if analysis.action is Action.ROLL_BACK and not shown:
            analysis = look()
        self._peaks[run] = analysis.peaks
        return analysis

    def _act(
        self, plan: RolloutPlan, analysis: Analysis, standing: Standing
    ) -> KillReport | None:
        self._tell_of_doubt(plan.route, analysis, standing)
        held = self._switch.latch(plan.route).held
        finished = standing.phase is Phase.FINISHED
        if analysis.action is not Action.ROLL_BACK or held or finished:
            return None
        return self._roll_back(plan, analysis, standing)

    def _roll_back(
        self, plan: RolloutPlan, analysis: Analysis, standing: Standing
    ) -> KillReport | None:
        name = scoped(plan.route, self._scope(analysis, standing))
        found = tuple(map(describe, culprits(analysis)))
        if self._dry is not None:
            run = (standing.attempt, standing.era)
            self._dry.would_kill(name, run=run, why="; ".join(found), findings=found)
            return None
        for finding in culprits(analysis):
            self._ground.events.verdict(plan.route, finding)
        intent = Intent(
            id=_intent(name, standing),
            actor=EVALUATOR,
            reason="; ".join(found),
            findings=found,
        )
        return self._switch.kill(name, intent=intent, automatic=True)

    def _scope(self, analysis: Analysis, standing: Standing) -> Cohort:
        """Return whom to roll back: one cohort alone only where that is the harm.

        A second cohort is a sign that it is not the cohort. A service that cannot keep
        one cohort out in one write takes the candidate from everybody.
        """
        writer = self._ground.writer
        able = writer is None or writer.capabilities.cohorts
        match analysis.cohorts:
            case (cohort,) if able and not standing.killed:
                return cohort
            case _:
                return EVERYBODY

    def _tell_of_doubt(
        self, route: str, analysis: Analysis, standing: Standing
    ) -> None:
        """Say that data cannot be trusted; it proves nothing, so it kills nothing."""
        if analysis.action is not Action.FREEZE:
            self._untrusted.discard(route)
            return
        why = "; ".join(analysis.frozen)
        self._ground.faults.note(route, UNTRUSTED, why)
        if route not in self._untrusted:
            self._untrusted.add(route)
            self._ground.events.freeze(route, why)
        told = told_of_freeze(
            route,
            why,
            attempt=standing.attempt,
            trip=standing.era,
            at=self._ground.clock.now(),
        )
        self._ground.tell(told)

    def _freeze(
        self, plan: RolloutPlan, comparison: str, histograms: Mapping[str, Histogram]
    ) -> None:
        """Freeze what control suffices for, and take over what others have frozen.

        All processes get what the first one froze, whatever the order of their
        looks, and so come to the same epoch.
        """
        book = self._epochs.get(plan.route)
        comparison = comparison if book is None else book.comparison
        if not comparison:
            return
        sufficient = {m: h.frozen() for m, h in histograms.items()}
        ready = {metric: frozen for metric, frozen in sufficient.items() if frozen}
        try:
            known = self._ground.store.freeze(plan.route, comparison, ready)
        except Exception as error:  # noqa: BLE001 - a look has done what it is for
            self._ground.faults.note(plan.route, "percentiles not frozen", error)
            return
        self._switch.freeze(plan.route, known)


def culprits(analysis: Analysis) -> tuple[Finding, ...]:
    """Return what to blame: the attributed findings, else the most likely one."""
    if analysis.broken or analysis.suspect is None:
        return analysis.broken
    return (analysis.suspect,)


def _intent(name: str, standing: Standing) -> str:
    """Return the same id in every process that proves the same harm."""
    named = f"{name}|{standing.attempt}|{standing.era}|roll back"
    return hashlib.sha256(named.encode()).hexdigest()[:16]
