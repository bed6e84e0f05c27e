"""The one-sample engine: 0/1 outcomes against an absolute limit."""

from math import log

from flipback.stats._average import mean_of_exponentials
from flipback.stats._score import Harm


_ODDS = (1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 6, 10, 20, 50, 200)


def one_sample(k: float, n: float, *, limit: float, harm: Harm = 1) -> float:
    """Return log E against "the probability of a hit does not breach the limit".

    The mean of the likelihood ratios of odds 1.1 to 200 times worse than the limit
    (Wald's mixture on a grid); each is a martingale at the limit and falls below
    it, so no approximation is made.

    Args:
        k: Hits; may be a fraction, where hits and trials are divided by a design
            effect.
        n: Trials, at least k. None at all is no evidence: 0.
        limit: Probability strictly between 0 and 1.
        harm: 1 where exceeding the limit is harm, -1 where falling short is.
    """
    misses = n - k
    return mean_of_exponentials(
        [_log_ratio(k, misses, limit, odds if harm > 0 else 1 / odds) for odds in _ODDS]
    )


def _log_ratio(hits: float, misses: float, limit: float, odds: float) -> float:
    """Return the log likelihood ratio of a limit with its odds multiplied."""
    scale = log(1 - limit + limit * odds)
    return hits * (log(odds) - scale) - misses * scale
