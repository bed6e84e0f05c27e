"""What became of the rollout's hope: a confidence sequence of the relative effect.

All relative effects that neither one-sided test at alpha / 2 rejects, found by
moving the margin of the same tests that guard: no ratio is approximated (Fieller),
and an end that no margin is rejected at is infinite.
"""

from collections.abc import Callable
from math import expm1, inf, isfinite, log, sqrt

from flipback.analysis._events import Events, weigh_events
from flipback.analysis._invert import last_rejected
from flipback.analysis._means import (
    Entered,
    difference,
    entered_of,
    least_difference,
    weigh_means,
)
from flipback.analysis._strata import Strata
from flipback.analysis._weighed import Engine, Weighed, two_sided
from flipback.analysis._weights import Test
from flipback.assignment import EVERYBODY
from flipback.plan import FailsOn, Guardrail, Hypothesis, MetricKind, RolloutPlan
from flipback.signals import Measure
from flipback.stats import Harm, Score, normal_mixture, stratified_score
from flipback.verdict import Hoped, HypothesisFinding, Interval


_MEASURES = {
    MetricKind.EVENT: Measure.VALUE,
    MetricKind.MEAN: Measure.VALUE,
    MetricKind.HEAVY_TAIL: Measure.CAPPED,
    MetricKind.LATENCY: Measure.LOG,
}
_FURTHEST = 1e4
_FURTHEST_LOG_RATIO = 14.0
_TYPICAL_WIDTH = 3.0

_Ends = tuple[float | None, float | None]


def weigh_hypothesis(plan: RolloutPlan, strata: Strata) -> HypothesisFinding | None:
    """Say whether what is hoped for is shown, in the aggregate; None if nothing is.

    Events are compared as subjects, latencies by their geometric mean, and heavy
    tails cut off, as their guardrails are.
    """
    if (hypothesis := plan.hypothesis) is None:
        return None
    test = _test(plan, hypothesis)
    weighed, relative = _weigh(test, strata, alpha=plan.alpha)
    return _finding(hypothesis, weighed, relative, strata.users(EVERYBODY))


def hoped_effect(hypothesis: Hypothesis) -> float:
    """Return the relative effect that is hoped for, negative for a fall."""
    return hypothesis.rises_by or -(hypothesis.falls_by or 0.0)


def _test(plan: RolloutPlan, hypothesis: Hypothesis) -> Test:
    """Return the hypothesis as a test: what it hopes against would be harm."""
    hopes_for_rise = hypothesis.rises_by is not None
    against = FailsOn.DECREASE if hopes_for_rise else FailsOn.INCREASE
    guardrail = Guardrail(metric=hypothesis.metric, fails_on=against)
    measure = _MEASURES[plan.kind_of(hypothesis.metric)]
    return Test(-1, guardrail, EVERYBODY, measure, 1.0)


def _weigh(
    test: Test, strata: Strata, *, alpha: float
) -> tuple[Weighed, Interval | None]:
    if note := strata.unfrozen(test):
        return Weighed(engine=Engine.NORMAL_MIXTURE, note=note), None
    weigh = _of_events if strata.counts_subjects(test) else _of_means
    return weigh(test, strata, alpha=alpha)


def _of_events(
    test: Test, strata: Strata, *, alpha: float
) -> tuple[Weighed, Interval | None]:
    events = Events.of(test, strata)
    weighed = weigh_events(test, strata, alpha=alpha)
    if not (events.entered or events.paired):
        return weighed, None

    def rises(log_ratio: float) -> float:
        return events.log_e(1, margin=expm1(log_ratio))

    def falls(turned: float) -> float:
        return events.log_e(-1, margin=-expm1(-turned))

    start, step = _start(weighed), _TYPICAL_WIDTH / sqrt(_total(events) + 1)
    low, high = (
        last_rejected(
            log_e,
            at,
            step=step,
            furthest=_FURTHEST_LOG_RATIO,
            log_threshold=two_sided(alpha),
        )
        for log_e, at in ((rises, start), (falls, -start))
    )
    return weighed, _interval(
        -1.0 if low is None else expm1(low), inf if high is None else expm1(-high)
    )


