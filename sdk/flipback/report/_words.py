"""Names of guardrails, measures and cohorts, as the page says them."""

from flipback.assignment import EVERYBODY, Cohort
from flipback.course import CourseFinding
from flipback.plan import FailsOn, Guardrail, RolloutPlan
from flipback.report._units import amount, change, percent, unit_of, written
from flipback.signals import Measure
from flipback.verdict import Verdict


_MEASURES = {
    Measure.VALUE: "",
    Measure.LOG: "typical (geometric mean)",
    Measure.TAIL: "slow tail (share above control's 95th percentile)",
    Measure.CAPPED: "cut off at control's 99.5th percentile",
}
_BRIEFLY = {
    Measure.VALUE: "",
    Measure.LOG: ", typical",
    Measure.TAIL: ", slow tail",
    Measure.CAPPED: ", cut off",
}
_MUST_NOT = {
    FailsOn.INCREASE: ("must not rise", "at most"),
    FailsOn.DECREASE: ("must not fall", "at least"),
    FailsOn.CHANGE: ("must not change", "exactly"),
}
VERDICTS = {
    Verdict.FAIL: "harm proven",
    Verdict.PASS: "no harm",
    Verdict.INCONCLUSIVE: "not proven",
}


def whom(cohort: Cohort) -> str:
    """Return a cohort's name, `everybody` for the aggregate."""
    return "everybody" if cohort == EVERYBODY else cohort


def measured(finding: CourseFinding) -> str:
    """Return the metric and which measure of it, briefly."""
    return f"{finding.metric}{_BRIEFLY[finding.measure]}"


def measure_text(measure: Measure) -> str:
    """Return what is taken of a metric's values, nothing where it is the value."""
    return _MEASURES[measure]


def promise_text(plan: RolloutPlan, guardrail: Guardrail) -> str:
    """Return what a guardrail promises: `must not fall by more than 5 %`."""
    must_not, bound = _MUST_NOT[guardrail.fails_on]
    if guardrail.limit is not None:
        unit = unit_of(plan, guardrail.metric, Measure.VALUE)
        return f"must be {bound} {written(guardrail.limit, unit)}"
    if not guardrail.tolerance:
        return f"{must_not} at all"
    return f"{must_not} by more than {percent(guardrail.tolerance)}"


def happened(plan: RolloutPlan, finding: CourseFinding) -> str:
    """Return what became of a metric, its bound included, in one clause."""
    unit = unit_of(plan, finding.metric, finding.measure)
    candidate = amount(finding.candidate_value, unit)
    control = amount(finding.control_value, unit)
    about = f"{measured(finding)} of {whom(finding.cohort)}"
    rails = plan.guardrails
    rail = rails[finding.place] if finding.place < len(rails) else None
    if rail is not None and rail.limit is not None:
        return f"{about} is {candidate}, limit {written(rail.limit, unit)}"
    moved = change(finding.control_value, finding.candidate_value)
    bound = ""
    if rail is not None:
        bound = f", tolerance {percent(rail.tolerance)}" if rail.tolerance else ""
    if moved is None:
        return f"{about} is {candidate} against {control}{bound}"
    verb = "rose" if moved > 0 else "fell"
    if not moved:
        return f"{about} is unchanged at {control}{bound}"
    by = percent(abs(moved))
    return f"{about} {verb} by {by} ({control} \N{RIGHTWARDS ARROW} {candidate}){bound}"
