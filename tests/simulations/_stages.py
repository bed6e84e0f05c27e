"""A ramp whose stages the gate leaves, as a controller lets it, and late harm."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from tests.simulations._book import plan_of
from tests.simulations._counts import Counts
from tests.simulations._race import OURS, Ending

from flipback.analysis import Analysis, Renewal, analyze, gate
from flipback.exposure import Evidence
from flipback.plan import RolloutPlan
from flipback.verdict import Verdict


WEIGHTS = (1, 5, 25, 50, 75, 95)
_ERROR = {"metric": "error", "fails_on": "increase", "tolerance": 0.5}


class At(NamedTuple):
    """Where a run ended: in which stage, after how many of its candidate's subjects."""

    stage: int
    subjects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Six stages of subjects who come once, and a metric of 0 and 1.

    Attributes:
        name: As the table says it.
        base: Control's rate, and the candidate's where nothing harms.
        harmed: The candidate's rate once it is harmed.
        from_stage: The first stage that is, None for none.
        step: Subjects of the candidate between two looks.
        window: Looks in a stage before its gate is asked.
        most: Looks in a stage before the run ends where it stands, or a stage ends
            whatever its gate says, if it is `hasty`.
        hasty: A person moves on where the gate does not, and always just then when
            the candidate looks worse than before: the worst of moments to begin anew.
        renews: Whether what is seen since the last stage began is weighed on its own.
    """

    name: str = "A/A, six stages that the gate leaves"
    base: float = 0.02
    harmed: float = 0.02
    from_stage: int | None = None
    step: int = 400
    window: int = 1
    most: int = 8
    hasty: bool = False
    renews: bool = True

    def run(self, seed: int) -> Ending:
        """Return after how many of a stage's subjects it was rolled back, if it was."""
        found = self.rolled_back(seed)
        return {OURS: None if found is None else found.subjects}

    def rolled_back(self, seed: int) -> At | None:
        """Return where the candidate was rolled back."""
        plan, rng = self.plan, np.random.default_rng(seed)
        shares = {_epoch(at): weight / 100 for at, weight in enumerate(WEIGHTS)}
        counts = Counts(plan=plan, metric="error", share=shares)
        peaks = analyze(plan, counts.evidence).peaks
        for stage, weight in enumerate(WEIGHTS):
            before = 0.0
            for look in range(1, self.most + 1):
                self._serve(counts, rng, stage)
                evidence = _opened(counts.evidence, stage)
                renewal = Renewal(stage, float(stage)) if self.renews else None
                said = analyze(
                    plan, evidence, peaks=peaks, shown=False, renewal=renewal
                )
                peaks = said.peaks
                if said.verdict is Verdict.FAIL:
                    return At(stage, look * self.step)
                asked = look >= self.window
                if asked and self._leaves(plan, evidence, said, weight, before):
                    break
                before = said.log_g
            else:
                if not self.hasty:
                    return None
        return None

    @property
    def plan(self) -> RolloutPlan:
        return plan_of(_ERROR, stages=[{"weight": weight} for weight in WEIGHTS])

    def _serve(self, counts: Counts, rng: np.random.Generator, stage: int) -> None:
        weight, epoch = WEIGHTS[stage] / 100, _epoch(stage)
        harmed = self.from_stage is not None and stage >= self.from_stage
        rate = self.harmed if harmed else self.base
        others = int(rng.negative_binomial(self.step, weight))
        counts.add(rng, self.step, rate, served=True, epoch=epoch)
        counts.add(rng, others, self.base, served=False, epoch=epoch)

    def _leaves(
        self,
        plan: RolloutPlan,
        evidence: Evidence,
        said: Analysis,
        weight: float,
        before: float,
    ) -> bool:
        if self.hasty:
            return said.log_g > before
        gated = gate(plan, evidence, weight=weight, analysis=said)
        return gated.verdict is Verdict.PASS


ROLLOUTS = (
    Staged(),
    Staged(
        name="harm as large as is tolerated, a person moves on at the worst moments",
        harmed=0.03,
        from_stage=0,
        hasty=True,
    ),
)


def _epoch(stage: int) -> str:
    return f"e{stage}"


def _opened(evidence: Evidence, stage: int) -> Evidence:
    opened = {_epoch(number): float(number) for number in range(stage + 1)}
    return replace(evidence, opened=opened)
