"""What a mature exposure without an outcome counts as."""

from flipback.analysis._weights import Test
from flipback.plan import FailsOn, RolloutPlan
from flipback.signals import Measure


_BAD = {FailsOn.INCREASE: 1.0, FailsOn.DECREASE: 0.0}
_FILLED = frozenset({Measure.VALUE, Measure.CAPPED})


def missing_as(plan: RolloutPlan, test: Test) -> float | None:
    """Return the value that a missing outcome counts as, None if it does not count.

    Ratios and sums are made of what was recorded alone, and so are the two measures
    of a latency. `bad` says nothing of a metric that fails on any change.
    """
    described = plan.metric(test.guardrail.metric)
    if described.components or test.measure not in _FILLED:
        return None
    match described.missing:
        case "exclude":
            return None
        case "bad":
            return _BAD.get(test.guardrail.fails_on)
        case float() | int() as value:
            return value
