"""One test on some traffic: what it takes to be answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, log

from flipback.analysis import Side, Test, gate_margin, sides_of, smallest_harm
from flipback.plan import OnFail, RolloutPlan, Stage
from flipback.power._laws import Law
from flipback.power._traffic import (
    DAY_S,
    Amount,
    Flow,
    Stretch,
    matured,
    once_frozen,
)
from flipback.signals import Measure
from flipback.stats import Harm, least, needed_info, normal_mixture


NEVER_DAYS = 90
"""What takes longer is called never: nobody waits, and control is another by then."""

_OF_PERCENTILES = frozenset({Measure.TAIL, Measure.CAPPED})
_LARGEST_HARM = 50.0
_LARGEST_FALL = 0.99
_LONGEST_DAYS = 36_500.0
_FIRST_TRY = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One test under one plan and traffic: what it takes to be answered."""

    plan: RolloutPlan
    test: Test
    law: Law
    flow: Flow
    calls_per_day: float

    @property
    def delay_days(self) -> float:
        """Return how long outcomes take to mature."""
        described = self.plan.metric(self.test.guardrail.metric)
        return described.matures_after.total_seconds() / DAY_S

    @property
    def sides(self) -> tuple[Harm, ...]:
        """Return the directions that are harm."""
        return sides_of(self.test.guardrail)

    @property
    def blocks(self) -> bool:
        """Return whether the guardrail can hold a stage."""
        return self.test.guardrail.on_fail is not OnFail.WARN

    def passes(
        self, stage: Stage, *, next_weight: float, before: Sequence[Stretch] = ()
    ) -> float:
        """Return the days in a stage until its gate passes, infinite if never."""
        sides = [self.side(harm, next_weight) for harm in self.sides]
        wanted = _even_chance(log(1 / self.plan.alpha))
        return max(self._ruled_out(side, stage, before, wanted) for side in sides)

    def side(self, harm: Harm, next_weight: float) -> Side:
        """Return what is to be ruled out before a weight."""
        margin = gate_margin(self.plan, self.test.guardrail, harm, next_weight)
        return Side(harm, margin or 0.0)

    def catches(self, stage: Stage, size: float) -> float:
        """Return the days until harm of this size is caught, infinite if never."""
        expected = partial(self._harmed, stage, size)
        found = least(expected, self._own, start=_FIRST_TRY, most=_LONGEST_DAYS)
        return inf if found is None else found

    def least_harm(self, stage: Stage, days: float) -> float:
        """Return the smallest harm that is caught in so many days, infinite if none."""
        most = _LARGEST_FALL if self.sides == (-1,) else _LARGEST_HARM

        def expected(size: float) -> float:
            return self._harmed(stage, size, days)

        found = least(expected, self._own, start=min(_FIRST_TRY, most), most=most)
        return inf if found is None else found

    @property
    def harm(self) -> float:
        """Return the harm that the plan wants caught: beyond what it tolerates."""
        size = smallest_harm(self.test) + (self.test.guardrail.tolerance or 0.0)
        return min(size, _LARGEST_FALL) if self.sides == (-1,) else size

    @property
    def _own(self) -> float:
        """Return what is wanted at this share of alpha, which two ways divide."""
        weight = self.test.weight / len(self.sides)
        return _even_chance(-log(weight * self.plan.alpha)) if weight else inf

    def _ruled_out(
        self, side: Side, stage: Stage, before: Sequence[Stretch], wanted: float
    ) -> float:
        guardrail = self.test.guardrail
        if guardrail.limit is None and not side.can_be_ruled_out:
            return inf

        def expected(days: float) -> float:
            amounts = self._amounts([*before, Stretch(stage, days)])
            return self.law.alike(amounts, side)

        found = least(expected, wanted, start=_FIRST_TRY, most=_LONGEST_DAYS)
        return inf if found is None else found

    def _harmed(self, stage: Stage, size: float, days: float) -> float:
        amounts = self._amounts([Stretch(stage, days)])
        return self.law.harmed(amounts, self.sides[0], size)

    def _amounts(self, stretches: Sequence[Stretch]) -> Sequence[Amount]:
        """Return what counts of some days: frozen before, and mature after them."""
        needs_percentiles = self.test.measure in _OF_PERCENTILES
        calls = self.calls_per_day if needs_percentiles else 0.0
        counting = matured(once_frozen(stretches, calls), self.delay_days)
        return list(map(self.flow.of, counting))


def _even_chance(log_threshold: float) -> float:
    """Return how far expectations have come when half of all tests have crossed.

    Chance takes most tests over their threshold a little before the expected path
    gets there. What is true of the normal mixture is taken for the others too.
    """
    info = needed_info(distance=1.0, log_threshold=log_threshold, median=True)
    return normal_mixture(info, info, mei=1.0)
