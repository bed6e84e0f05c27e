"""Spell an assignment as span attributes."""

from flipback import semconv
from flipback.assignment import NO_VALUE, OTHER_VALUE, Assignment, Cohort, Reason


AttributeValue = str | bool | int | float
_OVERRIDES = frozenset({Reason.KILLED, Reason.FORCED})
_REASONS = {
    Reason.FORCED: "disabled",
    Reason.KILLED: "disabled",
    Reason.UNKNOWN_VARIANT: "default",
}
_ERRORS = frozenset(
    {
        Reason.NOT_READY,
        Reason.NO_TARGETING_KEY,
        Reason.TYPE_MISMATCH,
        Reason.FLAG_NOT_FOUND,
        Reason.FAULT,
    }
)


def reason_name(reason: Reason) -> str:
    """Return the semantic convention's word for a reason, which has none of ours."""
    return "error" if reason in _ERRORS else _REASONS.get(reason, reason.value)


def common(route: str, assignment: Assignment) -> dict[str, AttributeValue]:
    """Return what is the same for every call that was assigned alike."""
    attributes: dict[str, AttributeValue] = {
        semconv.FLAG_KEY: assignment.flag_key,
        semconv.FLAG_VARIANT: assignment.variant,
        semconv.FLAG_REASON: reason_name(assignment.reason),
        semconv.FLAG_PROVIDER: assignment.provider,
        semconv.ROUTE: route,
        semconv.ROLE: assignment.role.value,
        semconv.STAGE: assignment.stage,
        semconv.ATTEMPT: assignment.attempt,
    }
    if assignment.reason in _OVERRIDES:
        attributes[semconv.KILLED] = True
    if assignment.flag_version is not None:
        attributes[semconv.FLAG_VERSION] = assignment.flag_version
    if assignment.epoch:
        attributes[semconv.EPOCH] = assignment.epoch
    attributes.update(map(_cohort, filter(_declared, assignment.cohorts)))
    return attributes


def _declared(cohort: Cohort) -> bool:
    """Values that the plan does not declare stay out of telemetry."""
    return cohort.partition("=")[2] not in {OTHER_VALUE, NO_VALUE}


def _cohort(cohort: Cohort) -> tuple[str, str]:
    name, _, value = cohort.partition("=")
    return f"{semconv.COHORT}.{name}", value
