"""How control's values are distributed, in bins that add up."""

from collections.abc import Mapping
from math import ceil, log
from typing import NamedTuple, Self


MIN_OBSERVATIONS = 1_000
"""Observations of control before its percentiles are frozen."""

TAIL_AT = 0.95
CAP_AT = 0.995
_GROWTH = 1.02
_LOG_GROWTH = log(_GROWTH)
_LEAST = 1e-9


class Threshold(NamedTuple):
    """Percentiles of control, frozen before an epoch and the same for all of it.

    Attributes:
        tail: The 95th percentile; what exceeds it is in the tail.
        cap: The 99.5th percentile; what exceeds it is cut off there.
    """

    tail: float
    cap: float


Thresholds = Mapping[str, Threshold]
"""Frozen percentiles by metric."""


class Histogram:
    """Counts in bins of 2 % width; what is not above 0 has a bin of its own.

    Counts add up in any order, so percentiles do not depend on who saw what.
    """

    __slots__ = ("bins",)

    def __init__(self, bins: Mapping[int, int] | None = None) -> None:
        self.bins: dict[int, int] = dict(bins or {})

    def add(self, value: float) -> None:
        """Count one finite value."""
        number = _bin(value)
        self.bins[number] = self.bins.get(number, 0) + 1

    def merge(self, other: Self) -> None:
        """Add the counts of another histogram."""
        for number, count in other.bins.items():
            self.bins[number] = self.bins.get(number, 0) + count

    @property
    def total_n(self) -> int:
        """Return the number of values."""
        return sum(self.bins.values())

    def quantile(self, share: float) -> float:
        """Return the upper end of the bin in which this share of values is reached.

        Args:
            share: Between 0 and 1. Without values the answer is 0.
        """
        wanted, seen = share * self.total_n, 0
        for number in sorted(self.bins):
            seen += self.bins[number]
            if seen >= wanted:
                return _upper_end(number)
        return 0.0

    def frozen(self) -> Threshold | None:
        """Return the percentiles to freeze, None before there are enough values."""
        if self.total_n < MIN_OBSERVATIONS:
            return None
        return Threshold(tail=self.quantile(TAIL_AT), cap=self.quantile(CAP_AT))


_LOWEST = ceil(log(_LEAST) / _LOG_GROWTH) - 1
"""The bin of everything that is not above `_LEAST`."""


def _bin(value: float) -> int:
    return ceil(log(value) / _LOG_GROWTH) if value > _LEAST else _LOWEST


def _upper_end(number: int) -> float:
    return 0.0 if number == _LOWEST else _GROWTH**number
