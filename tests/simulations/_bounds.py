"""What a number of runs tells of a rate, or of a waiting time."""

from collections.abc import Sequence
from math import ceil

from scipy.stats import beta


def upper_bound(hits: int, runs: int, *, confidence: float = 0.95) -> float:
    """Return the exact one-sided upper bound of a rate (Clopper and Pearson)."""
    if hits >= runs:
        return 1.0
    return float(beta.ppf(confidence, hits + 1, runs - hits))


def lower_bound(hits: int, runs: int, *, confidence: float = 0.95) -> float:
    """Return the exact one-sided lower bound of a rate (Clopper and Pearson)."""
    return float(beta.ppf(1 - confidence, hits, runs - hits + 1)) if hits else 0.0


def reached_by(waits: Sequence[int | None], share: float) -> int | None:
    """Return by when this share of runs had ended, None if fewer ever did."""
    ended = sorted(wait for wait in waits if wait is not None)
    needed = max(1, ceil(share * len(waits)))
    return ended[needed - 1] if needed <= len(ended) else None
