"""Weigh absolute limits on the candidate alone.

Events and 0/1 metrics go through the one-sample engine, which is exact; other
metrics compare their mean with the limit by the normal mixture. A limit that
control breaches as well is a matter for people: rolling back would not help.

What is shown as the interval is that of the candidate's value minus the limit.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import exp, isfinite, log, sqrt
from typing import NamedTuple

from flipback.analysis._events import binary_of
from flipback.analysis._invert import last_rejected
from flipback.analysis._means import (
    BURN_IN,
    all_weighable,
    burn_in,
    count,
    difference,
    pairs_of,
    pooled_mean,
    size_of,
)
from flipback.analysis._strata import Strata
from flipback.analysis._weighed import (
    Engine,
    Weighed,
    smallest_harm,
    too_far_apart,
    too_large,
    towards,
    two_sided,
    whole,
)
from flipback.analysis._weights import Test
from flipback.stats import (
    MIN_CANDIDATE,
    Arm,
    design_effect,
    normal_mixture,
    one_sample,
    recurrence,
    score_against_limit,
)
from flipback.verdict import Interval


BREACHED_BY_BOTH = "control breaches the limit as well, so rolling back would not help"
_NOTHING = "no observations of the candidate"
_NO_SHARE = "the limit is no share of subjects; write a number between 0 and 1"
_CONSTANT = "all observations of the candidate are the limit itself"
_MOST = 1 - 2**-53
_FURTHEST_LOG_ODDS = 80.0
_TYPICAL_WIDTH = 3.0


class _Answer(NamedTuple):
    log_e: float = 0.0
    deff: float = 1.0
    interval: Interval | None = None
    grown: Callable[[float], float] | None = None
    note: str = ""


class _Hits(NamedTuple):
    """Hits and trials, each worth 1 / deff of an independent one."""

    k: float
    n: float
    deff: float = 1.0


class _Sides(NamedTuple):
    """The same test on both arms: a breach by control excuses the candidate's."""

    candidate: _Answer
    control: _Answer


def weigh_event_limit(
    test: Test, limit: float, strata: Strata, *, alpha: float
) -> Weighed:
    """Weigh a limit, between 0 and 1, on the share of subjects that see an event.

    Pairs are counted by request and divided by their design effect.
    """
    rates, of_pairs = strata.rates(test), binary_of(strata.pairs(test))
    by_control, by_candidate = strata.requests(test)
    candidate = _Hits(
        sum([rate.candidate_events for rate in rates]),
        sum([rate.candidate_n for rate in rates]),
        recurrence(by_candidate),
    )
    control = _Hits(
        sum([rate.control_events for rate in rates]),
        sum([rate.control_n for rate in rates]),
        recurrence(by_control),
    )
    judge = partial(_against, test, limit, alpha)
    return _both(
        Weighed(
            engine=Engine.ONE_SAMPLE,
            control_n=whole(control.n),
            candidate_n=whole(candidate.n),
            control_value=_share(_with_pairs(control, [p.control for p in of_pairs])),
            candidate_value=_share(
                _with_pairs(candidate, [p.candidate for p in of_pairs])
            ),
            strata=sum([rate.candidate_n > 0 for rate in rates]) + len(of_pairs),
            epochs=strata.epochs_of(test),
            pairs=pairs_of(of_pairs),
        ),
        _Sides(
            judge(_with_pairs(candidate, [p.candidate for p in of_pairs])),
            judge(_with_pairs(control, [p.control for p in of_pairs])),
        ),
        alpha=alpha,
    )


def weigh_mean_limit(
    test: Test, limit: float, strata: Strata, *, alpha: float
) -> Weighed:
    """Weigh a limit on the mean of a metric."""
    means = strata.means(test)
    control = [*means.control, *[arm.control for arm in means.paired]]
    candidate = [*means.candidate, *[arm.candidate for arm in means.paired]]
    binary = 0 < limit < 1 and _is_binary([*control, *candidate])
    judge = _judge_hits if binary else _judge_mean
    return _both(
        Weighed(
            engine=Engine.ONE_SAMPLE if binary else Engine.NORMAL_MIXTURE,
            control_n=count(means.control),
            candidate_n=count(means.candidate),
            control_value=pooled_mean(control),
            candidate_value=pooled_mean(candidate),
            strata=len(candidate),
            epochs=strata.epochs_of(test),
            pairs=pairs_of(means.paired),
        ),
        _Sides(
            _judge(test, candidate, partial(judge, test, limit, alpha)),
            _judge(test, control, partial(judge, test, limit, alpha)),
        ),
        alpha=alpha,
    )


