"""How much more evidence a threshold takes, if what is expected comes true."""

from collections.abc import Callable


_STEPS = 60
_CLOSE_ENOUGH = 1e-3


def least(
    expected: Callable[[float], float], wanted: float, *, start: float, most: float
) -> float | None:
    """Return the least amount at which an expectation reaches what is wanted.

    Args:
        expected: Log E by amount of evidence; it rises in the long run.
        wanted: What it must reach.
        start: Amount at which to begin to search, positive; doubled until it is
            enough, then halved in between.
        most: Largest amount that is tried.

    Returns:
        0 where nothing more is wanted; None where `most` does not suffice.
    """
    if _reaches(expected, 0.0, wanted):
        return 0.0
    low, high = 0.0, min(start, most)
    while not _reaches(expected, high, wanted):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    for _ in range(_STEPS):
        if high - low <= _CLOSE_ENOUGH * high:
            break
        middle = (low + high) / 2
        if _reaches(expected, middle, wanted):
            high = middle
        else:
            low = middle
    return high


def _reaches(expected: Callable[[float], float], at: float, wanted: float) -> bool:
    return expected(at) >= wanted  # which what is no number never does
