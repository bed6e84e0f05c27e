"""What would change a verdict, in a sentence."""

from collections.abc import Callable
from math import inf, isfinite, log, sqrt

from flipback.analysis._weighed import Engine, Weighed
from flipback.analysis._weights import Test
from flipback.plan import OnFail


_PROVEN = "nothing: proven, and a later look cannot unsay it"
_VERBS = {
    OnFail.ROLL_BACK: "rolls back",
    OnFail.PAUSE: "pauses",
    OnFail.WARN: "warns",
}
_GRID = log(15)
"""What a mixture over a grid of alternatives stays below its best one, at most."""

_FAR = 100.0
_FURTHEST = 1e6
_NEAR = 1.02


def outlook_of(
    test: Test, weighed: Weighed, *, peak: float, log_threshold: float
) -> str:
    """Return what would change the verdict of one test.

    How much more evidence it takes is extrapolated from the difference as it is
    now; that is no promise, and no part of any decision.

    Args:
        test: The test.
        weighed: What its engine says now.
        peak: Its largest log E so far.
        log_threshold: What that must reach.
    """
    if weighed.breached_by_control:
        return "control keeping the limit that it breaches now"
    if peak >= log_threshold:
        return _PROVEN
    if not isfinite(log_threshold):
        return "nothing: other guardrails have all of alpha"
    wanted = (
        f"{_VERBS[test.guardrail.on_fail]} when log E reaches {log_threshold:.1f} "
        f"(now {weighed.log_e:.1f})"
    )
    return f"{wanted}: {_when(weighed, log_threshold)}"


def _when(weighed: Weighed, log_threshold: float) -> str:
    if weighed.grown is None:
        return weighed.note or "nothing is known yet"
    is_grid = weighed.engine is not Engine.NORMAL_MIXTURE
    times = (_on_a_grid if is_grid else _searched)(weighed.grown, log_threshold)
    if times > _FURTHEST:
        return "at the present difference never"
    pairs_alone = weighed.pairs > weighed.candidate_n
    seen = weighed.pairs if pairs_alone else weighed.candidate_n
    more = _rounded((times - 1) * seen)
    what = "pairs" if pairs_alone else "candidate observations"
    return f"at the present difference after some {more:,} more {what}"


def _on_a_grid(grown: Callable[[float], float], log_threshold: float) -> float:
    """Return how much evidence it takes where each alternative's grows in proportion.

    The best of them is seen from afar, and then taken as a tangent.
    """
    slope = (grown(_FAR) + _GRID) / _FAR
    if not slope > _GRID / _FAR:
        return inf
    enough = (log_threshold + _GRID) / slope
    return max(1.0, enough - (grown(enough) - log_threshold) / slope)


def _searched(grown: Callable[[float], float], log_threshold: float) -> float:
    """Return how much evidence it takes; what far more would not do nothing will."""
    low, enough = 1.0, _FURTHEST
    if not grown(enough) >= log_threshold:
        return inf
    while enough > _NEAR * low:
        middle = sqrt(low * enough)
        if grown(middle) >= log_threshold:
            enough = middle
        else:
            low = middle
    return enough


def _rounded(count: float) -> int:
    """Return a count to two digits, 1 at least: more would promise too much."""
    whole = max(1, round(count))
    return int(round(whole, 2 - len(str(whole))))
