"""What a metric is: how it is recorded, when it counts, how it is weighed."""

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from math import isfinite
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from flipback.plan._written import (
    Duration,
    Name,
    Number,
    PlanRejected,
    Problem,
    Written,
    reject,
)
from flipback.signals import EXPOSURE, SEPARATORS


ERROR = "error"
LATENCY = "latency_s"
BUILT_IN_METRICS = (ERROR, LATENCY)

EXCLUDE: Final = "exclude"
BAD: Final = "bad"

MAX_MATURITY = timedelta(days=90)
"""How long an outcome may take: as long as the receipt that it names is valid."""

_AT_ONCE = timedelta(0)
_LEAST_MATURITY = timedelta(seconds=1)


class MetricKind(StrEnum):
    """How a metric is weighed.

    An `event` is rare (under about 10 %), 0 or 1, and counted per distinct subject; a
    `mean` is anything that has one. A `heavy tail` is a mean whose largest values say
    little: they are cut off where control's 99.5th percentile was frozen. A `latency`
    is two promises: about the mean of its logarithm, and about how often it exceeds
    control's frozen 95th percentile.
    """

    EVENT = "event"
    MEAN = "mean"
    HEAVY_TAIL = "heavy tail"
    LATENCY = "latency"


def _told_apart(name: str) -> str:
    """Return the name of a metric, which must not look like a signal's."""
    for mark in SEPARATORS:
        if mark in name:
            raise PlanRejected(
                Problem(
                    problem=f"{name!r} has `{mark}` in its name",
                    remedy="give the metric a name without "
                    f"{', '.join(f'`{each}`' for each in SEPARATORS)}",
                )
            )
    if name == EXPOSURE:
        raise PlanRejected(
            Problem(
                problem=f"`{EXPOSURE}` is the count of exposures, which is no metric",
                remedy="give the metric another name",
            )
        )
    return name


def _countable(value: object) -> object:
    """Return what a missing outcome counts as: one of two words, or a number."""
    if isinstance(value, str):
        if value in {EXCLUDE, BAD}:
            return value
        problem = f"{value!r} is not known here"
    elif isinstance(value, bool) or not isinstance(value, int | float):
        problem = "is neither a number nor a word that is known here"
    elif isfinite(value):
        return value
    else:
        problem = f"{value} is not finite"
    remedy = f'write "{EXCLUDE}", "{BAD}", or a number without quotes'
    raise PlanRejected(Problem(problem=problem, remedy=remedy))


MetricName = Annotated[Name, AfterValidator(_told_apart)]
Missing = Annotated[Literal["exclude", "bad"] | float, BeforeValidator(_countable)]


class Metric(Written):
    """A metric, as `[metrics.NAME]` describes it.

    Recorded as it is, or made of others: the ratio of two sums, or a weighted sum of
    means. A ratio's or a sum's components are recorded under their own names.

    Attributes:
        kind: How it is weighed; a ratio and a sum are means.
        numerator: Of a ratio: the metric whose sum is above the line.
        denominator: The one whose sum is below it.
        sum: Of a composite: weight of each component.
        matures_after: How long after the exposure its outcomes may come; before that
            an exposure enters for neither arm.
        missing: What a mature exposure without an outcome counts as: nothing at all,
            the bad one of 0 and 1, or this value.
    """

    kind: MetricKind | None = None
    numerator: MetricName | None = None
    denominator: MetricName | None = None
    sum: dict[MetricName, Number] = Field(default_factory=dict[str, float])
    matures_after: Duration = _AT_ONCE
    missing: Missing = EXCLUDE

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        reject([*_ratio_problems(self), *_sum_problems(self), *_time_problems(self)])
        return self

    @property
    def components(self) -> tuple[str, ...]:
        """Return the metrics that it is made of; none if it is recorded as it is."""
        if self.numerator is not None and self.denominator is not None:
            return (self.numerator, self.denominator)
        return tuple(self.sum)

    @property
    def is_ratio(self) -> bool:
        """Return whether it is one sum over another."""
        return self.numerator is not None and self.denominator is not None


def _ratio_problems(metric: Metric) -> Iterator[Problem]:
    line = {"numerator": metric.numerator, "denominator": metric.denominator}
    absent = [key for key, name in line.items() if name is None]
    if len(absent) == 1:
        yield Problem(
            at=(absent[0],),
            problem="is missing",
            remedy=f'add `{absent[0]} = "..."`; a ratio is of two metrics',
        )
    if metric.is_ratio and metric.numerator == metric.denominator:
        yield Problem(
            at=("denominator",),
            problem=f"`{metric.denominator}` is above the line too: the ratio is 1",
            remedy="name the metric that belongs below the line",
        )
    if metric.components and metric.kind is not None:
        yield Problem(
            at=("kind",),
            problem="a metric that is made of others is weighed as a mean",
            remedy="remove `kind`",
        )


def _sum_problems(metric: Metric) -> Iterator[Problem]:
    if not metric.sum:
        return
    if (metric.numerator, metric.denominator) != (None, None):
        yield Problem(
            at=("sum",),
            problem="a metric is a ratio or a sum, never both",
            remedy="remove it, or give it a table [metrics.NAME] of its own",
        )
    if len(metric.sum) == 1:
        yield Problem(
            at=("sum",),
            problem="a sum has at least two components",
            remedy=f"add one, or guard `{next(iter(metric.sum))}` itself",
        )
    for name, weight in metric.sum.items():
        if not weight:
            yield Problem(
                at=("sum", name),
                problem="a weight of 0 leaves the component out",
                remedy="write what one unit of it is worth, or remove it",
            )


def _time_problems(metric: Metric) -> Iterator[Problem]:
    matures = metric.matures_after
    if _AT_ONCE < matures < _LEAST_MATURITY or matures > MAX_MATURITY:
        yield Problem(
            at=("matures_after",),
            problem="no outcome can be awaited that long"
            if matures > MAX_MATURITY
            else "less than a second is no time to wait for",
            remedy=f"write at most '{MAX_MATURITY.days}d', after which receipts expire"
            if matures > MAX_MATURITY
            else "write '1s' or more, or remove it for an outcome of the call itself",
        )
    if metric.missing == EXCLUDE:
        return
    if not matures:
        yield Problem(
            at=("missing",),
            problem="without `matures_after` nobody can tell when one is missing",
            remedy="add `matures_after`, such as '7d': by then outcomes have come",
        )
    if metric.components:
        yield Problem(
            at=("missing",),
            problem="a metric that is made of others has no outcomes of its own",
            remedy="remove it, and record the components of each exposure, 0 for none",
        )
