"""One stage, a candidate of known harm, and the gate asked again and again."""

from dataclasses import dataclass
from math import inf

import numpy as np
from tests.simulations._book import plan_of
from tests.simulations._counts import Counts

from flipback.analysis import Analysis, analyze, gate
from flipback.plan import FailsOn, GateRule, RolloutPlan
from flipback.verdict import Verdict


LOOKS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """A stage and what its gate must rule out.

    Attributes:
        name: As the table says it.
        plan: With one guardrail, on a metric of 0 and 1.
        weight: Percent in force.
        next_weight: Percent that is asked for.
        base: Control's rate.
        most: Subjects of the candidate at the last look.
    """

    name: str
    plan: RolloutPlan
    weight: float
    next_weight: float
    base: float
    most: int

    def passes(self, harm: float, seed: int) -> bool:
        """Return whether the gate opens at any look, at so many times its margin."""
        rng = np.random.default_rng(seed)
        metric = self.plan.guardrails[0].metric
        counts = Counts(plan=self.plan, metric=metric, most=inf)
        rate = self.base * (1 + harm * self.signed_margin)
        peaks = analyze(self.plan, counts.evidence).peaks
        done = 0
        for look in range(1, LOOKS + 1):
            step = round(self.most * (look / LOOKS) ** 2) - done
            if step <= 0:
                continue
            done += step
            others = int(rng.negative_binomial(step, self.weight / 100))
            counts.add(rng, step, rate, served=True)
            counts.add(rng, others, self.base, served=False)
            analysis = analyze(self.plan, counts.evidence, peaks=peaks)
            peaks = analysis.peaks
            if analysis.verdict is Verdict.FAIL:
                return False
            if self._opens(counts, analysis):
                return True
        return False

    def _opens(self, counts: Counts, analysis: Analysis) -> bool:
        said = gate(
            self.plan,
            counts.evidence,
            weight=self.weight,
            next_weight=self.next_weight,
            analysis=analysis,
        )
        return said.verdict is Verdict.PASS

    @property
    def signed_margin(self) -> float:
        """Return the relative change that the gate must rule out."""
        said = gate(
            self.plan,
            Counts(plan=self.plan, metric=self.plan.guardrails[0].metric).evidence,
            weight=self.weight,
            next_weight=self.next_weight,
        )
        margin = said.findings[0].margin or 0.0
        return (
            margin if self.plan.guardrails[0].fails_on is FailsOn.INCREASE else -margin
        )


def _errors(tolerance: float, rule: str = GateRule.SCALED) -> RolloutPlan:
    guardrail = {"metric": "error", "fails_on": "increase", "tolerance": tolerance}
    return plan_of(guardrail, gate=rule)


def _helpful(tolerance: float, rule: str = GateRule.SCALED) -> RolloutPlan:
    guardrail = {"metric": "helpful", "fails_on": "decrease", "tolerance": tolerance}
    return plan_of(guardrail, gate=rule)


GATES = (
    Gated(
        name="scaled, 1 to 5 %: errors 2 %, tolerance 20 %",
        plan=_errors(0.2),
        weight=1,
        next_weight=5,
        base=0.02,
        most=3_000,
    ),
    Gated(
        name="scaled, 25 to 50 %: errors 2 %, tolerance 20 %",
        plan=_errors(0.2),
        weight=25,
        next_weight=50,
        base=0.02,
        most=15_000,
    ),
    Gated(
        name="strict, 50 to 100 %: errors 2 %, tolerance 20 %",
        plan=_errors(0.2, GateRule.STRICT),
        weight=50,
        next_weight=100,
        base=0.02,
        most=60_000,
    ),
    Gated(
        name="strict, 25 to 50 %: proportion 50 %, tolerance 5 %",
        plan=_helpful(0.05, GateRule.STRICT),
        weight=25,
        next_weight=50,
        base=0.5,
        most=15_000,
    ),
)
