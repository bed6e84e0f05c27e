"""One look at all the evidence of a rollout.

    G = sum over tests of weight * E,   roll back where G >= 1 / alpha

G averages the e-values of this look, so it is an e-process itself however the
tests depend on each other, and the chance that a harmless candidate is ever rolled
back is at most alpha for the whole attempt (Ville). Which guardrail it was is told
by weighted Bonferroni on the running maxima, E >= 1 / (weight * alpha): whoever
reaches that has taken G over its threshold alone.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, log
from types import MappingProxyType
from typing import NamedTuple

from flipback.analysis._action import Proven, action_of, scope_of
from flipback.analysis._events import weigh_events
from flipback.analysis._faults import faults_of
from flipback.analysis._hypothesis import weigh_hypothesis
from flipback.analysis._limits import weigh_event_limit, weigh_mean_limit
from flipback.analysis._means import weigh_means
from flipback.analysis._outlook import outlook_of
from flipback.analysis._peaks import NO_PEAKS, OF_THE_SPLIT, PeakKey, known_peak
from flipback.analysis._renewal import Renewal, renewed, since_renewal
from flipback.analysis._split import Split, weigh_split
from flipback.analysis._strata import Strata, sort
from flipback.analysis._weighed import Engine, Weighed, margin_of
from flipback.analysis._weights import Test, tests_but
from flipback.assignment import Cohort
from flipback.exposure import Evidence
from flipback.plan import OnFail, RolloutPlan
from flipback.signals import Measure
from flipback.stats import average
from flipback.verdict import Action, Finding, Hoped, HypothesisFinding, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What all guardrails together say at one look.

    Never PASS: finding no harm is no proof that there is none.

    Attributes:
        verdict: FAIL exactly where `action` is to roll back.
        action: What this look asks for.
        cohorts: Whom a roll back concerns; nobody named is everybody.
        findings: One per measure of each guardrail and watched cohort, in the
            plan's order.
        log_g: Log of the global e-value over guardrails that roll back.
        log_threshold: What `log_g` must reach: log(1 / alpha).
        broken: Findings to which the harm is attributed, whether acted on or not.
        suspect: The finding that weighs most; most likely the reason where G has
            crossed and nothing is attributed. None if nothing rolls back.
        paused: Findings of guardrails that pause, once their own process has
            crossed, and limits that control breaches as well.
        warned: Likewise for guardrails that warn.
        hypothesis: What became of what the rollout hopes to show, if anything.
        frozen: Why nothing may be concluded at all, a sentence each: subjects are
            not split as set. Nothing moves then, not even back.
        faults: Holes in the data, a sentence each; they bar the gate, and stop no
            roll back that other metrics prove.
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
    action: Action = Action.HOLD
    cohorts: tuple[Cohort, ...] = ()
    hypothesis: HypothesisFinding | None = None
    frozen: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class _Judged(NamedTuple):
    test: Test
    finding: Finding
    counts: bool


class _Process(NamedTuple):
    """The tests that share one alpha."""

    log_g: float
    crossed: bool
    broken: tuple[_Judged, ...]
    suspect: Finding | None

    @property
    def attributed(self) -> tuple[Finding, ...]:
        """Return the findings to which the harm is attributed."""
        return tuple(each.finding for each in self.broken)

    @property
    def named(self) -> tuple[Finding, ...]:
        """Return what to tell people: the attributed, else the most likely."""
        if self.broken or not self.crossed or self.suspect is None:
            return self.attributed
        return (self.suspect,)


def analyze(
    plan: RolloutPlan,
    evidence: Evidence,
    *,
    peaks: Mapping[PeakKey, float] = NO_PEAKS,
    now: float = inf,
    shown: bool = True,
    without: Collection[Cohort] = (),
    renewal: Renewal | None = None,
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
        now: Unix seconds; time slices that are not mature by then are left out.
        shown: Whether somebody will see the findings; else intervals, epochs and
            outlooks, which decide nothing and take a third of the time, are left out.
        without: Cohorts that are served control by now, and so say nothing new. Their
            tests find nothing, count nowhere, and ask for nothing; everybody cannot
            be left out. The other tests keep their weights, so that G is at most what
            it is with all of them, and alpha holds whenever a cohort is left out. What
            the cohort saw before stays a part of everybody.
        renewal: The stage that began last; what was seen since is weighed on its own
            as well, so that harm which begins late is found. None where no attempt
            was started.
    """
    strata = sort(plan, evidence, now)
    tests = tests_but(plan, without)
    newer = since_renewal(evidence, renewal)
    recent = None if newer is None else sort(plan, newer, now)
    course = _Course(strata, recent, renewal)
    judged = _judge_all(plan, tests, course, peaks, shown=shown)
    split = weigh_split(plan, evidence, peak=known_peak(peaks, OF_THE_SPLIT))
    kept = {key: peak for key, peak in peaks.items() if key.cohort in without}
    return _concluded(plan, evidence, strata, judged, split, kept)


