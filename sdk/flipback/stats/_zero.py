"""Where a falling function is zero."""

from collections.abc import Callable


_MAX_STEPS = 60


def zero_between(
    falling: Callable[[float], float],
    below: tuple[float, float],
    above: tuple[float, float],
    *,
    close_enough: float,
) -> float:
    """Return the zero between two points; an end that stays twice loses half its say.

    The lower end is returned in doubt, so that an interval is rather too wide.

    Args:
        falling: A function that falls.
        below: A point where it is not negative, and its value there.
        above: A point where it is.
        close_enough: Size of a value that counts as zero.
    """
    (low, at_low), (high, at_high) = below, above
    side = 0
    for _ in range(_MAX_STEPS):
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        value = falling(middle)
        if not low < middle < high or abs(value) < close_enough:
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
