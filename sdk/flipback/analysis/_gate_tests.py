"""Whether harm beyond a margin is ruled out, and what it would take if it is not.

Each side of a guardrail is the test of a roll back with its sign turned, against the
margin of the gate: the candidate must be shown to be no worse than that. Beside the
evidence stands what it would grow to if the arms were truly alike from now on, each
further exposure bringing as much information as those so far.
"""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import NamedTuple

from flipback.analysis._events import Events
from flipback.analysis._gate_margin import Side, opposite
from flipback.analysis._limits import weigh_event_limit, weigh_mean_limit
from flipback.analysis._means import entered_of, least_difference
from flipback.analysis._strata import Strata
from flipback.analysis._weighed import Engine, Weighed, smallest_harm
from flipback.analysis._weights import Test
from flipback.plan import FailsOn
from flipback.signals import Measure
from flipback.stats import (
    MIN_CANDIDATE,
    Harm,
    RateStratum,
    mcnemar,
    normal_mixture,
    one_sample,
    rule_out,
    score_against_limit,
    stratified_score,
)
from flipback.verdict import Finding


Expected = Callable[[float], float]
"""Log E if so many times the evidence so far were added, of arms that are alike."""

_FALLS_ON = {1: FailsOn.DECREASE, -1: FailsOn.INCREASE}


class Ruled(NamedTuple):
    """What one side of one test says at this look.

    Attributes:
        log_e: Evidence against harm beyond the margin; 0 without any evidence.
        expected: What it would grow to; None where nothing was weighed.
        never: Why arms that are alike would never pass, or empty.
    """

    log_e: float = 0.0
    expected: Expected | None = None
    never: str = ""


class _Scored(NamedTuple):
    """Score and information against a margin, and how far alike arms are from it."""

    score: float
    info: float
    distance: float
    mei: float


def rule_out_side(
    test: Test, side: Side, strata: Strata, finding: Finding, *, alpha: float
) -> Ruled:
    """Return what the evidence says to harm beyond a margin on one side.

    Args:
        test: Guardrail, cohort and measure.
        side: The harm to rule out; its margin is not used against a limit.
        strata: The evidence of this look.
        finding: What the same look says of a roll back; its design effect holds here
            too, and its note where nothing could be weighed.
        alpha: The plan's.
    """
    limit = test.guardrail.limit
    if limit is not None:
        return _against_limit(test, side.harm, limit, strata, alpha=alpha)
    if strata.unfrozen(test):
        return Ruled()
    if strata.counts_subjects(test):
        ruled = _events(Events.of(test, strata), side)
    else:
        deff = None if finding.note else finding.deff
        ruled = _means(test, side, strata, deff=deff)
    return ruled if side.can_be_ruled_out else ruled._replace(never=_impossible(side))


def _impossible(side: Side) -> str:
    if side.margin > 0:
        return "a fall by all there is, or more, cannot be ruled out"
    return "with a tolerance of 0 only a candidate that is shown to be better passes"


def _events(events: Events, side: Side) -> Ruled:
    if not events.entered and not events.paired:
        return Ruled()
    if not any(events.discordant) and not any(s[0] + s[1] for s in events.entered):
        return Ruled(never="no subject has had the event yet, in either arm")

    def expected(more: float) -> float:
        return _ruled_out(events, side, more)

    return _finite(Ruled(expected(0.0), expected))


def _ruled_out(events: Events, side: Side, more: float) -> float:
    """Return log E, with more of what the pooled rates let expect."""
    log_e = 0.0
    if events.entered:
        strata = [_alike(stratum, more) for stratum in events.entered]
        log_e += _rates_ruled_out(strata, side)
    if events.paired:
        only, other, both = events.discordant
        apart = more * (only + other) / 2
        log_e += mcnemar(
            only + apart,
            other + apart,
            both * (1 + more),
            margin=-side.margin,
            harm=opposite(side.harm),
        )
    return log_e


def _rates_ruled_out(strata: Sequence[RateStratum], side: Side) -> float:
    return rule_out(strata, margin=side.margin, harm=side.harm)


