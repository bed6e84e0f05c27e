"""The one-sample engine: 0/1 outcomes against an absolute limit."""

from collections.abc import Sequence
from math import log

from flipback.stats._arm import Harm
from flipback.stats._average import either, mean_of_exponentials


ODDS = (1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 6, 10, 20, 50, 200)
_SPLIT_ODDS = (1.02, 1.05, *ODDS)


def one_sample(
    k: float,
    n: float,
    *,
    limit: float,
    harm: Harm = 1,
    odds: Sequence[float] = ODDS,
) -> float:
    """Return log E against "the probability of a hit does not breach the limit".

    The mean of the likelihood ratios of odds 1.1 to 200 times worse than the limit
    (Wald's mixture on a grid); each is a martingale at the limit and falls below
    it, so no approximation is made. With harm turned it is the evidence that the
    limit is kept.

    Args:
        k: Hits; may be a fraction, where hits and trials are divided by a design
            effect.
        n: Trials, at least k. None at all is no evidence: 0.
        limit: Probability strictly between 0 and 1.
        harm: 1 where exceeding the limit is harm, -1 where falling short is.
        odds: How many times worse than the limit's; each above 1.
    """
    misses = n - k
    turned = odds if harm > 0 else [1 / ratio for ratio in odds]
    return mean_of_exponentials(
        [likelihood_ratio(k, misses, limit, ratio) for ratio in turned]
    )


def split_ratio(candidate: int, total: int, *, share: float) -> float:
    """Return log E against "the arms have the shares of subjects that were set".

    Two-sided; what it finds is that the data cannot be trusted (sample ratio
    mismatch), never harm. Subjects are counted, not requests: a failing candidate
    may be asked more often. Where the share is not between 0 and 1 nothing can be
    compared: 0.

    Args:
        candidate: Distinct subjects of the candidate.
        total: Those of both arms.
        share: The candidate's share of both as the flag service had it.
    """
    if not 0 < share < 1:
        return 0.0
    return either(
        one_sample(candidate, total, limit=share, harm=1, odds=_SPLIT_ODDS),
        one_sample(candidate, total, limit=share, harm=-1, odds=_SPLIT_ODDS),
    )


def likelihood_ratio(hits: float, misses: float, limit: float, odds: float) -> float:
    """Return the log likelihood ratio of a limit with its odds multiplied."""
    scale = log(1 - limit + limit * odds)
    return hits * (log(odds) - scale) - misses * scale
