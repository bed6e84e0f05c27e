"""Weigh means and common proportions by the normal mixture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite, isnan, log1p, sqrt

from flipback.analysis._strata import Means
from flipback.analysis._weighed import (
    Engine,
    Weighed,
    exponential,
    finite,
    harms_of,
    margin_of,
    smallest_harm,
    too_far_apart,
    too_large,
    towards,
    two_sided,
    whole,
)
from flipback.analysis._weights import Test
from flipback.signals import Measure
from flipback.stats import (
    MIN_CANDIDATE,
    MIN_CONTROL,
    MIN_PAIRS,
    Arm,
    Harm,
    Pair,
    PairedArm,
    Score,
    half_width,
    normal_mixture,
    stratified_score,
)
from flipback.verdict import Interval


BURN_IN = 30
"""Observations of the candidate before the normal mixture says anything."""

MIN_UNITS = 24
"""Buckets of equal size that the observations of an arm must be worth.

Some 40 subjects who come equally often are. With fewer the design effect cannot be
estimated, however many the requests: one busy subject may be most of an arm.
"""

SAME_VALUE = "all observations of both arms have the same value"
CUT_OFF = (
    "all observations have the same value once cut off at control's 99.5th percentile; "
    'what is that rare is no heavy tail: write kind = "mean", or guard an event'
)

_LEAST_MEAN = 1 / 3
"""Of a deviation: the size of a mean that relative harm is related to at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What of a test is enough to be compared.

    Attributes:
        pairs: Strata of a split, none before the burn-in is over.
        paired: Strata of calls that both arms answered, likewise.
        note: What is missing where there is neither, else empty.
    """

    pairs: tuple[Pair, ...] = ()
    paired: tuple[PairedArm, ...] = ()
    note: str = ""


def entered_of(test: Test, means: Means) -> Entered:
    """Return what of a test's arms may be compared, or what they lack."""
    if not _is_weighable(means):
        return Entered(note=too_large(test.guardrail.metric))
    paired = tuple(arm for arm in means.paired if arm.n >= MIN_PAIRS)
    of_split, of_pairs = _missing(means), _missing_pairs(paired)
    return Entered(
        pairs=() if of_split else means.pairs,
        paired=() if of_pairs else paired,
        note="" if not (of_split and of_pairs) else _lacking(means, of_split, of_pairs),
    )


def weigh_means(
    test: Test,
    means: Means,
    *,
    alpha: float | None,
    least_deff: float,
    deff: float | None = None,
) -> Weighed:
    """Weigh one guardrail on a mean; what is missing is said in the note.

    Args:
        test: The test.
        means: Its arms.
        alpha: Of the interval; None where nobody will see it.
        least_deff: Design effect below which none is believed.
        deff: The design effect, where it is known.
    """
    entered = entered_of(test, means)
    if entered.note:
        return _undecided(test, means, entered.note)
    plain = stratified_score(
        entered.pairs, paired=entered.paired, least_deff=least_deff, deff=deff
    )
    mei = least_difference(test, entered)
    if plain is None or not mei:
        is_capped = test.measure is Measure.CAPPED
        return _undecided(test, means, CUT_OFF if is_capped else SAME_VALUE)
    scored: dict[Harm, _Scored | None] = {
        harm: _scored(test, entered, plain, harm) for harm in harms_of(test.guardrail)
    }
    grown = partial(_grown, test, scored, mei)
    log_e = grown(1.0)
    if not isfinite(log_e + plain.deff):
        return _undecided(test, means, too_far_apart(test.guardrail.metric))
    return Weighed(
        engine=Engine.NORMAL_MIXTURE,
        log_e=log_e,
        control_n=count(means.control),
        candidate_n=count(means.candidate),
        control_value=_shown(test, plain.control_value),
        candidate_value=_shown(test, plain.candidate_value),
        interval=None if alpha is None else _interval(test, plain, mei, alpha),
        deff=plain.deff,
        strata=len(entered.pairs) + len(entered.paired),
        epochs=means.epochs,
        pairs=pairs_of(entered.paired),
        grown=grown,
    )


def least_difference(test: Test, entered: Entered) -> float:
    """Return the smallest harm worth catching, in the unit that is weighed.

    On logarithms it is relative as it is. Else relative to the size of control's
    mean, see `size_of`; where control does not vary about 0 the candidate's deviation
    stands for it. 0 if there is nothing to relate to.
    """
    if test.measure is Measure.LOG:
        return log1p(smallest_harm(test))
    return smallest_harm(test) * _scale(entered)


def size_of(value: float, deviation: float) -> float:
    """Return the size of a value that something relative is related to.

    A third of the deviation at least. A value that lies about 0 by its nature, as a
    balance or a sum of gains and costs, has no size of its own: relative to what is
    left of it by chance no harm would ever be large enough to be worth catching.
    """
    return max(abs(value), _LEAST_MEAN * deviation)


def count(arms: Sequence[Arm]) -> int:
    """Return the observations of one arm over some strata."""
    return whole(sum([arm.n for arm in arms]))


def pairs_of(paired: Sequence[PairedArm]) -> int:
    """Return how many calls both arms answered."""
    return whole(sum([arm.n for arm in paired]))


def pooled_mean(arms: Sequence[Arm]) -> float | None:
    """Return the plain mean over strata, None without observations or if infinite."""
    return finite(_mean(arms)) if arms else None


def all_weighable(arms: Sequence[Arm]) -> bool:
    """Return whether nothing that is computed of these arms can overflow."""
    return all(arm.is_weighable for arm in arms)


