"""The parts of a plan: stages, guardrails, the hypothesis."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from flipback.plan._written import (
    Count,
    Duration,
    Name,
    Number,
    PlanRejected,
    Problem,
    Written,
)


ERROR = "error"
LATENCY = "latency_s"
BUILT_IN_METRICS = (ERROR, LATENCY)


class FailsOn(StrEnum):
    """The direction that is harm."""

    INCREASE = "increase"
    DECREASE = "decrease"


class OnFail(StrEnum):
    """What a proven regression does."""

    ROLL_BACK = "roll back"
    PAUSE = "pause"
    WARN = "warn"


class OnError(StrEnum):
    """What an exception of the candidate does to the caller."""

    FALL_BACK = "fall back"
    RAISE = "raise"


class MetricKind(StrEnum):
    """How a metric is weighed.

    An `event` is rare (under about 10 %), 0 or 1, and counted per distinct
    subject; a `mean` is anything else that has one.
    """

    EVENT = "event"
    MEAN = "mean"


class Stage(Written):
    """One step of a rollout: a weight in percent of subjects, or a shadow share."""

    weight: Annotated[Number, Field(ge=0, le=100)] | None = None
    shadow: Annotated[Number, Field(gt=0, le=1)] | None = None
    window: Duration = timedelta(0)
    min_exposures: Annotated[Count, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.weight is None) == (self.shadow is None):
            raise PlanRejected(
                Problem(
                    problem="a stage has either `weight` or `shadow`",
                    remedy="give one of them",
                )
            )
        return self


class Hypothesis(Written):
    """What the rollout hopes to show; relative, so 0.05 is five percent."""

    metric: Name
    rises_by: Annotated[Number, Field(gt=0)] | None = None
    falls_by: Annotated[Number, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if (self.rises_by is None) == (self.falls_by is None):
            raise PlanRejected(
                Problem(
                    problem="a hypothesis has either `rises_by` or `falls_by`",
                    remedy="give one of them",
                )
            )
        return self


class Guardrail(Written):
    """A promise about a metric."""

    metric: Name
    fails_on: FailsOn
    kind: MetricKind | None = None
    tolerance: Annotated[Number, Field(ge=0, le=10)] | None = None
    limit: Number | None = None
    on_fail: OnFail = OnFail.ROLL_BACK
    scope: Literal["flag", "cohort"] = "flag"
    importance: Annotated[Number, Field(gt=0)] = 1.0
    cohorts: tuple[str, ...] | None = None
    smallest_harm: Annotated[Number, Field(gt=0)] | None = None

    @property
    def weighed_as(self) -> MetricKind:
        """Return how the metric is weighed; `error` is an event unless said so."""
        if self.kind is not None:
            return self.kind
        return MetricKind.EVENT if self.metric == ERROR else MetricKind.MEAN
