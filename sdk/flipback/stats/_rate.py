"""The rate engine: rare events, compared by the arm they fall in.

While both arms have the same rate, whatever it is and however it drifts, the next
event falls in the candidate's arm with the candidate's share w of subjects; with
r times control's rate it is p(r) = w r / (w r + 1 - w). Events are therefore coin
flips of a known coin (Lindon & Malek, arXiv 2011.03567), weighed here one-sided,
against a margin, by stratum, in a discrete mixture over rate ratios r = r0 g:

    log LR_g = sum over strata of [k_T log(p(r0 g) / p(r0))
                                   + k_C log((1 - p(r0 g)) / (1 - p(r0)))] / phi
    E = mean over g of LR_g,   r0 = 1 + margin,   phi = 1 - pooled rate

phi takes the binomial's smaller variance into account; it is held between .05 and
1 and exact as the rate goes to 0, where the margin is 0.
"""

from collections.abc import Callable, Iterable, Sequence
from math import exp, inf, log, log1p, sqrt
from typing import NamedTuple

from flipback.stats._average import mean_of_exponentials
from flipback.verdict import Interval


_RATIOS = (1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 6, 10, 20, 50, 200)
_LOG_RATIOS = tuple(log(ratio) for ratio in _RATIOS)
_EXCESSES = tuple(ratio - 1 for ratio in _RATIOS)
_MAX_POOLED_RATE = 0.95
_WIDEST_LOG_RATIO = 14.0
_FURTHEST_LOG_RATIO = 100.0
_TYPICAL_WIDTH = 11.0
_DEPTH = 4.0
_CLOSE_ENOUGH = 1e-3
_MAX_STEPS = 60


class RateStratum(NamedTuple):
    """Distinct subjects of one stratum: with an event, and exposed.

    A stratum without subjects in one of the arms says nothing.
    """

    candidate_events: int
    control_events: int
    candidate_n: int
    control_n: int

    @property
    def turned(self) -> "RateStratum":
        """Return the stratum with the arms exchanged."""
        return RateStratum(
            self.control_events, self.candidate_events, self.control_n, self.candidate_n
        )


class _Weighed(NamedTuple):
    """What the likelihood ratios of one stratum need.

    Attributes:
        hits: The candidate's events over phi.
        events: All events over phi.
        odds: Odds of the candidate's share, w / (1 - w).
    """

    hits: float
    events: float
    odds: float


def rate_engine(strata: Iterable[RateStratum], *, margin: float = 0.0) -> float:
    """Return log E against "the candidate's rate is at most 1 + margin of control's".

    There is no burn-in: three failures out of three are evidence already. Without
    events, or without a stratum that has both arms, the answer is 0. A harmful
    decrease is the same question with the arms exchanged.

    >>> round(rate_engine([RateStratum(6, 6, 10, 1000)]), 2)
    17.03
    """
    return _log_e(_weighed(strata), 1.0 + margin)


def rate_interval(
    strata: Sequence[RateStratum], *, log_threshold: float
) -> Interval | None:
    """Return the confidence sequence of candidate minus control, as rates.

    The rate ratios that neither this engine nor the one with exchanged arms
    rejects at the threshold, each turned into the difference that it means at the
    strata's pooled rates. An end at which no ratio is rejected is infinite; without
    any event there is nothing to invert: None.
    """
    up = _weighed(strata)
    if not any(stratum.events for stratum in up):
        return None
    down = _weighed(stratum.turned for stratum in strata)
    estimate = _log_ratio(strata)
    lowest = _last_rejected(up, estimate, log_threshold)
    highest = _last_rejected(down, -estimate, log_threshold)
    return Interval(
        low=-inf if lowest is None else _difference(strata, exp(lowest)),
        high=inf if highest is None else _difference(strata, exp(-highest)),
    )