def _both(seen: Weighed, sides: _Sides, *, alpha: float) -> Weighed:
    by_control = sides.control.log_e >= log(1 / alpha)
    mine = sides.candidate
    return Weighed(
        engine=seen.engine,
        log_e=mine.log_e,
        control_n=seen.control_n,
        candidate_n=seen.candidate_n,
        control_value=seen.control_value,
        candidate_value=seen.candidate_value,
        interval=mine.interval,
        deff=mine.deff,
        strata=seen.strata,
        epochs=seen.epochs,
        pairs=seen.pairs,
        note=mine.note or (BREACHED_BY_BOTH if by_control else ""),
        breached_by_control=by_control,
        grown=mine.grown,
    )


def _with_pairs(hits: _Hits, arms: Sequence[Arm]) -> _Hits:
    """Return hits of subjects and pairs together; a subject counts as it is."""
    if not arms:
        return hits
    n = sum([arm.n for arm in arms])
    deff = design_effect([(arm, arm.n / n) for arm in arms])
    k = sum([arm.n * arm.mean for arm in arms])
    again = hits.deff
    return _Hits(hits.k / again + k / deff, hits.n / again + n / deff)


def _share(hits: _Hits) -> float | None:
    return hits.k / hits.n if hits.n else None


def _against(test: Test, limit: float, alpha: float, hits: _Hits) -> _Answer:
    if not hits.n:
        return _Answer(note=_NOTHING)
    if not 0 < limit < 1:
        return _Answer(note=_NO_SHARE)
    n = hits.n / hits.deff
    k = min(n, max(0.0, hits.k / hits.deff))

    def grown(times: float) -> float:
        return towards(
            test.guardrail,
            lambda harm: one_sample(k * times, n * times, limit=limit, harm=harm),
        )

    low = _lowest(k, n, alpha) - limit
    high = 1 - _lowest(n - k, n, alpha) - limit
    interval = Interval(low=min(low, high), high=max(low, high))
    return _Answer(grown(1.0), hits.deff, interval, grown)


def _lowest(k: float, n: float, alpha: float) -> float:
    """Return the lowest probability of a hit that is not rejected, 0 if none is."""

    def log_e(log_odds: float) -> float:
        return one_sample(k, n, limit=_probability(log_odds))

    lowest = last_rejected(
        log_e,
        log((k + 0.5) / (n - k + 0.5)),
        step=_TYPICAL_WIDTH / sqrt(min(k, n - k) + 1),
        furthest=_FURTHEST_LOG_ODDS,
        log_threshold=two_sided(alpha),
    )
    return 0.0 if lowest is None else _probability(lowest)


def _probability(log_odds: float) -> float:
    return min(_MOST, 1 / (1 + exp(-log_odds)))


def _judge(
    test: Test, arms: Sequence[Arm], judge: Callable[[Sequence[Arm]], _Answer]
) -> _Answer:
    if not arms:
        return _Answer(note=_NOTHING)
    if not all_weighable(arms):
        return _Answer(note=too_large(test.guardrail.metric))
    return judge(arms)


def _judge_hits(test: Test, limit: float, alpha: float, arms: Sequence[Arm]) -> _Answer:
    n = sum([arm.n for arm in arms])
    deff = design_effect([(arm, arm.n / n) for arm in arms])
    k = sum([arm.n * arm.mean for arm in arms])
    return _against(test, limit, alpha, _Hits(k, n, deff))


def _judge_mean(test: Test, limit: float, alpha: float, arms: Sequence[Arm]) -> _Answer:
    entered = [arm for arm in arms if arm.observed >= MIN_CANDIDATE]
    if note := burn_in("the candidate", entered, least=BURN_IN):
        return _Answer(note=note)
    score = score_against_limit(entered, limit=limit)
    if score is None:
        return _Answer(note=_CONSTANT)
    deviation = sqrt(max([arm.variance for arm in entered]))
    mei = smallest_harm(test) * (size_of(limit, deviation) or abs(score.control_value))

    def grown(times: float) -> float:
        total, info = score.score * times, score.info * times
        return towards(
            test.guardrail, lambda harm: normal_mixture(harm * total, info, mei=mei)
        )

    log_e = grown(1.0)
    if not isfinite(log_e + score.deff):
        return _Answer(note=too_far_apart(test.guardrail.metric))
    interval = difference(score, mei=mei, log_threshold=two_sided(alpha))
    return _Answer(log_e, score.deff, interval, grown)


def _is_binary(arms: Sequence[Arm]) -> bool:
    """Return whether every value is 0 or 1.

    An arm that cannot be weighed does not choose the engine of the other.
    """
    return all(arm.is_binary for arm in arms if arm.is_weighable)
