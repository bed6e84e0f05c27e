"""How much evidence a test will need, foretold before there is any.

With a constant drift log E grows about an expected path. Where that path reaches
the threshold is a little beyond the mean of where tests cross, and two of three
cross earlier. Near that point log E is a random walk with drift D and variance S
per unit of evidence, whose first passage is inverse Gaussian (Tweedie 1957) with
the expected path's N as its mean and a coefficient of variation c, c^2 = S / (D^2 N);
its median is close to that of the lognormal with these moments,

    median = N / sqrt(1 + S / (D^2 N))

some three quarters of N at a threshold of log(20), and nearer for larger ones.
"""

from collections.abc import Callable, Sequence
from math import exp, inf, sqrt
from typing import NamedTuple

from flipback.stats._arm import Harm
from flipback.stats._average import mean_of_exponentials
from flipback.stats._normal_mixture import normal_mixture
from flipback.stats._one_sample import ODDS, likelihood_ratio
from flipback.stats._rate import (
    RATIOS,
    WeighedRates,
    boundary_to_rule_out,
    log_likelihood_ratios,
    ruling_out_ratios,
)


_CLOSE_ENOUGH = 1e-9
_MAX_STEPS = 200
_STEP = 1e-4


def needed_info(
    *,
    distance: float,
    log_threshold: float,
    mei: float | None = None,
    median: bool = False,
) -> float:
    """Return the information at which the normal mixture crosses.

    Information is over the design effect, as `Score.info` is; per candidate
    observation it is about (1 - share) / (variance * deff).

    Args:
        distance: How far the true mean is beyond the boundary, in the metric's
            unit. Where it is not positive nothing will do: infinite.
        log_threshold: What log E must reach, log(1 / alpha).
        mei: What the mixture is tuned to, the distance itself if None. Then the
            answer is u / distance^2, with u = 7.66 at log(20).
        median: Whether to return the median, else where the expected path crosses.

    >>> from math import log
    >>> round(needed_info(distance=0.1, log_threshold=log(20)))
    766
    """
    if not distance > 0:
        return inf
    scale = 1.0 if mei is None else mei / distance
    if not scale > 0:
        return inf
    u = _crossing(lambda u: normal_mixture(u, u, mei=scale), log_threshold)
    if median and 0 < u < inf:
        u = _median(u, drift=_slope(u, 1.0, scale), variance=_slope(u, 0.0, scale) ** 2)
    return u / distance / distance


def needed_subjects(  # noqa: PLR0913 - a split, a test, and the truth
    rate: float,
    *,
    ratio: float = 1.0,
    share: float,
    log_threshold: float,
    margin: float = 0.0,
    harm: Harm = 1,
    ruling_out: bool = False,
    median: bool = False,
) -> float:
    """Return the candidate's subjects at which the rate engine crosses.

    Infinite where no number of subjects will do, as without any event.

    Args:
        rate: Share of control's subjects with an event.
        ratio: The candidate's rate over control's, in truth.
        share: The candidate's share among subjects of both arms, between 0 and 1.
        log_threshold: What log E must reach.
        margin: Harm that is tolerated, or that is to be ruled out.
        harm: 1 where more events are harm, -1 where fewer are.
        ruling_out: Whether harm is to be ruled out (`rule_out`), or to be caught.
        median: Whether to return the median, else where the expected path crosses.
    """
    boundary, ratios = _boundary(margin, harm, ruling_out=ruling_out)
    if not (rate > 0 and ratio >= 0 and 0 < share < 1 and 0 < boundary < inf):
        return inf
    hits, others = share * min(1.0, rate * ratio), (1 - share) * min(1.0, rate)
    arms = hits, others, share, 1 - share
    if (harm > 0) == ruling_out:
        arms = others, hits, 1 - share, share
    weighed = WeighedRates.of(*arms, ratio=min(1.0, boundary))
    flips = _Flips(
        log_likelihood_ratios([WeighedRates(1, 1, weighed.odds)], boundary, ratios),
        log_likelihood_ratios([WeighedRates(0, 1, weighed.odds)], boundary, ratios),
        weighed.hits,
        weighed.events - weighed.hits,
    )
    return share * flips.needed(log_threshold, median=median)