def _start(weighed: Weighed) -> float:
    control, candidate = weighed.control_value or 0.0, weighed.candidate_value or 0.0
    if not control or not candidate:
        return _FURTHEST_LOG_RATIO / 2 if candidate else -_FURTHEST_LOG_RATIO / 2
    return log(candidate / control)


def _total(events: Events) -> float:
    of_subjects = sum([s.candidate_events + s.control_events for s in events.entered])
    return of_subjects + sum(events.discordant)


def _of_means(
    test: Test, strata: Strata, *, alpha: float
) -> tuple[Weighed, Interval | None]:
    means = strata.means(test)
    weighed = weigh_means(test, means, alpha=alpha, least_deff=1.0)
    entered = entered_of(test, means)
    if weighed.grown is None or entered.note:
        return weighed, None
    plain = stratified_score(entered.pairs, paired=entered.paired)
    mei = least_difference(test, entered)
    if plain is None or not plain.info:
        return weighed, None
    if test.measure is Measure.LOG:
        logs = difference(plain, mei=mei, log_threshold=two_sided(alpha))
        return weighed, None if logs is None else _interval(
            expm1(min(logs.low, 700.0)), expm1(min(logs.high, 700.0))
        )
    return weighed, _fieller(entered, plain, mei=mei, alpha=alpha)


def _fieller(
    entered: Entered, plain: Score, *, mei: float, alpha: float
) -> Interval | None:
    control = abs(plain.control_value)
    if not control:
        return None
    estimate = plain.score / plain.info / control
    step = 1 / (sqrt(plain.info) * control)
    if not isfinite(estimate * step):
        return None

    def beyond(harm: Harm) -> Callable[[float], float]:
        def log_e(turned: float) -> float:
            score = stratified_score(
                entered.pairs,
                paired=entered.paired,
                margin=turned,
                harm=harm,
                least_deff=plain.deff,
            )
            if score is None:
                return 0.0
            return normal_mixture(score.score, score.info, mei=mei)

        return log_e

    low, high = (
        last_rejected(
            beyond(harm),
            harm * estimate,
            step=_TYPICAL_WIDTH * step,
            furthest=_FURTHEST + abs(estimate),
            log_threshold=two_sided(alpha),
        )
        for harm in _BOTH
    )
    return _interval(-inf if low is None else low, inf if high is None else -high)


_BOTH: tuple[Harm, Harm] = (1, -1)


def _interval(low: float, high: float) -> Interval | None:
    return Interval(low=low, high=high) if low <= high else None


def _finding(
    hypothesis: Hypothesis,
    weighed: Weighed,
    relative: Interval | None,
    users: tuple[int, int],
) -> HypothesisFinding:
    unbounded = "" if relative else "the effect cannot be bounded yet"
    return HypothesisFinding(
        metric=hypothesis.metric,
        hoped=hoped_effect(hypothesis),
        verdict=_verdict(hypothesis, relative),
        relative=relative,
        required=hypothesis.required,
        note=weighed.note or unbounded,
        control_n=weighed.control_n,
        candidate_n=weighed.candidate_n,
        control_users=users[0],
        candidate_users=users[1],
        control_value=weighed.control_value,
        candidate_value=weighed.candidate_value,
        interval=weighed.interval,
        deff=weighed.deff,
        strata=weighed.strata,
        epochs=weighed.epochs,
        pairs=weighed.pairs,
    )


def _verdict(hypothesis: Hypothesis, relative: Interval | None) -> Hoped:
    if relative is None:
        return Hoped.NOT_SHOWN
    hoped = hoped_effect(hypothesis)
    worst, best = (
        (relative.low, relative.high) if hoped > 0 else (-relative.high, -relative.low)
    )
    if worst >= abs(hoped):
        return Hoped.SHOWN
    return Hoped.CONTRADICTED if best < abs(hoped) else Hoped.NOT_SHOWN
