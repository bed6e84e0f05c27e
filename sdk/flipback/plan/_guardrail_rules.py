"""The rules of guardrails: each by itself, and all of them together."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from flipback.assignment import Cohort
from flipback.plan._kinds import Metrics, kind_problems
from flipback.plan._parts import FailsOn, Guardrail, OnFail
from flipback.plan._rules import spelled
from flipback.plan._written import Problem, below, nearest


def guardrail_problems(
    guardrails: Sequence[Guardrail],
    cohorts: Mapping[str, Sequence[str]] | None,
    metrics: Metrics,
    *,
    gated: bool,
) -> Iterator[Problem]:
    """Yield what is wrong with guardrails.

    Args:
        guardrails: As written, in their order.
        cohorts: The declared cohorts, None where that table is wrong itself.
        metrics: The tables of metrics, as far as they are right.
        gated: Whether each guardrail must state one margin.
    """
    declared = None if cohorts is None else list(spelled(cohorts))
    for index, guardrail in enumerate(guardrails):
        yield from below(index, _repeated(guardrail, guardrails[:index]))
        yield from below(index, _without_direction(guardrail))
        yield from below(index, kind_problems(guardrail, guardrails[:index], metrics))
        if gated:
            yield from below(index, _unclear(guardrail))
            yield from below(index, _never_reached(guardrail))
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


def _without_direction(guardrail: Guardrail) -> Iterator[Problem]:
    if guardrail.fails_on is FailsOn.CHANGE and guardrail.limit is not None:
        yield Problem(
            at=("limit",),
            problem="a limit is crossed in one direction, and any change is harm here",
            remedy='write `tolerance`, or fails_on = "increase" or "decrease"',
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


def _never_reached(guardrail: Guardrail) -> Iterator[Problem]:
    tolerance, fails_on = guardrail.tolerance, guardrail.fails_on
    if tolerance is None:
        return
    if tolerance >= 1 and fails_on is not FailsOn.INCREASE:
        yield Problem(
            at=("tolerance",),
            problem=f"a fall by {tolerance:.0%} leaves nothing to guard",
            remedy="write less than 1 (0.05 is five percent), or a `limit`",
        )
    blocks = guardrail.on_fail is not OnFail.WARN
    if blocks and fails_on is FailsOn.CHANGE and not tolerance:
        yield Problem(
            at=("tolerance",),
            problem="no evidence can show that nothing has changed at all",
            remedy="write how much may change, such as 0.2 for 20 percent",
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
