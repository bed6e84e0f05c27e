"""One look at all the evidence of a rollout.

    G = sum over tests of weight * E,   roll back where G >= 1 / alpha

G averages the e-values of this look, so it is an e-process itself however the
tests depend on each other, and the chance that a harmless candidate is ever rolled
back is at most alpha for the whole attempt (Ville). Which guardrail it was is told
by weighted Bonferroni on the running maxima, E >= 1 / (weight * alpha): whoever
reaches that has taken G over its threshold alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log
from types import MappingProxyType
from typing import NamedTuple

from flipback.analysis._events import weigh_events
from flipback.analysis._limits import weigh_event_limit, weigh_mean_limit
from flipback.analysis._means import weigh_means
from flipback.analysis._strata import Strata, sort
from flipback.analysis._weighed import Weighed
from flipback.analysis._weights import Test, tests_of
from flipback.assignment import Cohort
from flipback.exposure import Evidence
from flipback.plan import MetricKind, OnFail, RolloutPlan
from flipback.stats import average
from flipback.verdict import Finding, Verdict


class PeakKey(NamedTuple):
    """Whose running maximum: a guardrail by its place in the plan, and a cohort."""

    guardrail: int
    cohort: Cohort


NO_PEAKS: Mapping[PeakKey, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What all guardrails together say at one look.

    Never PASS: finding no harm is no proof that there is none.

    Attributes:
        verdict: FAIL where harm is proven by a guardrail that rolls back.
        findings: One per guardrail and watched cohort, in the plan's order.
        log_g: Log of the global e-value over guardrails that roll back.
        log_threshold: What `log_g` must reach: log(1 / alpha).
        broken: Findings to which the harm is attributed.
        suspect: The finding that weighs most; most likely the reason where G has
            crossed and nothing is attributed. None if nothing rolls back.
        paused: Findings of guardrails that pause, once their own process has
            crossed, and limits that control breaches as well.
        warned: Likewise for guardrails that warn.
        peaks: Running maxima, to be handed to the next look of this attempt.
        excluded: Exposures that were not compared, by reason.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    log_g: float
    log_threshold: float
    broken: tuple[Finding, ...]
    suspect: Finding | None
    paused: tuple[Finding, ...]
    warned: tuple[Finding, ...]
    peaks: Mapping[PeakKey, float]
    excluded: Mapping[str, int]


class _Judged(NamedTuple):
    test: Test
    finding: Finding
    counts: bool


class _Process(NamedTuple):
    """The tests that share one alpha."""

    log_g: float
    crossed: bool
    broken: tuple[Finding, ...]
    suspect: Finding | None

    @property
    def named(self) -> tuple[Finding, ...]:
        """Return what to tell people: the attributed, else the most likely."""
        if self.broken or not self.crossed or self.suspect is None:
            return self.broken
        return (self.suspect,)


def analyze(
    plan: RolloutPlan,
    evidence: Evidence,
    *,
    peaks: Mapping[PeakKey, float] = NO_PEAKS,
) -> Analysis:
    """Weigh every guardrail in every cohort, and all of them together.

    The answer depends on the sums alone: not on the order in which they came, nor
    on how many processes collected them. Without evidence it is INCONCLUSIVE, and
    each finding's note says what is missing.

    It never raises, whatever the sums are: a guardrail whose evidence is not finite
    is undecided, its E is 1, and the others count as if it said nothing.

    Args:
        plan: What was promised; the same for all looks of an attempt.
        evidence: Sums of the attempt; variants other than the plan's are ignored.
        peaks: `Analysis.peaks` of the look before; empty at an attempt's first.
    """
    judged = _judge_all(plan, sort(plan, evidence), peaks)
    rolling, pausing, warning = (
        _process([each for each in judged if each.test.guardrail.on_fail is act], plan)
        for act in (OnFail.ROLL_BACK, OnFail.PAUSE, OnFail.WARN)
    )
    return Analysis(
        verdict=Verdict.FAIL if rolling.crossed else Verdict.INCONCLUSIVE,
        findings=tuple(each.finding for each in judged),
        log_g=rolling.log_g,
        log_threshold=log(1 / plan.alpha),
        broken=rolling.broken,
        suspect=rolling.suspect,
        paused=pausing.named + _breached_by_both(judged, plan.alpha),
        warned=warning.named,
        peaks=MappingProxyType(
            {_key(each.test): each.finding.peak_log_e for each in judged}
        ),
        excluded=evidence.excluded,
    )


def _judge_all(
    plan: RolloutPlan, strata: Strata, peaks: Mapping[PeakKey, float]
) -> list[_Judged]:
    judged: list[_Judged] = []
    deff_of_everybody = 1.0
    for test in tests_of(plan):
        least_deff = deff_of_everybody if test.cohort else 1.0
        weighed = _weigh(test, strata, alpha=plan.alpha, least_deff=least_deff)
        if not test.cohort:
            deff_of_everybody = weighed.deff
        peak = _known(peaks.get(_key(test), -inf))
        finding = _finding(test, weighed, alpha=plan.alpha, peak=peak)
        judged.append(_Judged(test, finding, counts=not weighed.breached_by_control))
    return judged


def _weigh(test: Test, strata: Strata, *, alpha: float, least_deff: float) -> Weighed:
    metric, limit = test.guardrail.metric, test.guardrail.limit
    match test.guardrail.weighed_as:
        case MetricKind.EVENT:
            counted = strata.rates(metric, test.cohort)
            if limit is None:
                return weigh_events(test, counted, alpha=alpha)
            return weigh_event_limit(test, limit, counted, alpha=alpha)
        case MetricKind.MEAN:
            means = strata.means(metric, test.cohort)
            if limit is None:
                return weigh_means(test, means, alpha=alpha, least_deff=least_deff)
            return weigh_mean_limit(test, limit, means, alpha=alpha)


def _finding(test: Test, weighed: Weighed, *, alpha: float, peak: float) -> Finding:
    peak = max(peak, weighed.log_e)
    proven = peak >= _own_threshold(test.weight, alpha)
    failed = proven and not weighed.breached_by_control
    return Finding(
        metric=test.guardrail.metric,
        cohort=test.cohort,
        verdict=Verdict.FAIL if failed else Verdict.INCONCLUSIVE,
        log_e=weighed.log_e,
        peak_log_e=peak,
        weight=test.weight,
        control_n=weighed.control_n,
        candidate_n=weighed.candidate_n,
        control_value=weighed.control_value,
        candidate_value=weighed.candidate_value,
        interval=weighed.interval,
        deff=weighed.deff,
        strata=weighed.strata,
        engine=weighed.engine,
        note=weighed.note,
    )


def _process(judged: Sequence[_Judged], plan: RolloutPlan) -> _Process:
    """Return one process: crossed at this look, or attributed at one before it.

    A test that is attributed took G over its threshold at its maximum, so heeding
    it later, after a restart between look and act, costs no alpha.
    """
    counted = [each.finding for each in judged if each.counts]
    log_es = [finding.log_e for finding in counted]
    log_g = average(log_es, [finding.weight for finding in counted])
    broken = tuple(each for each in counted if each.verdict is Verdict.FAIL)
    crossed = bool(broken) or log_g >= log(1 / plan.alpha)
    suspect = max(counted, key=_weight_of_evidence, default=None)
    return _Process(log_g, crossed, broken, suspect)


def _breached_by_both(judged: Sequence[_Judged], alpha: float) -> tuple[Finding, ...]:
    return tuple(
        each.finding
        for each in judged
        if not each.counts
        and each.test.guardrail.on_fail is not OnFail.WARN
        and each.finding.log_e >= _own_threshold(each.test.weight, alpha)
    )


def _weight_of_evidence(finding: Finding) -> float:
    return finding.log_e + log(finding.weight) if finding.weight else -inf


def _own_threshold(weight: float, alpha: float) -> float:
    return -log(weight) - log(alpha) if weight else inf


def _known(peak: float) -> float:
    """Return a running maximum, none where it is no number to be compared."""
    return peak if isfinite(peak) else -inf


def _key(test: Test) -> PeakKey:
    return PeakKey(test.place, test.cohort)
