"""Whether a stage may be left: proof of no harm, guardrail by guardrail.

Berger's intersection-union test: the candidate may go on only if each guardrail, in
everybody and in each watched cohort, rejects "worse than the margin" at alpha. Passing
by mistake takes an error of the very test that is most wrong, so nothing is corrected
for their number, and every test more can only make the gate stricter.

The proof must hold now: what was proven in the first week and no longer is does not
pass, unlike harm, which stays proven. Looking often costs nothing all the same, because
the evidence at every look is an e-value of a process. Finding no harm is no proof, and
a plan of which no guardrail can block proves nothing: both are INCONCLUSIVE, as is a
cohort that nobody has met.

A stage that lasts until the latency is stable asks for no such proof. It is left once
`warm_up` is ready, no harm is proven, and nothing else waits.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from math import ceil, inf, log
from typing import NamedTuple

from flipback.analysis._analyze import Analysis, analyze
from flipback.analysis._gate_margin import (
    Side,
    gate_margin,
    next_weight_after,
    sides_of,
    stage_at,
)
from flipback.analysis._gate_tests import Ruled, rule_out_side
from flipback.analysis._gate_waits import Lack, lacking_subjects, waits_of
from flipback.analysis._strata import Strata, sort
from flipback.analysis._warm_up import warm_up
from flipback.analysis._weights import Test, tests_but
from flipback.assignment import EVERYBODY, Cohort
from flipback.exposure import Evidence
from flipback.plan import OnFail, RolloutPlan, Stage, Undecided, Until
from flipback.stats import least
from flipback.verdict import Finding, Gate, GateFinding, Verdict, combine


_FURTHEST = 1e5
"""Times the evidence so far; who needs more needs another plan."""

_FIRST_TRY = 0.05
_PRESENT = "at the present difference it would not pass however long one waits"
_MATURING = "the exposures at hand suffice once their outcomes have matured"
_UNKNOWN = "how many exposures it needs is not known yet"
_FAILED = "harm is proven"


class _Needed(NamedTuple):
    exposures: int | None
    note: str


def gate(  # noqa: PLR0913 - where the rollout stands, and what people know of it
    plan: RolloutPlan,
    evidence: Evidence,
    *,
    weight: float | None,
    next_weight: float | None = None,
    stage: Stage | None = None,
    elapsed: timedelta | None = None,
    now: float = inf,
    analysis: Analysis | None = None,
    accepted: Collection[Cohort] = (),
    without: Collection[Cohort] = (),
) -> Gate:
    """Say whether a stage may be left for the next weight, and what is missing.

    Args:
        plan: What was promised.
        evidence: Sums of the attempt.
        weight: Percent of subjects in force, 0 in shadow; None for the last stage's.
        next_weight: Percent asked for; the next stage's if None.
        stage: The stage in force. None finds it by the weight, which is wrong where
            the holdback keeps the split below what the stage asks for.
        elapsed: How long the stage has lasted. None waits wherever a window is set.
        now: Unix seconds; see `analyze`.
        analysis: What `analyze` says of the same evidence; asked for if None.
        accepted: Cohorts of which a person takes the doubt: those that the gate asks
            about do not hold it, others change nothing.
        without: Cohorts that are served control by now; see `analyze`.
    """
    at = stage_at(plan, weight) if stage is None else stage
    opens = _opens(plan, weight, stage) if next_weight is None else next_weight
    look = analysis or analyze(plan, evidence, now=now, without=without)
    strata = sort(plan, evidence, now)
    findings = tuple(_findings(plan, look, strata, opens, without))
    lacks = lacking_subjects(plan, at, strata, findings, without)
    asks = tuple(_asks(plan, findings, lacks))
    taken = set(asks).intersection(accepted)
    waits = (
        *_without_proof(plan, at, evidence, findings, now),
        *waits_of(at, elapsed, look, [x for x in lacks if x.cohort not in taken]),
    )
    holding = () if _warms(at) else [f for f in findings if f.cohort not in taken]
    return Gate(
        weight=weight,
        next_weight=opens,
        verdict=_verdict(look, findings, holding, waits),
        findings=findings,
        waits=waits,
        asks=asks,
    )


def _opens(plan: RolloutPlan, weight: float | None, stage: Stage | None) -> float:
    """Return the weight that comes after the stage in force."""
    return next_weight_after(plan, weight if stage is None else stage.weight or 0)


def _findings(
    plan: RolloutPlan,
    look: Analysis,
    strata: Strata,
    opens: float,
    without: Collection[Cohort],
) -> Iterator[GateFinding]:
    """Yield what each guardrail that can block says of each cohort."""
    told = (f for f in look.findings if not f.cohort or f.cohort not in without)
    for test, finding in zip(tests_but(plan, without), told, strict=True):
        if test.guardrail.on_fail is not OnFail.WARN:
            yield _finding(plan, test, finding, strata, opens)


def _warms(stage: Stage | None) -> bool:
    return stage is not None and stage.until is Until.WARM


def _without_proof(
    plan: RolloutPlan,
    stage: Stage | None,
    evidence: Evidence,
    findings: Sequence[GateFinding],
    now: float,
) -> Iterator[str]:
    """Yield why a stage holds of which no guardrail holds the gate."""
    if _warms(stage):
        yield from filter(None, [warm_up(plan, evidence, now=now).note])
    elif not findings:
        yield "no guardrail of this plan can block, so none could pass"


def _verdict(
    look: Analysis,
    findings: Sequence[GateFinding],
    holding: Sequence[GateFinding],
    waits: Sequence[str],
) -> Verdict:
    """Return the verdict; of all findings any fails, and some hold."""
    seen = {finding.verdict for finding in findings}
    if look.verdict is Verdict.FAIL or Verdict.FAIL in seen:
        return Verdict.FAIL
    passes = all(finding.verdict is Verdict.PASS for finding in holding)
    return Verdict.PASS if passes and not waits else Verdict.INCONCLUSIVE


def _asks(
    plan: RolloutPlan, findings: Sequence[GateFinding], lacks: Sequence[Lack]
) -> Iterator[Cohort]:
    """Yield undecided cohorts that a person may accept, where everybody passes."""
    lacking = {lack.cohort for lack in lacks}
    of_everybody = [f.verdict for f in findings if f.cohort == EVERYBODY]
    shown = combine(of_everybody) is Verdict.PASS and EVERYBODY not in lacking
    if plan.undecided is not Undecided.ASK or not shown:
        return
    for cohort in plan.declared_cohorts:
        said = {f.verdict for f in findings if f.cohort == cohort}
        undecided = Verdict.INCONCLUSIVE in said or cohort in lacking
        if undecided and Verdict.FAIL not in said:
            yield cohort


def _finding(
    plan: RolloutPlan, test: Test, finding: Finding, strata: Strata, opens: float
) -> GateFinding:
    sides = [
        Side(harm, gate_margin(plan, test.guardrail, harm, opens) or 0.0)
        for harm in sides_of(test.guardrail)
    ]
    said = [
        (rule_out_side(test, side, strata, finding, alpha=plan.alpha), side)
        for side in sides
    ]
    ruled, side = min(said, key=lambda each: each[0].log_e)
    threshold = log(1 / plan.alpha)
    verdict = _of_test(finding, ruled, threshold)
    needed = _Needed(0, "")
    if verdict is Verdict.FAIL:
        needed = _Needed(None, _FAILED)
    elif verdict is Verdict.INCONCLUSIVE:
        needed = _needed(plan, test, finding, strata, [each for each, _ in said])
        if _is_beyond(test, finding, side):
            needed = needed._replace(note=_joined(needed.note, _PRESENT))
    limited = test.guardrail.limit is not None
    return GateFinding(
        place=test.place,
        metric=test.guardrail.metric,
        measure=test.measure,
        cohort=test.cohort,
        verdict=verdict,
        margin=None if limited else side.margin,
        limit=test.guardrail.limit,
        log_e=ruled.log_e,
        log_threshold=threshold,
        needs=needed.exposures,
        note=needed.note,
        control_n=finding.control_n,
        candidate_n=finding.candidate_n,
        control_users=finding.control_users,
        candidate_users=finding.candidate_users,
        control_value=finding.control_value,
        candidate_value=finding.candidate_value,
        interval=finding.interval,
        deff=finding.deff,
        strata=finding.strata,
        epochs=finding.epochs,
        pairs=finding.pairs,
    )


def _of_test(finding: Finding, ruled: Ruled, threshold: float) -> Verdict:
    if finding.verdict is Verdict.FAIL:
        return Verdict.FAIL
    return Verdict.PASS if ruled.log_e >= threshold else Verdict.INCONCLUSIVE


def _is_beyond(test: Test, finding: Finding, side: Side) -> bool:
    """Return whether the candidate, as it looks now, is on the wrong side."""
    limit, value = test.guardrail.limit, finding.candidate_value
    if limit is not None:
        return value is not None and side.harm * (value - limit) >= 0
    control = finding.control_value
    if value is None or control is None:
        return False
    return side.harm * (value - control) >= side.margin * abs(control) > 0


def _needed(
    plan: RolloutPlan,
    test: Test,
    finding: Finding,
    strata: Strata,
    sides: Sequence[Ruled],
) -> _Needed:
    """Return how many candidate exposures are missing, if the arms are alike."""
    for ruled in sides:
        if ruled.never:
            return _Needed(None, ruled.never)
    threshold = log(1 / plan.alpha)
    times = 0.0
    for ruled in sides:
        if ruled.expected is None:
            return _Needed(None, _joined(finding.note, _UNKNOWN))
        more = least(ruled.expected, threshold, start=_FIRST_TRY, most=_FURTHEST)
        if more is None:
            return _Needed(None, f"it needs over {_FURTHEST:,.0f} times as many")
        times = max(times, more)
    missing = _missing(plan, test, finding, strata, times)
    return _Needed(missing, "") if missing > 0 else _Needed(0, _MATURING)


def _missing(
    plan: RolloutPlan, test: Test, finding: Finding, strata: Strata, times: float
) -> int:
    """Return what exposures lack of so many times more than those that count now."""
    described = plan.metric(test.guardrail.metric)
    delay = int(described.matures_after.total_seconds())
    exposed = strata.exposures(test.cohort, after_s=delay)[1]
    counting = exposed or finding.candidate_n or finding.pairs
    at_hand = max(counting, strata.exposures(test.cohort)[1])
    return ceil((1 + times) * counting) - at_hand


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
