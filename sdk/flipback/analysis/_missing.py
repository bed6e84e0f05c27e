"""What a mature exposure without an outcome counts as."""

from collections.abc import Iterable

from flipback.analysis._weights import Test
from flipback.exposure import BUCKETS, Cell
from flipback.plan import FailsOn, RolloutPlan
from flipback.signals import Measure
from flipback.stats import Arm, design_effect, uncentred


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


def unanswered(outcomes: Cell | None, exposed: Cell | None) -> int:
    """Return how many exposures have no outcome."""
    return 0 if exposed is None else sum(_gaps(outcomes, exposed))


def hits_of(exposed: Cell | None, outcomes: Cell | None, *, bad: bool) -> Arm | None:
    """Return the exposures with an event, or without an outcome where that is bad."""
    if exposed is None:
        return None
    hits = [0.0] * BUCKETS if outcomes is None else uncentred(outcomes)
    if bad:
        missing = _gaps(outcomes, exposed)
        hits = [known + gap for known, gap in zip(hits, missing, strict=True)]
    return Arm.counted(hits, exposed.n)


def spread_of_gaps(arms: Iterable[tuple[Cell | None, Cell]]) -> float:
    """Return how many missing outcomes say no more than one that is independent.

    Who never reports may be somebody who asks a hundred times.

    Args:
        arms: Outcomes and exposures by stratum, of one arm or of both.
    """
    found = [Arm.counted(_gaps(cell, exposed), exposed.n) for cell, exposed in arms]
    return design_effect([(arm, arm.n) for arm in found if arm is not None])


def _gaps(outcomes: Cell | None, exposed: Cell) -> list[int]:
    """Return the exposures without an outcome by bucket, shape (64,)."""
    if outcomes is None:
        return list(exposed.n)
    return [max(0, n - m) for n, m in zip(exposed.n, outcomes.n, strict=True)]