def rates(strata: Iterable[RateStratum]) -> tuple[float, float] | None:
    """Return control's and the candidate's rate at the same mix of strata.

    Strata are weighed as Mantel and Haenszel do, by n_T n_C / (n_T + n_C). None
    where no stratum has both arms.
    """
    control = candidate = total = 0.0
    for stratum in strata:
        weight = _mantel_haenszel(stratum)
        if weight:
            control += weight * stratum.control_events / stratum.control_n
            candidate += weight * stratum.candidate_events / stratum.candidate_n
            total += weight
    return (control / total, candidate / total) if total else None


def _log_ratio(strata: Iterable[RateStratum]) -> float:
    """Return the log of the candidate's rate over control's, within the widest."""
    control, candidate = rates(strata) or (0.0, 0.0)
    if not control or not candidate:
        return _WIDEST_LOG_RATIO if candidate else -_WIDEST_LOG_RATIO
    return max(-_WIDEST_LOG_RATIO, min(_WIDEST_LOG_RATIO, log(candidate / control)))


def _mantel_haenszel(stratum: RateStratum) -> float:
    both = stratum.candidate_n + stratum.control_n
    return stratum.candidate_n * stratum.control_n / both if both else 0.0


def _weighed(strata: Iterable[RateStratum]) -> list[_Weighed]:
    weighed: list[_Weighed] = []
    for hits, others, candidate_n, control_n in strata:
        if candidate_n and control_n:
            events = hits + others
            pooled = min(events / (candidate_n + control_n), _MAX_POOLED_RATE)
            phi = 1 - pooled
            odds = candidate_n / control_n
            weighed.append(_Weighed(hits / phi, events / phi, odds))
    return weighed


def _log_e(strata: Sequence[_Weighed], ratio: float) -> float:
    """Return log E against a rate ratio; it falls as the ratio rises."""
    hits = sum([stratum.hits for stratum in strata])
    log_es = [hits * log_ratio for log_ratio in _LOG_RATIOS]
    for stratum in strata:
        if events := stratum.events:
            odds = stratum.odds * ratio
            share = odds / (1 + odds)
            log_es = [
                log_e - events * log1p(share * excess)
                for log_e, excess in zip(log_es, _EXCESSES, strict=True)
            ]
    return mean_of_exponentials(log_es)


def _difference(strata: Iterable[RateStratum], ratio: float) -> float:
    """Return the difference of rates that a rate ratio means at the pooled rates."""
    difference = total = 0.0
    for stratum in strata:
        if weight := _mantel_haenszel(stratum):
            events = stratum.candidate_events + stratum.control_events
            expected = stratum.candidate_n * ratio + stratum.control_n
            difference += weight * events * (ratio - 1) / expected
            total += weight
    return difference / total


def _last_rejected(
    strata: Sequence[_Weighed], estimate: float, log_threshold: float
) -> float | None:
    """Return the largest log ratio below the estimate that is rejected, if any.

    log E is nearly a parabola in the log ratio; its square root is nearly a line,
    and false position is done with it in a few steps.
    """
    wanted = sqrt(log_threshold + _DEPTH)

    def excess(log_ratio: float) -> float:
        depth = _log_e(strata, exp(log_ratio)) + _DEPTH
        return sqrt(max(0.0, depth)) - wanted

    step = _TYPICAL_WIDTH / sqrt(sum([stratum.events for stratum in strata]))
    bracket = _bracket(excess, estimate, step)
    return None if bracket is None else _false_position(excess, bracket)


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


def _false_position(falling: Callable[[float], float], bracket: _Bracket) -> float:
    """Return the zero inside a bracket; an end that stays twice loses half its say."""
    low, at_low, high, at_high = bracket
    middle, side = low, 0
    for _ in range(_MAX_STEPS):
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        value = falling(middle)
        if abs(value) < _CLOSE_ENOUGH:
            break
        if value > 0:
            low, at_low = middle, value
            at_high = at_high / 2 if side > 0 else at_high
            side = 1
        else:
            high, at_high = middle, value
            at_low = at_low / 2 if side < 0 else at_low
            side = -1
    return middle
