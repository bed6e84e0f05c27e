"""By how much clustering of subjects inflates the variance of a mean.

Requests of one subject are not independent. Subjects are hashed into B = 64
buckets (random groups; Chamandy et al. 2012), and the scatter of the buckets'
influence on a weighted mean against what independence would give is the design
effect, which is held to be at least 1:

    infl_b = sum over e of w_e * (x_e,b - R_e n_e,b) / n_e
    deff   = B/(B-1) * sum over b of infl_b^2 / sum over e of w_e^2 s2_e / n_e

A subject keeps its bucket in all strata, so influences are added by bucket before
they are squared: what one subject did in two epochs counts together.
"""

from collections.abc import Iterable, Sequence
from math import inf
from operator import add, mul

from flipback.exposure import BUCKETS
from flipback.stats._arm import Arm


_UNBIASED = BUCKETS / (BUCKETS - 1)
_CHANCE = 1.5
"""How much larger the candidate's design effect must be to count: of two estimates
from 64 buckets without any clustering the quotient is beyond it in 1 of 18 looks."""

WeighedArms = Sequence[tuple[Arm, float]]
"""One arm in its strata, each with the stratum's weight."""


def design_effect(
    weighed_arms: Iterable[tuple[Arm, float]], *, least: float = 1.0
) -> float:
    """Return by how much clustering of subjects inflates the variance of a mean.

    Args:
        weighed_arms: One arm in its strata, each with the stratum's weight.
        least: Returned where the scatter is smaller, or nothing varies.
    """
    influence = [0.0] * BUCKETS
    independent = 0.0
    for arm, weight in weighed_arms:
        if not arm.variance:
            continue  # its scatter is what rounding left
        scale = weight / arm.n
        expected = scale * arm.centred
        influence = [
            total + scale * x - expected * n
            for total, x, n in zip(influence, arm.bucket_x, arm.bucket_n, strict=True)
        ]
        independent += scale * scale * arm.variance * arm.n
    if not independent > 0:
        return least
    scatter = sum([total * total for total in influence])
    return max(least, _UNBIASED * scatter / independent)


def recurrence(strata: Iterable[Arm]) -> float:
    """Return by how much it inflates a variance that strata share subjects.

    For what counts each subject once in a stratum: such counts need no design effect
    within one, but whoever returns in the next hour or epoch is counted there again.
    It is the scatter of the buckets' sums about what the stratum lets expect, added
    over strata before it is squared, against the sum of the squares of each stratum; 1
    at least, and where nothing varies.

    Args:
        strata: One arm in its strata.
    """
    influence = [0.0] * BUCKETS
    apart = 0.0
    for arm in strata:
        if mean := arm.centred:
            sums = zip(arm.bucket_x, arm.bucket_n, strict=True)
            parts = [x - mean * n for x, n in sums]
            apart += sum(map(mul, parts, parts))
            influence = list(map(add, influence, parts))
    together = sum(map(mul, influence, influence))
    return max(1.0, together / apart) if 0 < apart < inf else 1.0


def of_either(control: float, candidate: float) -> float:
    """Return a design effect for both arms, from what each of them seems to have.

    Control's stands for both. Where subjects are few it may by luck have none of those
    who cluster; so the candidate's counts where it is larger by more than chance.
    """
    return max(control, candidate / _CHANCE)


def covariance(one: WeighedArms, other: WeighedArms) -> float:
    """Return the covariance of two weighted means that share subjects."""
    mine, theirs = _influence(one), _influence(other)
    return _UNBIASED * sum([a * b for a, b in zip(mine, theirs, strict=True)])


def _influence(weighed_arms: WeighedArms) -> list[float]:
    influence = [0.0] * BUCKETS
    for arm, weight in weighed_arms:
        parts = zip(influence, arm.influence(), strict=True)
        influence = [total + weight * part for total, part in parts]
    return influence