def _alike(stratum: RateStratum, more: float) -> RateStratum:
    hits, others, candidate_n, control_n, _ = stratum
    rate = (hits + others) / (candidate_n + control_n)
    return stratum._replace(
        candidate_events=hits + more * rate * candidate_n,
        control_events=others + more * rate * control_n,
        candidate_n=candidate_n * (1 + more),
        control_n=control_n * (1 + more),
    )


def _means(test: Test, side: Side, strata: Strata, *, deff: float | None) -> Ruled:
    scored = _scored(test, side, strata, deff=deff)
    if scored is None or not scored.mei > 0:
        return Ruled()
    return _mixed(scored)


def _scored(
    test: Test, side: Side, strata: Strata, *, deff: float | None
) -> _Scored | None:
    """Return the score of "no worse than the margin"; None where nothing is weighed.

    Of logarithms a relative margin is a difference, which any score can be shifted
    by.
    """
    entered = entered_of(test, strata.means(test))
    if entered.note:
        return None
    is_log = test.measure is Measure.LOG
    score = stratified_score(
        entered.pairs,
        paired=entered.paired,
        margin=0.0 if is_log else -side.margin,
        harm=opposite(side.harm),
        deff=deff,
    )
    if score is None:
        return None
    least = least_difference(test, entered)
    if is_log:
        distance = side.log_margin
        total = score.score + distance * score.info
        return _Scored(total, score.info, distance, distance or least)
    distance = side.margin * abs(score.control_value)
    return _Scored(score.score, score.info, distance, distance or least)


def _mixed(scored: _Scored) -> Ruled:
    score, info, distance, mei = scored

    def expected(more: float) -> float:
        total = score + more * info * distance
        return normal_mixture(total, info * (1 + more), mei=mei)

    return _finite(Ruled(expected(0.0), expected))


def _finite(ruled: Ruled) -> Ruled:
    """Return what was weighed; nothing where the evidence is no number.

    Infinite evidence is none either: it comes of sums that overflow.
    """
    return ruled if isfinite(ruled.log_e) else Ruled()


def _against_limit(
    test: Test, harm: Harm, limit: float, strata: Strata, *, alpha: float
) -> Ruled:
    """Return the evidence that a limit is kept; alike is what control's value is."""
    turned = test.guardrail.model_copy(update={"fails_on": _FALLS_ON[harm]})
    weigh = weigh_event_limit if strata.counts_subjects(test) else weigh_mean_limit
    kept = weigh(test._replace(guardrail=turned), limit, strata, alpha=alpha)
    if kept.grown is None or kept.candidate_value is None:
        return Ruled()
    if kept.control_value is None:
        return Ruled(kept.log_e, never="nothing is known of control")
    if harm * (limit - kept.control_value) <= 0:
        return Ruled(kept.log_e, never="control itself does not keep this limit")
    if kept.engine is Engine.ONE_SAMPLE:
        return Ruled(kept.log_e, _of_hits(kept, harm, limit))
    return Ruled(kept.log_e, _of_mean(test, harm, limit, kept, strata))


def _of_hits(kept: Weighed, harm: Harm, limit: float) -> Expected:
    n = (kept.candidate_n + kept.pairs) / kept.deff
    k, rate = n * (kept.candidate_value or 0.0), kept.control_value or 0.0

    def expected(more: float) -> float:
        hits, trials = k + more * n * rate, n * (1 + more)
        return one_sample(min(hits, trials), trials, limit=limit, harm=opposite(harm))

    return expected


def _of_mean(
    test: Test, harm: Harm, limit: float, kept: Weighed, strata: Strata
) -> Expected | None:
    means = strata.means(test)
    arms = [*means.candidate, *[paired.candidate for paired in means.paired]]
    entered = [arm for arm in arms if arm.observed >= MIN_CANDIDATE]
    score = score_against_limit(entered, limit=limit, harm=opposite(harm))
    if score is None:
        return None
    distance = harm * (limit - (kept.control_value or 0.0))
    mei = smallest_harm(test) * abs(limit) or distance
    return _mixed(_Scored(score.score, score.info, distance, mei)).expected