def _concluded(
    plan: RolloutPlan,
    evidence: Evidence,
    strata: Strata,
    judged: Sequence[_Judged],
    split: Split,
    kept: Mapping[PeakKey, float],
) -> Analysis:
    hypothesis = weigh_hypothesis(plan, strata)
    rolling, pausing, warning = (
        _process([each for each in judged if each.test.guardrail.on_fail is act], plan)
        for act in (OnFail.ROLL_BACK, OnFail.PAUSE, OnFail.WARN)
    )
    paused = pausing.named + _breached_by_both(judged)
    contradicted = hypothesis is not None and hypothesis.verdict is Hoped.CONTRADICTED
    action = action_of(
        Proven(
            distrusted=bool(split.frozen),
            harm=rolling.crossed,
            doubt=bool(paused) or contradicted,
        )
    )
    rolls_back = action is Action.ROLL_BACK
    return Analysis(
        verdict=Verdict.FAIL if rolls_back else Verdict.INCONCLUSIVE,
        action=action,
        cohorts=scope_of(each.test for each in rolling.broken) if rolls_back else (),
        findings=tuple(each.finding for each in judged),
        log_g=rolling.log_g,
        log_threshold=log(1 / plan.alpha),
        broken=rolling.attributed,
        suspect=rolling.suspect,
        paused=paused,
        warned=warning.named,
        hypothesis=hypothesis,
        frozen=(split.frozen,) if split.frozen else (),
        faults=faults_of(plan, strata),
        peaks=_peaks(kept, judged, split),
        excluded=evidence.excluded,
    )


class _Course(NamedTuple):
    """The attempt as a whole, and what of it was seen since its last stage began."""

    strata: Strata
    recent: Strata | None
    renewal: Renewal | None


def _judge_all(
    plan: RolloutPlan,
    tests: Sequence[Test],
    course: _Course,
    peaks: Mapping[PeakKey, float],
    *,
    shown: bool,
) -> list[_Judged]:
    judged: list[_Judged] = []
    deffs_of_everybody: dict[tuple[int, Measure], float] = {}
    users: dict[Cohort, tuple[int, int]] = {}
    for test in tests:
        if test.cohort not in users:
            users[test.cohort] = course.strata.users(test.cohort)
        whose = test.place, test.measure
        least_deff = deffs_of_everybody.get(whose, 1.0)
        weighed = _weigh(
            test, course.strata, alpha=plan.alpha, least_deff=least_deff, shown=shown
        )
        if not test.cohort:
            deffs_of_everybody[whose] = weighed.deff
        threshold = _own_threshold(test.weight, plan.alpha)
        recent = None
        if course.recent is not None:
            recent = _weigh(
                test,
                course.recent,
                alpha=plan.alpha,
                least_deff=least_deff,
                shown=shown,
            )
        weighed = renewed(weighed, recent, course.renewal, log_threshold=threshold)
        peak = max(known_peak(peaks, PeakKey.of(test)), weighed.log_e)
        finding = _finding(
            test, weighed, users[test.cohort], peak=peak, threshold=threshold
        )
        if shown:
            outlook = outlook_of(test, weighed, peak=peak, log_threshold=threshold)
            finding = replace(finding, outlook=outlook)
        judged.append(_Judged(test, finding, counts=not weighed.breached_by_control))
    return judged


