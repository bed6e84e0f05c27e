"""The rules of a plan that concern several keys at once."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from flipback.assignment import NO_VALUE, OTHER_VALUE, Cohort
from flipback.plan._parts import (
    LATENCY,
    FailsOn,
    Guardrail,
    MetricKind,
    OnFail,
    Stage,
)
from flipback.plan._written import Problem, below, nearest


MAX_COHORTS = 200


def spelled(cohorts: Mapping[str, Sequence[str]]) -> Iterator[Cohort]:
    """Yield declared cohorts as `attribute=value`."""
    for attribute, values in cohorts.items():
        yield from (f"{attribute}={value}" for value in values)


def unnamed(
    values: Mapping[str, str], written: Mapping[str, object]
) -> Iterator[Problem]:
    """Yield the roles that no value of the flag selects."""
    for role in ("control", "candidate"):
        variant = written.get(role)
        if variant is not None and variant not in values.values():
            yield Problem(
                problem=f"no value of the flag means {variant!r}, the {role}",
                remedy=f'add the value that selects it: `... = "{variant}"`',
            )


def cohort_problems(cohorts: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    """Yield what is wrong with the values that are watched on their own."""
    total = sum(map(len, cohorts.values()))
    if total > MAX_COHORTS:
        yield Problem(
            problem=f"{total} values are watched, at most {MAX_COHORTS} can be",
            remedy="keep the values that you would act upon; others pool in `other`",
        )
    for attribute, values in cohorts.items():
        if "=" in attribute:
            yield Problem(
                at=(attribute,),
                problem="an attribute that has `=` in its name cannot be a cohort",
                remedy="give the attribute another name in the evaluation context",
            )
        yield from _value_problems(attribute, values)


def _value_problems(attribute: str, values: Sequence[str]) -> Iterator[Problem]:
    if not values:
        yield Problem(
            at=(attribute,),
            problem="no value is watched",
            remedy="list the values to watch, or remove the attribute",
        )
    for value, times in Counter(values).items():
        if value in (OTHER_VALUE, NO_VALUE):
            yield Problem(
                at=(attribute,),
                problem=f"{value!r} is the pool of all values that are not declared",
                remedy="remove it; the pool is shown without being declared",
            )
        if times > 1:
            yield Problem(
                at=(attribute,),
                problem=f"{value!r} is listed {times} times",
                remedy="list it once",
            )


def stage_problems(stages: Sequence[Stage]) -> Iterator[Problem]:
    """Yield what is wrong with the order of stages: shadow first, weights rise."""
    weighted = [(i, s.weight) for i, s in enumerate(stages) if s.weight is not None]
    for (before, low), (after, high) in pairwise(weighted):
        if high <= low:
            yield Problem(
                at=(after, "weight"),
                problem=f"weight {high:g} of stages[{after + 1}] does not rise above "
                f"weight {low:g} of stages[{before + 1}]",
                remedy=f"write more than {low:g}, or put the stages in rising order",
            )
    first = weighted[0][0] if weighted else len(stages)
    for index in range(first, len(stages)):
        if stages[index].shadow is not None:
            yield Problem(
                at=(index, "shadow"),
                problem=f"stages[{index + 1}] is a shadow stage, and the candidate "
                f"serves from stages[{first + 1}] on",
                remedy="put shadow stages first",
            )


def guardrail_problems(
    guardrails: Sequence[Guardrail],
    cohorts: Mapping[str, Sequence[str]] | None,
    *,
    gated: bool,
) -> Iterator[Problem]:
    """Yield what is wrong with guardrails.

    Args:
        guardrails: As written, in their order.
        cohorts: The declared cohorts, None where that table is wrong itself.
        gated: Whether each guardrail must state one margin.
    """
    declared = None if cohorts is None else list(spelled(cohorts))
    for index, guardrail in enumerate(guardrails):
        yield from below(index, _repeated(guardrail, guardrails[:index]))
        yield from below(index, _bounds(guardrail))
        if gated:
            yield from below(index, _unclear(guardrail))
        if declared is not None:
            yield from below(index, _unwatchable(guardrail, declared))


def _repeated(guardrail: Guardrail, earlier: Sequence[Guardrail]) -> Iterator[Problem]:
    for index, other in enumerate(earlier):
        if _promise(other) == _promise(guardrail):
            yield Problem(
                at=("metric",),
                problem=f"guardrails[{index + 1}] promises the same of "
                f"`{guardrail.metric}`",
                remedy="remove one of the two, or give them different limits",
            )


def _promise(guardrail: Guardrail) -> tuple[str, FailsOn, float | None]:
    return guardrail.metric, guardrail.fails_on, guardrail.limit


def _bounds(guardrail: Guardrail) -> Iterator[Problem]:
    event = guardrail.weighed_as is MetricKind.EVENT
    if event and guardrail.metric == LATENCY:
        yield Problem(
            at=("kind",),
            problem=f"`{LATENCY}` is a number of seconds, not an event",
            remedy='remove `kind`, or write `kind = "mean"`',
        )
    if event and guardrail.limit is not None and not 0 < guardrail.limit < 1:
        yield Problem(
            at=("limit",),
            problem=f"{guardrail.limit:g} is no share of subjects",
            remedy="write a number between 0 and 1, such as 0.02 for 2 percent",
        )


def _unclear(guardrail: Guardrail) -> Iterator[Problem]:
    if guardrail.tolerance is not None and guardrail.limit is not None:
        yield Problem(
            at=("tolerance",),
            problem=f"`{guardrail.metric}` has a `limit` too, which does not depend on "
            "control",
            remedy="keep one of them; two guardrails may guard one metric",
        )
    acts = guardrail.on_fail is not OnFail.WARN
    if acts and guardrail.tolerance is None and guardrail.limit is None:
        yield Problem(
            problem=f"`{guardrail.metric}` has neither `tolerance` nor `limit`, so it "
            "could never show that the candidate is good enough",
            remedy="add `tolerance = 0.05` (relative) or `limit = 0.02` (absolute); "
            "`tolerance = 0` allows no harm at all",
        )


def _unwatchable(guardrail: Guardrail, declared: Sequence[Cohort]) -> Iterator[Problem]:
    named = declared if guardrail.cohorts is None else guardrail.cohorts
    if guardrail.scope == "cohort" and not named:
        yield Problem(
            at=("scope",),
            problem='scope = "cohort" needs a cohort to act on, and none is declared',
            remedy='declare some in [cohorts], or write scope = "flag"',
        )
    for cohort, times in Counter(guardrail.cohorts or ()).items():
        if cohort not in declared:
            yield Problem(
                at=("cohorts",),
                problem=f"{cohort!r} is not declared in [cohorts]",
                remedy=nearest(cohort, declared, otherwise=_how_to_declare(declared)),
            )
        if times > 1:
            yield Problem(
                at=("cohorts",),
                problem=f"{cohort!r} is listed {times} times",
                remedy="list it once",
            )


def _how_to_declare(declared: Sequence[Cohort]) -> str:
    known = f"; declared are: {', '.join(declared)}" if declared else ""
    return f"declare it there, and write it as attribute=value{known}"
