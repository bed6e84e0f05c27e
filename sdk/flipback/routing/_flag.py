"""Ask an OpenFeature flag which variant a subject gets."""

from collections.abc import Callable
from typing import Any, NamedTuple

from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails

from flipback.assignment import Reason
from flipback.config import variant_named_by
from flipback.plan import RolloutPlan


_ERRORS = {
    ErrorCode.PROVIDER_NOT_READY: Reason.NOT_READY,
    ErrorCode.FLAG_NOT_FOUND: Reason.FLAG_NOT_FOUND,
    ErrorCode.TYPE_MISMATCH: Reason.TYPE_MISMATCH,
    ErrorCode.TARGETING_KEY_MISSING: Reason.NO_TARGETING_KEY,
}
_REASONS = {reason.value.upper(): reason for reason in Reason}
RULE = "rule"
VERSION = "version"


class Evaluated(NamedTuple):
    """What the flag said.

    Attributes:
        name: The variant that the flag's value names, None if it said nothing.
        reason: OpenFeature's reason, or the error.
        rule: The rule that decided, where the provider reveals it.
        version: Version of the flag, where the provider has one.
        problem: The provider's message, empty where nothing went wrong.
    """

    name: str | None
    reason: Reason
    rule: str | None = None
    version: str | None = None
    problem: str = ""


class FlagReader:
    """Evaluate one plan's flag; its value, whatever its type, names a variant.

    The flag's type follows from the plan: `variant_key` means an object flag,
    the keys of `values` tell boolean, integer or float; everything else is a
    string flag.
    """

    def __init__(self, plan: RolloutPlan, client: OpenFeatureClient) -> None:
        self._key = plan.flag
        self._plan = plan
        self._plain = not plan.values and plan.variant_key is None
        self._default, self._ask = _typed(plan, client)

    def evaluate(self, user: EvaluationContext) -> Evaluated:
        """Return what the flag says for this user; provider errors are in it."""
        details = self._ask(self._key, self._default, user)
        metadata = details.flag_metadata
        rule, version = metadata.get(RULE), metadata.get(VERSION)
        failed = details.error_code is not None
        return Evaluated(
            name=None if failed else self._name(details.value),
            reason=_reason(details),
            rule=None if rule is None else str(rule),
            version=None if version is None else str(version),
            problem=details.error_message or "" if failed else "",
        )

    def _name(self, value: object) -> str | None:
        if self._plain and isinstance(value, str):
            return value
        return variant_named_by(self._plan, value)


def _reason(details: FlagEvaluationDetails[Any]) -> Reason:
    if details.error_code is not None:
        return _ERRORS.get(details.error_code, Reason.ERROR)
    said = details.reason
    return _REASONS.get(said, Reason.UNKNOWN) if said else Reason.UNKNOWN


# Any: one flag has one type, but which is known only from the plan.
_Ask = Callable[[str, Any, EvaluationContext], FlagEvaluationDetails[Any]]


def _typed(plan: RolloutPlan, client: OpenFeatureClient) -> tuple[Any, _Ask]:
    """Return the default that means control, and the method for the flag's type."""
    if plan.variant_key is not None:
        return {plan.variant_key: plan.control}, client.get_object_details
    control = next(
        (v for v, n in plan.values.items() if n == plan.control), plan.control
    )
    if not plan.values:
        return control, client.get_string_details
    if set(plan.values) <= {"true", "false"}:
        return control == "true", client.get_boolean_details
    for kind, ask in (
        (int, client.get_integer_details),
        (float, client.get_float_details),
    ):
        if all(_is(kind, value) for value in plan.values):
            return kind(control), ask
    return control, client.get_string_details


def _is(kind: type[int] | type[float], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True
