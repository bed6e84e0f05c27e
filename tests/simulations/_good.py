"""A candidate as good as control, and the days until the last stage lets it go."""

from dataclasses import dataclass
from math import inf

import numpy as np
from tests.simulations._book import plan_of
from tests.simulations._counts import Counts

from flipback.analysis import analyze, gate
from flipback.plan import RolloutPlan
from flipback.power import Baseline, Traffic, power
from flipback.tally import MAX_SUBJECTS
from flipback.verdict import Verdict


USERS_A_DAY = 100_000
ERRORS = 0.02
HOURS = 24
LAST_DAY = 60
WEIGHTS = (1, 5, 25, 50, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A ramp that is asked at each full hour whether it may go on.

    Attributes:
        name: As the table says it.
        tolerance: Of the guardrail on errors.
        kept: Hashes of subjects that are kept.
        asks: Whether the flag service tells which share is in force.
    """

    name: str
    tolerance: float
    kept: float = MAX_SUBJECTS
    asks: bool = True

    @property
    def plan(self) -> RolloutPlan:
        """Return the plan."""
        guardrail = {
            "metric": "error",
            "fails_on": "increase",
            "tolerance": self.tolerance,
        }
        return plan_of(guardrail, stages=[{"weight": weight} for weight in WEIGHTS])

    def foretold(self) -> float:
        """Return the days that `power` expects."""
        traffic = Traffic(
            calls_per_day=USERS_A_DAY, baselines={"error": Baseline(mean=ERRORS)}
        )
        return power(self.plan, traffic).lasts_days

    def run(self, seed: int) -> float | None:
        """Return the days it took, None if it was rolled back or had not passed."""
        rng, plan = np.random.default_rng(seed), self.plan
        shares = {f"e{stage}": weight / 100 for stage, weight in enumerate(WEIGHTS)}
        known = shares if self.asks else None
        counts = Counts(plan=plan, metric="error", share=known, most=self.kept)
        peaks = analyze(plan, counts.evidence).peaks
        stage = 0
        for hour in range(1, HOURS * LAST_DAY + 1):
            weight = WEIGHTS[stage]
            served = int(rng.binomial(USERS_A_DAY // HOURS, weight / 100))
            others = USERS_A_DAY // HOURS - served
            for n, is_candidate in ((served, True), (others, False)):
                if n:
                    counts.add(rng, n, ERRORS, served=is_candidate, epoch=f"e{stage}")
            analysis = analyze(plan, counts.evidence, peaks=peaks)
            peaks = analysis.peaks
            if analysis.verdict is Verdict.FAIL:
                return None
            said = gate(plan, counts.evidence, weight=weight, analysis=analysis)
            if said.verdict is Verdict.PASS:
                stage += 1
            if stage == len(WEIGHTS):
                return hour / HOURS
        return None


ROLLOUTS = (
    Rollout(name="tolerance 20 %", tolerance=0.2),
    Rollout(name="tolerance 20 %, no flag service to ask", tolerance=0.2, asks=False),
    Rollout(name="tolerance 5 %", tolerance=0.05),
    Rollout(name="tolerance 5 %, every subject kept", tolerance=0.05, kept=inf),
    Rollout(name="tolerance 5 %, no flag service to ask", tolerance=0.05, asks=False),
)
