"""Running maxima, the only state between looks besides the sums."""

from collections.abc import Mapping
from math import inf, isfinite
from types import MappingProxyType
from typing import NamedTuple

from flipback.analysis._weights import Test
from flipback.assignment import EVERYBODY, Cohort
from flipback.signals import Measure


class PeakKey(NamedTuple):
    """Whose running maximum: a guardrail by its place in the plan, and a cohort.

    Attributes:
        guardrail: Index in the plan; -1 for the split of subjects.
        cohort: Where it is tested.
        measure: What of the metric is weighed.
    """

    guardrail: int
    cohort: Cohort
    measure: Measure = Measure.VALUE

    @classmethod
    def of(cls, test: Test) -> "PeakKey":
        """Return the key of a test."""
        return cls(test.place, test.cohort, test.measure)


OF_THE_SPLIT = PeakKey(-1, EVERYBODY)
NO_PEAKS: Mapping[PeakKey, float] = MappingProxyType({})


def known_peak(peaks: Mapping[PeakKey, float], key: PeakKey) -> float:
    """Return a running maximum, none where it is no number to be compared."""
    peak = peaks.get(key, -inf)
    return peak if isfinite(peak) else -inf
