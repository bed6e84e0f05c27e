"""How alpha is shared out among the tests of a plan."""

from collections.abc import Sequence
from typing import NamedTuple

from flipback.assignment import EVERYBODY, Cohort
from flipback.plan import Guardrail, OnFail, RolloutPlan


class Test(NamedTuple):
    """One guardrail in one cohort.

    Attributes:
        place: Index of the guardrail in the plan.
        guardrail: The promise.
        cohort: Where it is tested.
        weight: Share of its process's alpha.
    """

    place: int
    guardrail: Guardrail
    cohort: Cohort
    weight: float


def tests_of(plan: RolloutPlan) -> tuple[Test, ...]:
    """Return all tests of a plan in its order, weights summing to 1 per process.

    Each way to fail is a process with its own alpha: what pauses takes nothing
    from what rolls back. Inside, half goes to the aggregate and half to the
    cohorts, by importance; all goes to the aggregate where there are no cohorts.
    """
    planned = [
        Test(place, guardrail, cohort, 0.0)
        for place, guardrail in enumerate(plan.guardrails)
        for cohort in plan.watched(guardrail)
    ]
    weights = {on_fail: _halves(planned, on_fail) for on_fail in OnFail}
    return tuple(
        test._replace(
            weight=test.guardrail.importance
            * weights[test.guardrail.on_fail][test.cohort == EVERYBODY]
        )
        for test in planned
    )


def _halves(planned: Sequence[Test], on_fail: OnFail) -> tuple[float, float]:
    """Return the weight per unit of importance of cohorts, and of the aggregate."""
    of_cohorts = of_everybody = 0.0
    for test in planned:
        if test.guardrail.on_fail is on_fail:
            if test.cohort == EVERYBODY:
                of_everybody += test.guardrail.importance
            else:
                of_cohorts += test.guardrail.importance
    if not of_everybody:
        return (0.0, 0.0)
    if not of_cohorts:
        return (0.0, 1 / of_everybody)
    return (0.5 / of_cohorts, 0.5 / of_everybody)
