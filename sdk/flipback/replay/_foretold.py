"""When harm that was added should be caught, as planning reckons it."""

from math import isfinite, sqrt

from flipback.assignment import EVERYBODY
from flipback.booking import signals_of
from flipback.exposure import Cell, Evidence
from flipback.plan import FailsOn, Guardrail, MetricKind, RolloutPlan, Stage
from flipback.power import Baseline, Traffic, power
from flipback.replay._arms import Harm
from flipback.replay._result import Ended
from flipback.signals import Measure
from flipback.verdict import Finding


_PERCENT = 100.0
_MEASURES = {
    MetricKind.LATENCY: Measure.LOG,
    MetricKind.HEAVY_TAIL: Measure.CAPPED,
}


def foretold(plan: RolloutPlan, ended: Ended, harm: Harm) -> float | None:
    """Return the candidate exposures until harm is caught, in its cohort if it has one.

    Traffic and baselines are those of the log until it ended, a day of them taken to
    be all of it. Infinite where the plan tolerates such harm or never decides; None
    where it cannot be said: nothing guards the metric against a change of that sign,
    or too little was seen.
    """
    guardrail = next((g for g in plan.guardrails if _guards(g, harm)), None)
    finding = _finding(ended, harm)
    share = _share(plan, ended)
    if guardrail is None or finding is None or not share:
        return None
    baseline = _baseline(plan, ended.evidence, finding, harm.metric)
    if baseline is None or not baseline.mean:
        return None
    size = abs(harm.size) if harm.relative else abs(harm.size / baseline.mean)
    beyond = size - (guardrail.tolerance or 0.0)
    if beyond <= 0:
        return float("inf")
    return _exposures(_asked(plan, harm, beyond, share), ended, harm, baseline, finding)


def _exposures(
    plan: RolloutPlan, ended: Ended, harm: Harm, baseline: Baseline, finding: Finding
) -> float | None:
    calls = _calls(plan, ended, EVERYBODY)
    inside = _calls(plan, ended, harm.cohort)
    users = finding.control_users + finding.candidate_users
    traffic = Traffic(
        calls_per_day=calls * _reported(plan, ended, harm.metric),
        calls_per_subject_per_day=max(1.0, calls / users) if users else 1.0,
        baselines={harm.metric: baseline},
        shares={harm.cohort: inside / calls} if harm.cohort else {},
        deff=finding.deff,
    )
    (stage,) = power(plan, traffic).stages
    days = [
        test.catches_days
        for test in stage.tests
        if (test.metric, test.cohort) == (harm.metric, harm.cohort)
    ]
    weight = (plan.stages[0].weight or 0.0) / _PERCENT
    return min(days) * inside * weight if days else None


def _asked(plan: RolloutPlan, harm: Harm, beyond: float, share: float) -> RolloutPlan:
    """Return the plan with one stage of this share, tuned as it is, for this harm."""
    guardrails = tuple(
        g.model_copy(update={"smallest_harm": beyond}) if _guards(g, harm) else g
        for g in plan.guardrails
    )
    stage = Stage(weight=share * _PERCENT)
    return plan.model_copy(update={"stages": (stage,), "guardrails": guardrails})


def _guards(guardrail: Guardrail, harm: Harm) -> bool:
    rises = FailsOn.INCREASE if harm.size > 0 else FailsOn.DECREASE
    return (
        guardrail.metric == harm.metric
        and guardrail.limit is None
        and guardrail.fails_on in (rises, FailsOn.CHANGE)
    )


def _finding(ended: Ended, harm: Harm) -> Finding | None:
    return next(
        (
            each
            for each in ended.analysis.findings
            if (each.metric, each.cohort) == (harm.metric, EVERYBODY)
        ),
        None,
    )


def _share(plan: RolloutPlan, ended: Ended) -> float:
    """Return the share in force, that of the exposures where none is known."""
    if ended.stage.weight is not None:
        return ended.stage.weight / _PERCENT
    return ended.exposures(plan.candidate) / (_calls(plan, ended, EVERYBODY) or 1)


def _calls(plan: RolloutPlan, ended: Ended, cohort: str) -> int:
    return ended.exposures(plan.control, cohort) + ended.exposures(
        plan.candidate, cohort
    )


def _reported(plan: RolloutPlan, ended: Ended, metric: str) -> float:
    """Return the share of control's exposures that a value came of.

    An event that is not reported has not happened, so all of its exposures count.
    """
    exposed = ended.exposures(plan.control)
    if plan.kind_of(metric) is MetricKind.EVENT or not exposed:
        return 1.0
    values = _control(plan, ended.evidence, metric, Measure.VALUE)
    return min(1.0, values.total_n / exposed)


def _baseline(
    plan: RolloutPlan, evidence: Evidence, finding: Finding, metric: str
) -> Baseline | None:
    """Return what control showed, None where it showed nothing."""
    kind = plan.kind_of(metric)
    if finding.control_value is None or not isfinite(finding.control_value):
        return None
    if kind is MetricKind.EVENT:
        return Baseline(mean=finding.control_value)
    wanted = _MEASURES.get(kind, Measure.VALUE)
    total = _control(plan, evidence, metric, wanted)
    if not total.total_n:
        return None
    return Baseline(mean=finding.control_value, deviation=sqrt(total.variance))


def _control(
    plan: RolloutPlan, evidence: Evidence, metric: str, measure: Measure
) -> Cell:
    """Return all that control showed of one measure."""
    names = {s.name for s in signals_of(plan, metric) if s.measure is measure}
    total = Cell()
    for key, cell in evidence.cells.items():
        of_control = (key.cohort, key.variant) == (EVERYBODY, plan.control)
        if of_control and key.metric in names:
            total.merge(cell)
    return total
