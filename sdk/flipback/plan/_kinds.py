"""How each metric is weighed, and what its kind rules out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from flipback.plan._metrics import BAD, ERROR, EXCLUDE, LATENCY, Metric, MetricKind
from flipback.plan._parts import FailsOn, Guardrail
from flipback.plan._written import Problem


Metrics = Mapping[str, Metric]

PLAIN = Metric()
"""A metric that no table describes."""

_BUILT_IN = {ERROR: MetricKind.EVENT, LATENCY: MetricKind.LATENCY}
_IMPOSSIBLE = {
    (ERROR, MetricKind.HEAVY_TAIL): "is 0 or 1, which has no tail",
    (ERROR, MetricKind.LATENCY): "is 0 or 1, which is no time",
    (LATENCY, MetricKind.EVENT): "is a number of seconds, not an event",
}


def kind_of(name: str, metrics: Metrics, guardrails: Iterable[Guardrail]) -> MetricKind:
    """Return how a metric is weighed: as described, as guarded, or by its name."""
    described = metrics.get(name, PLAIN)
    if described.components:
        return MetricKind.MEAN
    written = [guardrail.kind for guardrail in guardrails if guardrail.metric == name]
    for kind in (described.kind, *written):
        if kind is not None:
            return kind
    return _BUILT_IN.get(name, MetricKind.MEAN)


def impossible(name: str, kind: MetricKind | None) -> Iterator[Problem]:
    """Yield why a metric that flipback records itself cannot be of this kind."""
    if kind is not None and (name, kind) in _IMPOSSIBLE:
        yield Problem(
            at=("kind",),
            problem=f"`{name}` {_IMPOSSIBLE[name, kind]}",
            remedy=f'remove `kind`, or write `kind = "{_BUILT_IN[name]}"`',
        )


def kind_problems(
    guardrail: Guardrail, earlier: Sequence[Guardrail], metrics: Metrics
) -> Iterator[Problem]:
    """Yield what the kind of a guardrail's metric contradicts, or is contradicted by.

    Args:
        guardrail: The promise.
        earlier: The ones before it in the plan.
        metrics: The tables, as far as they are right.
    """
    yield from impossible(guardrail.metric, guardrail.kind)
    yield from _contradicted(guardrail, earlier, metrics)
    kind = kind_of(guardrail.metric, metrics, (*earlier, guardrail))
    limit = guardrail.limit
    if kind is MetricKind.EVENT and limit is not None and not 0 < limit < 1:
        yield Problem(
            at=("limit",),
            problem=f"{limit:g} is no share of subjects",
            remedy="write a number between 0 and 1, such as 0.02 for 2 percent",
        )
    if kind is MetricKind.LATENCY and guardrail.fails_on is FailsOn.CHANGE:
        yield Problem(
            at=("fails_on",),
            problem=f"`{guardrail.metric}` is a latency, of which only more is harm",
            remedy='write "increase", or weigh it as a mean: `kind = "mean"`',
        )


def missing_problems(
    name: str, metrics: Metrics, guardrails: Sequence[Guardrail]
) -> Iterator[Problem]:
    """Yield why a missing outcome cannot count as the table of a metric says."""
    missing = metrics[name].missing
    if missing == EXCLUDE:
        return
    ways = {g.fails_on for g in guardrails if g.metric == name}
    match kind_of(name, metrics, guardrails):
        case MetricKind.LATENCY:
            yield Problem(
                at=("missing",),
                problem=f"`{name}` is a latency, of which none can be filled in",
                remedy='remove it, or weigh the metric as a mean: `kind = "mean"`',
            )
        case MetricKind.HEAVY_TAIL if missing == BAD:
            yield Problem(
                at=("missing",),
                problem=f"`{name}` has a heavy tail, in which no value is the bad one",
                remedy=f'write "{EXCLUDE}" or a number, such as 0',
            )
        case MetricKind.EVENT if missing != BAD:
            yield Problem(
                at=("missing",),
                problem=f"`{name}` is an event: a subject without an outcome saw none",
                remedy=f'remove it, or write "{BAD}": then a missing one is an event',
            )
        case _ if missing == BAD and FailsOn.CHANGE in ways:
            yield Problem(
                at=("missing",),
                problem=f"any change of `{name}` is harm, so neither 0 nor 1 is bad",
                remedy=f'write "{EXCLUDE}" or a number',
            )
        case _:
            pass


def _contradicted(
    guardrail: Guardrail, earlier: Sequence[Guardrail], metrics: Metrics
) -> Iterator[Problem]:
    kind, name = guardrail.kind, guardrail.metric
    if kind is None:
        return
    described = metrics.get(name, PLAIN)
    if described.components:
        yield Problem(
            at=("kind",),
            problem=f"`{name}` is made of other metrics, so it is weighed as a mean",
            remedy="remove `kind`",
        )
        return
    said = [(f"[metrics.{name}]", described.kind)]
    said += [
        (f"guardrails[{number}]", other.kind)
        for number, other in enumerate(earlier, start=1)
        if other.metric == name
    ]
    for where, other_kind in said:
        if other_kind not in (None, kind):
            yield Problem(
                at=("kind",),
                problem=f"{where} says that `{name}` is of kind '{other_kind}'",
                remedy=f"a metric has one kind: write it in [metrics.{name}] alone",
            )
            return
