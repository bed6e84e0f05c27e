"""How alpha is shared out among the tests of a plan."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from flipback.assignment import EVERYBODY, Cohort
from flipback.plan import Guardrail, MetricKind, OnFail, RolloutPlan
from flipback.signals import Measure


_MEASURES = {
    MetricKind.EVENT: (Measure.VALUE,),
    MetricKind.MEAN: (Measure.VALUE,),
    MetricKind.HEAVY_TAIL: (Measure.CAPPED,),
    MetricKind.LATENCY: (Measure.LOG, Measure.TAIL),
}


class Test(NamedTuple):
    """One measure of one guardrail in one cohort.

    Attributes:
        place: Index of the guardrail in the plan.
        guardrail: The promise.
        cohort: Where it is tested.
        measure: What of the metric is weighed.
        weight: Share of its process's alpha.
    """

    place: int
    guardrail: Guardrail
    cohort: Cohort
    measure: Measure
    weight: float


def tests_of(plan: RolloutPlan) -> tuple[Test, ...]:
    """Return all tests of a plan in its order, weights summing to 1 per process.

    Each way to fail is a process with its own alpha: what pauses takes nothing
    from what rolls back. Inside, half goes to the aggregate and half to the
    cohorts, by importance; all goes to the aggregate where there are no cohorts.
    The two measures of a latency share what their guardrail is given.
    """
    planned = [
        Test(place, guardrail, cohort, Measure.VALUE, 0.0)
        for place, guardrail in enumerate(plan.guardrails)
        for cohort in plan.watched(guardrail)
    ]
    shares = {on_fail: _Shares.of(planned, on_fail) for on_fail in OnFail}
    return tuple(
        test._replace(
            measure=measure,
            weight=shares[test.guardrail.on_fail].weight_of(test) / len(measures),
        )
        for test in planned
        for measures in [measures_of(plan, test.guardrail)]
        for measure in measures
    )


def tests_but(plan: RolloutPlan, without: Collection[Cohort]) -> tuple[Test, ...]:
    """Return all tests but those of some cohorts; everybody is never left out.

    The weights are those of the whole plan, so what is left sums to less than 1.
    """
    return tuple(
        test
        for test in tests_of(plan)
        if test.cohort == EVERYBODY or test.cohort not in without
    )


def measures_of(plan: RolloutPlan, guardrail: Guardrail) -> tuple[Measure, ...]:
    """Return what is weighed of a guardrail; against a limit, the values alone."""
    if guardrail.limit is not None:
        return (Measure.VALUE,)
    return _MEASURES[plan.kind_of(guardrail.metric)]


class _Shares(NamedTuple):
    """How one process divides its alpha, by importance relative to the largest.

    Relative importances add up without overflow, however large they were written.
    """

    largest: float = 1.0
    of_everybody: float = 0.0
    of_cohorts: float = 0.0

    @classmethod
    def of(cls, planned: Sequence[Test], on_fail: OnFail) -> "_Shares":
        tests = [test for test in planned if test.guardrail.on_fail is on_fail]
        largest = max([test.guardrail.importance for test in tests], default=1.0)
        totals = {True: 0.0, False: 0.0}
        for test in tests:
            totals[test.cohort == EVERYBODY] += test.guardrail.importance / largest
        return cls(largest, totals[True], totals[False])

    def weight_of(self, test: Test) -> float:
        """Return a test's share; 0 by underflow, if others matter so much more."""
        relative = test.guardrail.importance / self.largest
        if not self.of_cohorts:
            return relative / self.of_everybody
        half = self.of_everybody if test.cohort == EVERYBODY else self.of_cohorts
        return relative / half / 2
