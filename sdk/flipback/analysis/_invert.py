"""From tests to intervals: the ends at which a test stops rejecting."""

from collections.abc import Callable
from math import isnan, sqrt

from flipback.stats import zero_between


_DEPTH = 4.0
_CLOSE_ENOUGH = 1e-4


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
            return zero_between(
                excess, (near, at_near), (far, at_far), close_enough=_CLOSE_ENOUGH
            )
        if not upwards and at_far >= 0:
            return zero_between(
                excess, (far, at_far), (near, at_near), close_enough=_CLOSE_ENOUGH
            )
        near, at_near = far, at_far
        away *= 2
    return None
