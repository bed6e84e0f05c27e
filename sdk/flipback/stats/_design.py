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

from flipback.exposure import BUCKETS
from flipback.stats._arm import Arm


_UNBIASED = BUCKETS / (BUCKETS - 1)

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
