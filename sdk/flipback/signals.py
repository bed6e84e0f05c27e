"""What is kept of a metric: its values, or a measure of them, now or once matured."""

from enum import StrEnum
from typing import NamedTuple


EXPOSURE = "exposure"
"""Pseudo metric that counts exposures (and, as subjects, who was exposed)."""

SEPARATORS = ("|", "@", "+")
"""Set the parts of a signal's name apart, so no metric may have them in its name."""

HOUR_S = 3600
_SLICES_TO_MATURITY = 20
_GRACE_S = 60


def is_exposure(name: str) -> bool:
    """Return whether cells of this name count exposures, at once or once matured."""
    return name == EXPOSURE or name.startswith(f"{EXPOSURE}@")


class Measure(StrEnum):
    """What is taken of each value before it is summed.

    VALUE is the value itself; LOG its natural logarithm; TAIL 1 where it exceeds
    control's frozen 95th percentile, else 0; CAPPED the value, cut off at
    control's frozen 99.5th percentile (winsorised).
    """

    VALUE = "value"
    LOG = "log"
    TAIL = "tail"
    CAPPED = "capped"


class Part(StrEnum):
    """Whom the values are of.

    SPLIT are subjects that a split gave to one arm; PAIRED are calls that both arms
    answered, as in shadow traffic; DIFFERENCE is candidate minus control of a pair,
    booked under the candidate.
    """

    SPLIT = "split"
    PAIRED = "paired"
    DIFFERENCE = "difference"


class Signal(NamedTuple):
    """One measure of one metric, as cells are named by it.

    Attributes:
        metric: The metric, as it is recorded.
        measure: What is taken of its values.
        matures_after_s: Seconds after the exposure by which an outcome counts; 0 for
            one that counts at once. The same metric may be kept both ways.
        part: Whom the values are of.
    """

    metric: str
    measure: Measure = Measure.VALUE
    matures_after_s: int = 0
    part: Part = Part.SPLIT

    @property
    def name(self) -> str:
        """Return the name under which cells are booked; the metric's own if plain."""
        measure = "" if self.measure is Measure.VALUE else f"|{self.measure}"
        maturity = f"@{self.matures_after_s}" if self.matures_after_s else ""
        part = "" if self.part is Part.SPLIT else f"+{self.part}"
        return f"{self.metric}{measure}{maturity}{part}"

    @property
    def step_s(self) -> int:
        """Return the length of a time slice in seconds: an hour at least."""
        return max(HOUR_S, self.matures_after_s // _SLICES_TO_MATURITY)

    def slice_at(self, at: float) -> int:
        """Return the slice of an exposure, Unix seconds; 0 if none is needed."""
        return int(at // self.step_s) if self.matures_after_s else 0

    def is_mature(self, piece: int, *, now: float) -> bool:
        """Return whether all that will count of a slice has come, and been flushed."""
        return not self.matures_after_s or now >= self._closes_at(piece) + _GRACE_S

    def is_late(self, piece: int, *, now: float) -> bool:
        """Return whether an outcome of this slice comes too late to count."""
        return bool(self.matures_after_s) and now > self._closes_at(piece)

    def _closes_at(self, piece: int) -> int:
        return (piece + 1) * self.step_s + self.matures_after_s


WARM_UP = f"latency_s{SEPARATORS[0]}warm up"
"""Cells of the logarithm of how long the candidate took for shadow answers."""

WARM_SLICE_S = 60
"""Length of their time slices, which are numbered by when the answer came."""

_FLUSHED_WITHIN_S = 10


def warm_slice(at: float) -> int:
    """Return the slice of a shadow answer that came at this time, Unix seconds."""
    return int(at // WARM_SLICE_S)


def last_warm_slice(now: float) -> int:
    """Return the last slice that is over, and all of which has been flushed."""
    return warm_slice(now - _FLUSHED_WITHIN_S) - 1
