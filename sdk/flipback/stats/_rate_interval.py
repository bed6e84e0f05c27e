"""The confidence sequence of a difference of rates, by inverting the rate engine."""

from collections.abc import Callable, Iterable, Sequence
from math import exp, inf, log, sqrt
from typing import NamedTuple

from flipback.stats._rate import (
    RateStratum,
    WeighedRates,
    log_e,
    mantel_haenszel,
    rates,
    weigh,
)
from flipback.stats._zero import zero_between
from flipback.verdict import Interval


_WIDEST_LOG_RATIO = 14.0
_FURTHEST_LOG_RATIO = 100.0
_TYPICAL_WIDTH = 11.0
_DEPTH = 4.0
_CLOSE_ENOUGH = 1e-3


def rate_interval(
    strata: Sequence[RateStratum], *, log_threshold: float
) -> Interval | None:
    """Return the confidence sequence of candidate minus control, as rates.

    The rate ratios that neither this engine nor the one with exchanged arms
    rejects at the threshold, each turned into the difference that it means at the
    strata's pooled rates. An end at which no ratio is rejected is infinite; without
    any event there is nothing to invert: None.
    """
    up = weigh(strata)
    if not any(stratum.events for stratum in up):
        return None
    down = weigh(stratum.turned for stratum in strata)
    estimate = _log_ratio(strata)
    lowest = _last_rejected(up, estimate, log_threshold)
    highest = _last_rejected(down, -estimate, log_threshold)
    return Interval(
        low=-inf if lowest is None else _difference(strata, exp(lowest)),
        high=inf if highest is None else _difference(strata, exp(-highest)),
    )


def _log_ratio(strata: Iterable[RateStratum]) -> float:
    """Return the log of the candidate's rate over control's, within the widest."""
    control, candidate = rates(strata) or (0.0, 0.0)
    if not control or not candidate:
        return _WIDEST_LOG_RATIO if candidate else -_WIDEST_LOG_RATIO
    return max(-_WIDEST_LOG_RATIO, min(_WIDEST_LOG_RATIO, log(candidate / control)))


def _difference(strata: Iterable[RateStratum], ratio: float) -> float:
    """Return the difference of rates that a rate ratio means at the pooled rates."""
    difference = total = 0.0
    for stratum in strata:
        if weight := mantel_haenszel(stratum):
            events = stratum.candidate_events + stratum.control_events
            expected = stratum.candidate_n * ratio + stratum.control_n
            difference += weight * events * (ratio - 1) / expected
            total += weight
    return difference / total


def _last_rejected(
    strata: Sequence[WeighedRates], estimate: float, log_threshold: float
) -> float | None:
    """Return the largest log ratio below the estimate that is rejected, if any.

    log E is nearly a parabola in the log ratio; its square root is nearly a line,
    and false position is done with it in a few steps.
    """
    wanted = sqrt(log_threshold + _DEPTH)

    def excess(log_ratio: float) -> float:
        depth = log_e(strata, exp(log_ratio)) + _DEPTH
        return sqrt(max(0.0, depth)) - wanted

    step = _TYPICAL_WIDTH / sqrt(sum([stratum.events for stratum in strata]))
    bracket = _bracket(excess, estimate, step)
    if bracket is None:
        return None
    below, above = (bracket.low, bracket.at_low), (bracket.high, bracket.at_high)
    return zero_between(excess, below, above, close_enough=_CLOSE_ENOUGH)


class _Bracket(NamedTuple):
    low: float
    at_low: float
    high: float
    at_high: float


def _bracket(
    falling: Callable[[float], float], start: float, step: float
) -> _Bracket | None:
    """Return two points with the zero between them; None if there is no zero.

    It may never be positive; and it may never fall, where so many events are all in
    one arm that the rounding of their logarithms outweighs the threshold. Where
    strata contradict each other the estimate itself may be rejected, so the search
    goes both ways, in steps that double.
    """
    low = high = start
    at_low = at_high = falling(start)
    while at_high >= 0:
        if high > _FURTHEST_LOG_RATIO:
            return None
        low, at_low = high, at_high
        high += step
        at_high, step = falling(high), 2 * step
    while at_low < 0:
        if low < -_WIDEST_LOG_RATIO:
            return None
        high, at_high = low, at_low
        low -= step
        at_low, step = falling(low), 2 * step
    return _Bracket(low, at_low, high, at_high)
