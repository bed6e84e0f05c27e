"""Ask an OpenFeature flag which variant a subject gets."""

from collections.abc import Callable
from typing import Any, NamedTuple

from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails
from openfeature.flag_evaluation import Reason as Said

from flipback.assignment import Reason
from flipback.config import variant_named_by
from flipback.plan import RolloutPlan
from flipback.routing._faults import logged_at_debug


_ERRORS = {
    ErrorCode.PROVIDER_NOT_READY: Reason.NOT_READY,
    ErrorCode.FLAG_NOT_FOUND: Reason.FLAG_NOT_FOUND,
    ErrorCode.TYPE_MISMATCH: Reason.TYPE_MISMATCH,
    ErrorCode.TARGETING_KEY_MISSING: Reason.NO_TARGETING_KEY,
}
_REASONS = {said.value: Reason(said.value.lower()) for said in Said}
RULE = "rule"
VERSION = "version"


class Evaluated(NamedTuple):
    """What the flag said.

    Attributes:
        name: The variant that the flag's value names, None if it said nothing.
        reason: OpenFeature's reason, or what was wrong.
        rule: The rule that decided, where the provider reveals it.
        version: Version of the flag, where the provider has one.
        problem: What went wrong, never in the provider's words; empty if nothing.
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
        if details.error_code is not None:
            return self._failed(details, details.error_code)
        name = self._name(details.value)
        metadata = details.flag_metadata
        rule, version = metadata.get(RULE), metadata.get(VERSION)
        return Evaluated(
            name=name,
            reason=Reason.UNKNOWN_VARIANT if name is None else _reason(details),
            rule=None if rule is None else str(rule),
            version=None if version is None else str(version),
            problem=self._nameless() if name is None else "",
        )

    def _failed(
        self, details: FlagEvaluationDetails[Any], code: ErrorCode
    ) -> Evaluated:
        problem = f"flag {self._key!r}: the provider answered {code.value}"
        if details.error_message:
            logged_at_debug(problem, details.error_message)
            problem = f"{problem}; its message is logged at DEBUG"
        reason = _ERRORS.get(code, Reason.ERROR)
        return Evaluated(name=None, reason=reason, problem=problem)

    def _nameless(self) -> str:
        key = self._plan.variant_key
        remedy = f"give it the member {key!r}" if key else "correct the value"
        return f"a value of flag {self._key!r} names no variant; {remedy}"

    def _name(self, value: object) -> str | None:
        if self._plain and isinstance(value, str):
            return value
        return variant_named_by(self._plan, value)


def _reason(details: FlagEvaluationDetails[Any]) -> Reason:
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
