"""Weigh means and common proportions by the normal mixture."""

from collections.abc import Sequence
from math import isfinite, isnan, sqrt

from flipback.analysis._strata import Means
from flipback.analysis._weighed import (
    Engine,
    Weighed,
    finite,
    harm_of,
    margin_of,
    smallest_harm,
    too_far_apart,
    too_large,
    two_sided,
)
from flipback.analysis._weights import Test
from flipback.exposure import BUCKETS
from flipback.stats import (
    MIN_CANDIDATE,
    MIN_CONTROL,
    Arm,
    Pair,
    Score,
    half_width,
    normal_mixture,
    stratified_score,
)
from flipback.verdict import Interval


BURN_IN = 30
"""Observations of the candidate before the normal mixture says anything."""

MIN_BUCKETS = 16
"""Buckets that the subjects of an arm must occupy; some 18 subjects fill as many.

With fewer the design effect cannot be estimated, however many the requests.
"""


def weigh_means(
    test: Test, means: Means, *, alpha: float, least_deff: float
) -> Weighed:
    """Weigh one guardrail on a mean; what is missing is said in the note."""
    note = _unweighable(test, means) or _missing(means)
    if note:
        return _undecided(means, note)
    score = stratified_score(
        means.pairs,
        margin=margin_of(test.guardrail),
        harm=harm_of(test.guardrail),
        least_deff=least_deff,
    )
    mei = smallest_harm(test) * _scale(means.pairs)
    if score is None or not mei:
        return _undecided(means, "all observations of both arms have the same value")
    log_e = normal_mixture(score.score, score.info, mei=mei)
    if not isfinite(log_e + score.deff):
        return _undecided(means, too_far_apart(test.guardrail.metric))
    return Weighed(
        engine=Engine.NORMAL_MIXTURE,
        log_e=log_e,
        control_n=count(means.control),
        candidate_n=count(means.candidate),
        control_value=score.control_value,
        candidate_value=score.candidate_value,
        interval=_interval(test, means.pairs, score, mei=mei, alpha=alpha),
        deff=score.deff,
        strata=len(means.pairs),
    )


def count(arms: Sequence[Arm]) -> int:
    """Return the observations of one arm over some strata."""
    return sum([arm.n for arm in arms])


def pooled_mean(arms: Sequence[Arm]) -> float | None:
    """Return the plain mean over strata, None without observations or if infinite."""
    return finite(_mean(arms)) if arms else None


def all_weighable(arms: Sequence[Arm]) -> bool:
    """Return whether nothing that is computed of these arms can overflow."""
    return all(arm.is_weighable for arm in arms)


def burn_in(who: str, arms: Sequence[Arm], *, least: int) -> str:
    """Return what an arm lacks before it may be judged by its variance, or nothing."""
    seen = count(arms)
    if seen < least:
        return f"needs {least - seen} more observations of {who} ({seen} of {least})"
    occupied = _occupied(arms)
    if occupied < MIN_BUCKETS:
        return (
            f"needs more subjects: those of {who} occupy {occupied} of {BUCKETS} "
            f"buckets, {MIN_BUCKETS} are needed"
        )
    return ""


def _unweighable(test: Test, means: Means) -> str:
    weighable = all_weighable(means.control) and all_weighable(means.candidate)
    return "" if weighable else too_large(test.guardrail.metric)


def _missing(means: Means) -> str:
    if not means.candidate:
        return "no observations of the candidate"
    if not means.control:
        return "no observations of control"
    if not means.pairs:
        return (
            f"no stratum has {MIN_CONTROL} observations of control "
            f"and {MIN_CANDIDATE} of the candidate"
        )
    candidate = [pair.candidate for pair in means.pairs]
    control = [pair.control for pair in means.pairs]
    return burn_in("the candidate", candidate, least=BURN_IN) or burn_in(
        "control", control, least=MIN_CONTROL
    )


def _occupied(arms: Sequence[Arm]) -> int:
    """Return how many buckets have observations, counted up to what is needed."""
    largest = max([BUCKETS - arm.cell.n.count(0) for arm in arms], default=0)
    if largest >= MIN_BUCKETS:
        return largest
    buckets = zip(*[arm.cell.n for arm in arms], strict=True)
    return sum([any(counts) for counts in buckets])


def _scale(pairs: Sequence[Pair]) -> float:
    """Return what relative harm is relative to, 0 if there is nothing.

    That is the size of control's mean; where it is 0 control's deviation, and where
    that is 0 too the candidate's.
    """
    controls = [pair.control for pair in pairs]
    mean = _mean(controls)
    return abs(mean) or _deviation(controls) or _deviation([p.candidate for p in pairs])


def _mean(arms: Sequence[Arm]) -> float:
    return sum([arm.n * arm.mean for arm in arms]) / count(arms)


def _deviation(arms: Sequence[Arm]) -> float:
    """Return the standard deviation about the common mean."""
    mean = _mean(arms)
    away = [arm.mean - mean for arm in arms]
    total = sum(
        [arm.n * (arm.variance + d * d) for arm, d in zip(arms, away, strict=True)]
    )
    return sqrt(total / count(arms))


def _interval(
    test: Test, pairs: Sequence[Pair], score: Score, *, mei: float, alpha: float
) -> Interval | None:
    """Return all differences that neither one-sided test at alpha / 2 rejects."""
    harm = harm_of(test.guardrail)
    plain: Score | None = score
    if margin_of(test.guardrail):
        plain = stratified_score(pairs, harm=harm, least_deff=score.deff)
    if plain is None or not plain.info:
        return None
    estimate = harm * plain.score / plain.info
    away = half_width(plain.info, mei=mei, log_threshold=two_sided(alpha))
    if not isfinite(estimate) or isnan(away):
        return None
    return Interval(low=estimate - away, high=estimate + away)


def _undecided(means: Means, note: str) -> Weighed:
    return Weighed(
        engine=Engine.NORMAL_MIXTURE,
        control_n=count(means.control),
        candidate_n=count(means.candidate),
        control_value=pooled_mean(means.control),
        candidate_value=pooled_mean(means.candidate),
        strata=len(means.pairs),
        note=note,
    )
