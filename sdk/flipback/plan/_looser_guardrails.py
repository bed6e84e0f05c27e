"""What guardrails, cohorts and metrics of a later plan promise less of."""

from collections.abc import Iterator

from flipback.plan._metrics import BAD, EXCLUDE, Metric
from flipback.plan._parts import (
    SMALLEST_HARM,
    SMALLEST_HARM_OF_A_COHORT,
    FailsOn,
    Guardrail,
    OnFail,
)
from flipback.plan._plan import RolloutPlan
from flipback.plan._written import lasting


_WEAKER = (OnFail.ROLL_BACK, OnFail.PAUSE, OnFail.WARN)


def less_guarded(before: RolloutPlan, after: RolloutPlan) -> Iterator[str]:
    """Yield what is guarded less, a sentence each."""
    for cohort in before.declared_cohorts:
        if cohort not in after.declared_cohorts:
            yield f"`{cohort}` is no declared cohort any more"
    for guardrail in before.guardrails:
        kept = [g for g in after.guardrails if _covers(g, guardrail)]
        found = [list(_weaker(before, guardrail, after, each)) for each in kept]
        gone = [f"{_title(guardrail)} is guarded no more"]
        yield from min(found, key=len, default=gone)
    for name in before.judged:
        if name in after.judged:
            yield from _metric(before, after, name)


def _covers(new: Guardrail, old: Guardrail) -> bool:
    """Return whether a promise is about the same harm; any change is harm both ways."""
    same = new.metric == old.metric and (new.limit is None) == (old.limit is None)
    return same and new.fails_on in (old.fails_on, FailsOn.CHANGE)


def _weaker(
    before: RolloutPlan, old: Guardrail, after: RolloutPlan, new: Guardrail
) -> Iterator[str]:
    title = _title(old)
    yield from _bounds(title, old, new)
    if _WEAKER.index(new.on_fail) > _WEAKER.index(old.on_fail):
        yield f"{title}: on_fail is {new.on_fail} instead of {old.on_fail}"
    if (old.scope, new.scope) == ("flag", "cohort"):
        yield f"{title}: rolls back the cohort alone instead of everybody"
    unseen = set(before.watched(old)) - set(after.watched(new))
    for cohort in sorted(unseen & set(after.declared_cohorts)):
        yield f"{title}: `{cohort}` is watched no more"
    beside = zip(_importances(before, old), _importances(after, new), strict=True)
    if any(now < then for then, now in beside):
        yield f"{title}: weighs less beside the other guardrails"


def _bounds(title: str, old: Guardrail, new: Guardrail) -> Iterator[str]:
    tolerated, tolerates = old.tolerance or 0.0, new.tolerance or 0.0
    if tolerates > tolerated:
        yield f"{title}: tolerance is {tolerates:g} instead of {tolerated:g}"
    if old.limit is not None and new.limit is not None:
        rises = old.fails_on is FailsOn.INCREASE
        if new.limit > old.limit if rises else new.limit < old.limit:
            yield f"{title}: limit is {new.limit:g} instead of {old.limit:g}"
    sizes = zip(_smallest_harms(old), _smallest_harms(new), strict=True)
    if any(now > then for then, now in sizes):
        yield f"{title}: a larger harm is the smallest that is worth catching"


def _smallest_harms(guardrail: Guardrail) -> tuple[float, float]:
    """Return the smallest harm of everybody and of a cohort."""
    if guardrail.smallest_harm is not None:
        return guardrail.smallest_harm, guardrail.smallest_harm
    return SMALLEST_HARM, SMALLEST_HARM_OF_A_COHORT


def _importances(plan: RolloutPlan, guardrail: Guardrail) -> tuple[float, float]:
    """Return the importance beside the largest and least of those that share alpha.

    One guardrail more that is no more important than the others takes nothing from
    them that would be called less.
    """
    others = [g for g in plan.guardrails if g.on_fail is guardrail.on_fail]
    shares = [guardrail.importance / other.importance for other in others]
    return min(shares), max(shares)


def _metric(before: RolloutPlan, after: RolloutPlan, name: str) -> Iterator[str]:
    was, is_now = before.kind_of(name), after.kind_of(name)
    if was is not is_now:
        yield f"`{name}` is weighed as {is_now} instead of {was}"
    old, new = before.metric(name), after.metric(name)
    if _made_of(old) != _made_of(new):
        yield f"`{name}` is made of other metrics"
    if old.matures_after != new.matures_after:
        waits, waited = lasting(new.matures_after), lasting(old.matures_after)
        yield f"`{name}` matures after {waits} instead of {waited}"
    if old.missing != new.missing and (old.missing, new.missing) != (EXCLUDE, BAD):
        yield f"`{name}`: missing is {new.missing!r} instead of {old.missing!r}"


def _made_of(metric: Metric) -> tuple[object, ...]:
    return metric.numerator, metric.denominator, metric.sum


def _title(guardrail: Guardrail) -> str:
    return f"`{guardrail.metric}` ({guardrail.fails_on})"
