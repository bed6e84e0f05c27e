"""The rules of `[metrics]` that concern several tables at once."""

from collections.abc import Iterator, Sequence

from flipback.plan._kinds import Metrics, impossible, missing_problems
from flipback.plan._metrics import BUILT_IN_METRICS, EXCLUDE, Metric
from flipback.plan._parts import Guardrail
from flipback.plan._written import Problem, below, nearest


def table_problems(metrics: Metrics) -> Iterator[Problem]:
    """Yield what is wrong with the tables among themselves."""
    for name, metric in metrics.items():
        if name in BUILT_IN_METRICS:
            yield from below(name, _built_in(name, metric))
        yield from below(name, _nested(metric, metrics))


def use_problems(
    metrics: Metrics, guardrails: Sequence[Guardrail], judged: Sequence[str]
) -> Iterator[Problem]:
    """Yield the tables that nothing uses, and what contradicts their use.

    Args:
        metrics: The tables.
        guardrails: The promises.
        judged: The metrics of guardrails and hypothesis.
    """
    wholes = {
        part: name
        for name in judged
        if name in metrics
        for part in metrics[name].components
    }
    for name, metric in metrics.items():
        if name in judged:
            found = missing_problems(name, metrics, guardrails)
        elif name in wholes:
            found = _of_a_part(metric, wholes[name])
        else:
            found = iter([_unused(name, [*judged, *wholes])])
        yield from below(name, found)


def _built_in(name: str, metric: Metric) -> Iterator[Problem]:
    yield from impossible(name, metric.kind)
    if metric.components:
        yield Problem(
            problem=f"flipback records `{name}` itself, so it is made of no others",
            remedy="give the ratio or sum another name",
        )
    elif metric.matures_after:
        yield Problem(
            at=("matures_after",),
            problem=f"`{name}` is known when the call ends",
            remedy="remove it; an outcome that comes later is another metric",
        )


def _nested(metric: Metric, metrics: Metrics) -> Iterator[Problem]:
    for name in dict.fromkeys(metric.components):
        if name in metrics and metrics[name].components:
            yield Problem(
                at=_place_of(name, metric),
                problem=f"`{name}` is made of other metrics itself",
                remedy="name metrics that the application records",
            )


def _place_of(component: str, metric: Metric) -> tuple[str, ...]:
    if not metric.is_ratio:
        return ("sum", component)
    return ("numerator" if component == metric.numerator else "denominator",)


def _of_a_part(metric: Metric, whole: str) -> Iterator[Problem]:
    """Yield what a table says in vain of a metric that only others are made of."""
    written = {
        "matures_after": bool(metric.matures_after),
        "missing": metric.missing != EXCLUDE,
    }
    for key in (key for key, is_written in written.items() if is_written):
        yield Problem(
            at=(key,),
            problem=f"as a part of `{whole}` the metric counts when `{whole}` does",
            remedy=f"remove it; `matures_after` belongs to [metrics.{whole}]",
        )


def _unused(name: str, used: Sequence[str]) -> Problem:
    return Problem(
        problem="no guardrail or hypothesis is about this metric",
        remedy=nearest(name, used, otherwise="add one, or remove the table"),
    )