def needed_trials(
    rate: float,
    *,
    limit: float,
    harm: Harm,
    log_threshold: float,
    median: bool = False,
) -> float:
    """Return the trials at which the one-sample engine crosses.

    Infinite where the true rate is not on the harmful side of the limit. How long
    it takes to show that a limit is kept is the same question with harm turned.

    Args:
        rate: Probability of a hit, in truth.
        limit: Probability strictly between 0 and 1.
        harm: 1 where exceeding the limit is harm, -1 where falling short is.
        log_threshold: What log E must reach.
        median: Whether to return the median, else where the expected path crosses.
    """
    turned = ODDS if harm > 0 else [1 / odds for odds in ODDS]
    flips = _Flips(
        [likelihood_ratio(1, 0, limit, odds) for odds in turned],
        [likelihood_ratio(0, 1, limit, odds) for odds in turned],
        rate,
        1 - rate,
    )
    return flips.needed(log_threshold, median=median)


class _Flips(NamedTuple):
    """What one step adds to each log likelihood ratio of a mixture.

    Attributes:
        of_hit: By ratio, for one hit.
        of_miss: By ratio, for one miss.
        hits: Expected hits per step, independent of misses, with equal variance.
        misses: Expected misses per step.
    """

    of_hit: Sequence[float]
    of_miss: Sequence[float]
    hits: float
    misses: float

    def needed(self, log_threshold: float, *, median: bool) -> float:
        """Return how many steps it takes; infinite where it only falls."""
        both = zip(self.of_hit, self.of_miss, strict=True)
        drifts = [self.hits * hit + self.misses * miss for hit, miss in both]
        if not max(drifts) > 0:
            return inf
        steps = _crossing(
            lambda steps: mean_of_exponentials([steps * drift for drift in drifts]),
            log_threshold,
        )
        if not median or not 0 < steps < inf:
            return steps
        weights = _posterior([steps * drift for drift in drifts])
        hit, miss = _dot(weights, self.of_hit), _dot(weights, self.of_miss)
        variance = self.hits * hit * hit + self.misses * miss * miss
        return _median(steps, drift=_dot(weights, drifts), variance=variance)


def _boundary(
    margin: float, harm: Harm, *, ruling_out: bool
) -> tuple[float, Sequence[float]]:
    """Return the engine's boundary, hits over others, and its grid of ratios."""
    if ruling_out:
        boundary = boundary_to_rule_out(margin, harm)
        return boundary, ruling_out_ratios(1 / boundary - 1)
    if harm > 0:
        return 1 + margin, RATIOS
    return (1 / (1 - margin) if margin < 1 else inf), RATIOS


def _crossing(rising: Callable[[float], float], wanted: float) -> float:
    """Return where a path that begins at 0 and ends beyond all bounds gets to."""
    if wanted <= 0:
        return 0.0
    high = 1.0
    while not rising(high) >= wanted:
        high *= 2
        if high == inf:
            return inf
    low = 0.0
    for _ in range(_MAX_STEPS):
        if high - low <= _CLOSE_ENOUGH * high:
            break
        middle = (low + high) / 2
        if rising(middle) < wanted:
            low = middle
        else:
            high = middle
    return high


def _slope(u: float, info: float, mei: float) -> float:
    """Return the growth of log E with the score, and with as much information."""
    step = _STEP * u
    above = normal_mixture(u + step, u + info * step, mei=mei)
    below = normal_mixture(u - step, u - info * step, mei=mei)
    return (above - below) / (2 * step)


def _median(path: float, *, drift: float, variance: float) -> float:
    squared = drift * drift * path
    return path / sqrt(1 + variance / squared) if squared > 0 else path


def _posterior(logs: Sequence[float]) -> list[float]:
    largest = max(logs)
    weights = [exp(each - largest) for each in logs]
    total = sum(weights)
    return [weight / total for weight in weights]


def _dot(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum([w * value for w, value in zip(weights, values, strict=True)])
