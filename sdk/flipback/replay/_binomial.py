"""An exact interval for a share that was counted."""

from math import exp, lgamma, log, log1p
from typing import NamedTuple


_TAIL = 0.025
_STEPS = 60


class Share(NamedTuple):
    """A share with its exact 95 % interval (Clopper and Pearson 1934).

    Attributes:
        hits: How often it was so.
        total: Of how many, at least 1.
    """

    hits: int
    total: int

    @property
    def value(self) -> float:
        """Return the share."""
        return self.hits / self.total

    @property
    def low(self) -> float:
        """Return the share at which as many hits or more have a chance of 2.5 %."""
        return _lower_end(self.hits, self.total)

    @property
    def high(self) -> float:
        """Return the share at which as many hits or fewer have a chance of 2.5 %."""
        return 1 - _lower_end(self.total - self.hits, self.total)


def _lower_end(hits: int, total: int) -> float:
    if not hits:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _at_least(hits, total, middle) < _TAIL:
            low = middle
        else:
            high = middle
    return low


def _at_least(hits: int, total: int, share: float) -> float:
    """Return the chance of as many hits or more, the share strictly within 0 and 1."""
    return sum(
        exp(
            lgamma(total + 1)
            - lgamma(k + 1)
            - lgamma(total - k + 1)
            + k * log(share)
            + (total - k) * log1p(-share)
        )
        for k in range(hits, total + 1)
    )
