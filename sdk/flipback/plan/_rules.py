"""The rules of the values, cohorts and stages of a plan."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from flipback.assignment import NO_VALUE, OTHER_VALUE, Cohort
from flipback.plan._parts import Guardrail, Stage
from flipback.plan._written import Problem


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


def route_problems(route: str) -> Iterator[Problem]:
    """Yield what is wrong with the name of a route."""
    if "[" in route:
        yield Problem(
            problem=f"{route!r} has a `[`, by which a cohort of a route is named",
            remedy="give the route another name",
        )


def holdback_problems(
    holdback: float, guardrails: Sequence[Guardrail]
) -> Iterator[Problem]:
    """Yield what is wrong with keeping nobody on control."""
    limited = any(guardrail.limit is not None for guardrail in guardrails)
    if not holdback and guardrails and not limited:
        yield Problem(
            problem="without a holdback no control is left to compare with, and no "
            "guardrail has a `limit`",
            remedy="write a holdback such as 5, or give a guardrail a `limit`",
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