def burn_in(who: str, arms: Sequence[Arm], *, least: int) -> str:
    """Return what an arm lacks before it may be judged by its variance, or nothing."""
    return _burn_in(f"observations of {who}", who, arms, least=least)


def _burn_in(what: str, who: str, arms: Sequence[Arm], *, least: int) -> str:
    seen = whole(sum([arm.observed for arm in arms]))
    if seen < least:
        return f"needs {least - seen} more {what} ({seen} of {least})"
    units = _units(arms)
    if units < MIN_UNITS:
        return (
            f"needs more subjects: the observations of {who} are worth {units:.0f} "
            f"buckets of equal size, {MIN_UNITS} are needed"
        )
    return ""


def _is_weighable(means: Means) -> bool:
    arms = (*means.control, *means.candidate)
    return all_weighable(arms) and all(arm.is_weighable for arm in means.paired)


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


def _missing_pairs(paired: Sequence[PairedArm]) -> str:
    differences = [arm.difference for arm in paired]
    return _burn_in("pairs", "pairs", differences, least=BURN_IN)


def _lacking(means: Means, of_split: str, of_pairs: str) -> str:
    """Return what the larger of the two kinds of evidence lacks."""
    return of_pairs if means.paired and not means.pairs else of_split


def _units(arms: Sequence[Arm]) -> float:
    """Return how many buckets of equal size the observations are worth (Kish).

    They are worth at least their number over that of the largest bucket, which is
    quicker told, and nobody asks for more than is needed.
    """
    total = sum([arm.n for arm in arms])
    if total >= MIN_UNITS * sum([max(arm.bucket_n) for arm in arms]) > 0:
        return MIN_UNITS
    sizes = [sum(counts) for counts in zip(*[a.bucket_n for a in arms], strict=True)]
    square = sum([size * size for size in sizes])
    return sum(sizes) / square * sum(sizes) if square > 0 else 0.0


def _scale(entered: Entered) -> float:
    controls = [pair.control for pair in entered.pairs]
    controls += [arm.control for arm in entered.paired]
    candidates = [pair.candidate for pair in entered.pairs]
    candidates += [arm.candidate for arm in entered.paired]
    of_control = size_of(_mean(controls), _deviation(controls))
    return of_control or _deviation(candidates)


def _mean(arms: Sequence[Arm]) -> float:
    return sum([arm.n * arm.mean for arm in arms]) / sum([arm.n for arm in arms])


def _deviation(arms: Sequence[Arm]) -> float:
    """Return the standard deviation about the common mean."""
    mean = _mean(arms)
    away = [arm.mean - mean for arm in arms]
    total = sum(
        [arm.n * (arm.variance + d * d) for arm, d in zip(arms, away, strict=True)]
    )
    return sqrt(total / sum([arm.n for arm in arms]))


_Scored = tuple[float, float]
"""Score and information, harm-signed."""


def _scored(test: Test, entered: Entered, plain: Score, harm: Harm) -> _Scored | None:
    """Return the evidence of harm beyond the tolerance; None where none can be.

    Of logarithms a relative tolerance is a difference, which any score can be
    shifted by.
    """
    margin = margin_of(test.guardrail)
    if not margin:
        return harm * plain.score, plain.info
    if test.measure is Measure.LOG:
        if harm < 0 and margin >= 1:
            return None
        tolerated = harm * log1p(harm * margin)
        return harm * plain.score - tolerated * plain.info, plain.info
    score = stratified_score(
        entered.pairs,
        paired=entered.paired,
        margin=margin,
        harm=harm,
        deff=plain.deff,
    )
    return None if score is None else (score.score, score.info)


def _grown(
    test: Test, scored: Mapping[Harm, _Scored | None], mei: float, times: float
) -> float:
    def log_e(harm: Harm) -> float:
        if (known := scored[harm]) is None:
            return 0.0
        return normal_mixture(known[0] * times, known[1] * times, mei=mei)

    return towards(test.guardrail, log_e)


def _interval(test: Test, plain: Score, mei: float, alpha: float) -> Interval | None:
    """Return all differences that neither one-sided test at alpha / 2 rejects."""
    found = difference(plain, mei=mei, log_threshold=two_sided(alpha))
    if found is None or test.measure is not Measure.LOG:
        return found
    control = exponential(plain.control_value)
    low, high = exponential(found.low) - 1, exponential(found.high) - 1
    return (
        None
        if isnan(control * low + control * high)
        else Interval(low=control * low, high=control * high)
    )


def difference(plain: Score, *, mei: float, log_threshold: float) -> Interval | None:
    """Return the confidence sequence of the difference, each side at this threshold.

    Args:
        plain: The score of an increase without a margin.
        mei: See `normal_mixture`.
        log_threshold: Of each of the two one-sided tests.
    """
    if not plain.info or not mei:
        return None
    estimate = plain.score / plain.info
    away = half_width(plain.info, mei=mei, log_threshold=log_threshold)
    if not isfinite(estimate) or isnan(away):
        return None
    return Interval(low=estimate - away, high=estimate + away)


def _shown(test: Test, value: float) -> float | None:
    """Return a mean in the metric's unit; of logarithms the geometric mean."""
    return finite(exponential(value) if test.measure is Measure.LOG else value)


def _undecided(test: Test, means: Means, note: str) -> Weighed:
    control, candidate = pooled_mean(means.control), pooled_mean(means.candidate)
    return Weighed(
        engine=Engine.NORMAL_MIXTURE,
        control_n=count(means.control),
        candidate_n=count(means.candidate),
        control_value=None if control is None else _shown(test, control),
        candidate_value=None if candidate is None else _shown(test, candidate),
        strata=len(means.pairs),
        pairs=pairs_of(means.paired),
        note=note,
    )