def _weigh(
    test: Test, strata: Strata, *, alpha: float, least_deff: float, shown: bool
) -> Weighed:
    events, limit = strata.counts_subjects(test), test.guardrail.limit
    if limit is not None:
        weigh = weigh_event_limit if events else weigh_mean_limit
        return weigh(test, limit, strata, alpha=alpha)
    if note := strata.unfrozen(test):
        engine = Engine.RATE if events else Engine.NORMAL_MIXTURE
        return Weighed(engine=engine, note=note)
    of_interval = alpha if shown else None
    if events:
        return weigh_events(test, strata, alpha=of_interval)
    return weigh_means(
        test,
        strata.means(test),
        alpha=of_interval,
        least_deff=least_deff,
        deff=1.0 if strata.met_once(test.cohort) else None,
    )


def _finding(
    test: Test,
    weighed: Weighed,
    users: tuple[int, int],
    *,
    peak: float,
    threshold: float,
) -> Finding:
    failed = peak >= threshold and not weighed.breached_by_control
    limited = test.guardrail.limit is not None
    return Finding(
        place=test.place,
        metric=test.guardrail.metric,
        measure=test.measure,
        cohort=test.cohort,
        verdict=Verdict.FAIL if failed else Verdict.INCONCLUSIVE,
        log_e=weighed.log_e,
        peak_log_e=peak,
        weight=test.weight,
        log_threshold=threshold,
        margin=None if limited else margin_of(test.guardrail),
        limit=test.guardrail.limit,
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
        engine=weighed.engine,
        note=weighed.note,
    )


def _process(judged: Sequence[_Judged], plan: RolloutPlan) -> _Process:
    """Return one process: crossed at this look, or attributed at one before it.

    A test that is attributed took G over its threshold at its maximum, so heeding
    it later, after a restart between look and act, costs no alpha.
    """
    counted = [each for each in judged if each.counts]
    findings = [each.finding for each in counted]
    log_es = [finding.log_e for finding in findings]
    log_g = average(log_es, [finding.weight for finding in findings])
    broken = tuple(each for each in counted if each.finding.verdict is Verdict.FAIL)
    crossed = bool(broken) or log_g >= log(1 / plan.alpha)
    suspect = max(findings, key=_weight_of_evidence, default=None)
    return _Process(log_g, crossed, broken, suspect)


def _breached_by_both(judged: Iterable[_Judged]) -> tuple[Finding, ...]:
    return tuple(
        each.finding
        for each in judged
        if not each.counts
        and each.test.guardrail.on_fail is not OnFail.WARN
        and each.finding.log_e >= each.finding.log_threshold
    )


def _peaks(
    kept: Mapping[PeakKey, float], judged: Iterable[_Judged], split: Split
) -> Mapping[PeakKey, float]:
    """Return the maxima up to this look; who was left out keeps the one it had."""
    seen = {PeakKey.of(each.test): each.finding.peak_log_e for each in judged}
    if split.peak_log_e > -inf:
        seen[OF_THE_SPLIT] = split.peak_log_e
    return MappingProxyType({**kept, **seen})


def _weight_of_evidence(finding: Finding) -> float:
    return finding.log_e + log(finding.weight) if finding.weight else -inf


def _own_threshold(weight: float, alpha: float) -> float:
    return -log(weight) - log(alpha) if weight else inf
