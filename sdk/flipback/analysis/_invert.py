"""From tests to intervals: the ends at which a test stops rejecting."""

from collections.abc import Callable
from math import isnan, sqrt


_DEPTH = 4.0
_CLOSE_ENOUGH = 1e-4
_MAX_STEPS = 40


def last_rejected(
    log_e: Callable[[float], float],
    start: float,
    *,
    step: float,
    furthest: float,
    log_threshold: float,
) -> float | None:
    """Return where a test that falls along an axis stops rejecting, if anywhere.

    Args:
        log_e: Evidence against "the truth is at most this"; it falls.
        start: The estimate, near which nothing is rejected.
        step: First step away from it; steps double.
        furthest: How far away to look.
        log_threshold: From where on the test rejects.

    log E is nearly a parabola, so its square root is nearly a line and false
    position takes few steps. Where strata contradict each other, or one arm has no
    event at all, the estimate itself may be rejected: then the search goes up.
    None where nothing within reach is rejected, or the evidence is no number.
    """
    wanted = sqrt(log_threshold + _DEPTH)

    def excess(at: float) -> float:
        return sqrt(max(0.0, log_e(at) + _DEPTH)) - wanted

    at_start = excess(start)
    if isnan(at_start):
        return None
    upwards = at_start >= 0
    near, at_near, away = start, at_start, step
    while away <= furthest:
        far = start + away if upwards else start - away
        at_far = excess(far)
        if upwards and at_far < 0:
            return _zero(excess, (near, at_near), (far, at_far))
        if not upwards and at_far >= 0:
            return _zero(excess, (far, at_far), (near, at_near))
        near, at_near = far, at_far
        away *= 2
    return None


def _zero(
    falling: Callable[[float], float],
    below: tuple[float, float],
    above: tuple[float, float],
) -> float:
    """Return the zero between two points; an end that stays twice loses half its say.

    The lower end is returned in doubt, so that an interval is rather too wide.
    """
    (low, at_low), (high, at_high) = below, above
    side = 0
    for _ in range(_MAX_STEPS):
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        value = falling(middle)
        if not low < middle < high or abs(value) < _CLOSE_ENOUGH:
            return middle
        if value > 0:
            low, at_low = middle, value
            at_high = at_high / 2 if side > 0 else at_high
            side = 1
        else:
            high, at_high = middle, value
            at_low = at_low / 2 if side < 0 else at_low
            side = -1
    return low
