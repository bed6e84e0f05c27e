"""Whether a plan fits the flag that it names."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from flipback.errors import Mistake
from flipback.plan import RolloutPlan, nearest
from flipback.ports import SCALE, FlagRef, FlagState, PreflightIssue


def check_flag(
    plan: RolloutPlan,
    file: str,
    state: FlagState | None,
    issues: Sequence[PreflightIssue],
) -> Sequence[Mistake]:
    """Return what keeps this plan from working with its flag.

    Args:
        plan: The plan.
        file: Where the plan is written, for the messages.
        state: The flag as its service has it, None where there is no such flag.
        issues: What the service's preflight found; those that do not block are
            for people to read and no mistakes.
    """
    if state is None:
        return [_missing(plan, file)]
    return [*_unserved(plan, file, state), *_preflight(plan, file, issues)]


def variant_named_by(plan: RolloutPlan, value: object) -> str | None:
    """Return the variant that a value of the flag names, None if it names none."""
    if plan.variant_key is not None:
        value = _member(value, plan.variant_key)
    if value is None:
        return None
    spelled = _spelled(value)
    return plan.values.get(spelled, spelled)


def flag_variant(plan: RolloutPlan, state: FlagState, variant: str) -> str | None:
    """Return the flag's own name of a plan's variant, None if it has none.

    They differ where the plan maps values: `off` of a boolean flag may be control.
    """
    return next(
        (
            name
            for name, value in state.variants.items()
            if variant_named_by(plan, value) == variant
        ),
        None,
    )


def flag_ref(plan: RolloutPlan) -> FlagRef:
    """Return the flag of a plan, or the rule of it that the plan manages."""
    return FlagRef(key=plan.flag, rule=plan.rule)


def candidate_weight(plan: RolloutPlan, state: FlagState) -> float | None:
    """Return the percent of subjects offered the candidate, None without a split."""
    if not state.enabled or not state.split:
        return None
    offered = [
        weight
        for name, weight in state.split.items()
        if variant_named_by(plan, state.variants.get(name)) == plan.candidate
    ]
    return 100 * sum(offered) / SCALE


def split_giving(
    plan: RolloutPlan, state: FlagState, weight: float
) -> Mapping[str, int] | None:
    """Return the split that gives the candidate a percentage and control the rest.

    None where the flag has no variant for one of them.
    """
    control = flag_variant(plan, state, plan.control)
    candidate = flag_variant(plan, state, plan.candidate)
    if control is None or candidate is None:
        return None
    offered = round(weight * SCALE / 100)
    return {control: SCALE - offered, candidate: offered}


def _member(value: object, key: str) -> object:
    if not isinstance(value, Mapping):
        return None
    return cast(Mapping[str, object], value).get(key)


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _missing(plan: RolloutPlan, file: str) -> Mistake:
    return Mistake(
        file=file,
        table="",
        key="flag",
        problem=f"the flag service has no flag {plan.flag!r}",
        remedy=f"create it with variants for {plan.control!r} and {plan.candidate!r}, "
        "or correct `flag`",
    )


def _unserved(plan: RolloutPlan, file: str, state: FlagState) -> Iterator[Mistake]:
    for role, variant in (("control", plan.control), ("candidate", plan.candidate)):
        if flag_variant(plan, state, variant) is None:
            yield Mistake(
                file=file,
                table="",
                key=role,
                problem=f"{variant!r} is no variant of flag {plan.flag!r}",
                remedy=_how_to_serve(plan, state, variant),
            )


def _how_to_serve(plan: RolloutPlan, state: FlagState, variant: str) -> str:
    if variant in state.variants and plan.variant_key is None:
        value = _spelled(state.variants[variant])
        return (
            f"its value there is {value}: "
            f'write `values = {{ "{value}" = "{variant}" }}`'
        )
    named = {variant_named_by(plan, value) for value in state.variants.values()}
    known = sorted(name for name in named if name is not None)
    has = f"the flag has: {', '.join(known)}" if known else "the flag names no variant"
    return nearest(variant, known, otherwise=f"add it to the flag; {has}")


def _preflight(
    plan: RolloutPlan, file: str, issues: Sequence[PreflightIssue]
) -> Iterator[Mistake]:
    for issue in issues:
        if issue.blocks:
            yield Mistake(
                file=file,
                table="",
                key="flag",
                problem=f"{plan.flag!r}: {issue.problem}",
                remedy=issue.remedy,
            )
