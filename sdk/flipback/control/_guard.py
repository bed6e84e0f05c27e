"""Look at the evidence, and flip the flag back when it proves harm."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from flipback.analysis import Analysis, PeakKey, analyze
from flipback.assignment import EVERYBODY
from flipback.control._delivery import KillReport
from flipback.control._flush import Flusher
from flipback.control._killswitch import EVALUATOR, Ground, KillSwitch
from flipback.plan import RolloutPlan
from flipback.ports import Intent
from flipback.routing import EpochBook, Standing
from flipback.verdict import Finding, Verdict


_Run = tuple[str, int, int, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at one route saw and did.

    Attributes:
        route: The route.
        analysis: What the evidence says; of an empty store: INCONCLUSIVE.
        kill: What the roll back reached, None where nothing was proven.
    """

    route: str
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
    ) -> None:
        self._ground = ground
        self._switch = switch
        self._flusher = flusher
        self._epochs = epochs
        self._peaks: dict[_Run, Mapping[PeakKey, float]] = {}

    def look(self) -> tuple[Look, ...]:
        """Flush, then look at every route once; roll back where harm is proven.

        Kills and releases are read first: what was observed before the last of
        them proves nothing any more.

        Raises:
            StoreError: The evidence cannot be read; nothing was decided.
        """
        self._prepare()
        return tuple(map(self._look, self._ground.plans.values()))

    def watch(self) -> None:
        """Look at every route, each whatever became of the others, and never raise."""
        self._prepare()
        for plan in self._ground.plans.values():
            try:
                self._look(plan)
            except Exception as error:  # noqa: BLE001 - the other routes need a look
                self._ground.faults.note(plan.route, "no look at the evidence", error)

    def _prepare(self) -> None:
        self._flusher.flush()
        self._switch.refresh()

    def _look(self, plan: RolloutPlan) -> Look:
        standing = self._switch.switches[plan.route].standing
        book = self._epochs.get(plan.route)
        comparison = None if book is None else book.comparison
        evidence = self._ground.store.evidence(
            plan.route,
            attempt=standing.attempt,
            trip=standing.trip,
            comparison=comparison,
        )
        run = (plan.route, standing.attempt, standing.trip, comparison)
        analysis = analyze(plan, evidence, peaks=self._peaks.get(run, {}))
        # Without a comparison of its own this process sees whichever is the latest.
        if comparison is not None:
            self._peaks[run] = analysis.peaks
        kill = None
        if analysis.verdict is Verdict.FAIL and not self._switch.latch(plan.route).held:
            kill = self._roll_back(plan, analysis, standing)
        return Look(route=plan.route, analysis=analysis, kill=kill)

    def _roll_back(
        self, plan: RolloutPlan, analysis: Analysis, standing: Standing
    ) -> KillReport:
        for finding in culprits(analysis):
            self._ground.events.verdict(plan.route, finding)
        intent = Intent(
            id=_intent(plan, standing),
            actor=EVALUATOR,
            reason="; ".join(map(describe, culprits(analysis))),
        )
        return self._switch.kill(plan.route, intent=intent, automatic=True)


def culprits(analysis: Analysis) -> tuple[Finding, ...]:
    """Return what to blame: the attributed findings, else the most likely one."""
    if analysis.broken or analysis.suspect is None:
        return analysis.broken
    return (analysis.suspect,)


def describe(finding: Finding) -> str:
    """Return one finding in one sentence: metric, cohort, size and certainty."""
    where = f"cohort {finding.cohort}" if finding.cohort != EVERYBODY else "everybody"
    effect = finding.relative_effect
    change = "" if effect is None else f" ({effect:+.1%})"
    return (
        f"{finding.metric} {_spelled(finding.candidate_value)} against "
        f"{_spelled(finding.control_value)} of control{change} for {where}, "
        f"from {finding.candidate_n} candidate and {finding.control_n} control "
        f"observations, log E {finding.log_e:.2f}"
    )


def _spelled(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _intent(plan: RolloutPlan, standing: Standing) -> str:
    """Return the same id in every process that proves the same harm."""
    named = f"{plan.route}|{standing.attempt}|{standing.trip}|roll back"
    return hashlib.sha256(named.encode()).hexdigest()[:16]
