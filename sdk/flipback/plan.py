"""Rollout plans: what product and SRE write and review."""

import hashlib
import re
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from flipback.assignment import EVERYBODY, Cohort


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
ERROR = "error"
LATENCY = "latency_s"
BUILT_IN_METRICS = (ERROR, LATENCY)
MAX_COHORTS = 200


def _duration(text: object) -> object:
    if not isinstance(text, str):
        return text
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration; write a number and s, m, h or d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda span: f"{int(span.total_seconds())}s", return_type=str),
]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Written(BaseModel):
    """Base of everything a person writes: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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

    weight: Annotated[float, Field(ge=0, le=100)] | None = None
    shadow: Annotated[float, Field(gt=0, le=1)] | None = None
    window: Duration = timedelta(0)
    min_exposures: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.weight is None) == (self.shadow is None):
            raise ValueError(
                "a stage has either `weight` or `shadow`; give one of them"
            )
        return self


class Hypothesis(Written):
    """What the rollout hopes to show."""

    metric: Name
    rises_by: float | None = None
    falls_by: float | None = None

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if (self.rises_by is None) == (self.falls_by is None):
            raise ValueError("give one of `rises_by` and `falls_by`")
        return self


class Guardrail(Written):
    """A promise about a metric."""

    metric: Name
    fails_on: FailsOn
    kind: MetricKind | None = None
    tolerance: Annotated[float, Field(ge=0, le=10)] | None = None
    limit: float | None = None
    on_fail: OnFail = OnFail.ROLL_BACK
    scope: Literal["flag", "cohort"] = "flag"
    importance: Annotated[float, Field(gt=0)] = 1.0
    cohorts: tuple[str, ...] | None = None
    smallest_harm: Annotated[float, Field(gt=0)] | None = None

    @property
    def weighed_as(self) -> MetricKind:
        """Return how the metric is weighed; `error` is an event unless said so."""
        if self.kind is not None:
            return self.kind
        return MetricKind.EVENT if self.metric == ERROR else MetricKind.MEAN


class RolloutPlan(Written):
    """A rollout of one candidate against one control on one route."""

    route: Name
    flag: Name
    control: Name
    candidate: Name
    hypothesis: Hypothesis | None = None
    values: dict[str, Name] = {}
    variant_key: Name | None = None
    cohorts: dict[Name, tuple[Name, ...]] = {}
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    guardrails: Annotated[tuple[Guardrail, ...], Field(min_length=1)]
    unit: Name = "targetingKey"
    on_error: OnError = OnError.FALL_BACK
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    candidate_version: Name | None = None

    @property
    def digest(self) -> str:
        """Return a content digest: any change of the plan changes it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @property
    def declared_cohorts(self) -> tuple[Cohort, ...]:
        """Return all declared cohorts as `attribute=value`."""
        return tuple(
            f"{attribute}={value}"
            for attribute, values in self.cohorts.items()
            for value in values
        )

    def watched(self, guardrail: Guardrail) -> Iterator[Cohort]:
        """Yield the cohorts that a guardrail watches: everybody first."""
        yield EVERYBODY
        yield from (
            self.declared_cohorts if guardrail.cohorts is None else guardrail.cohorts
        )

    @property
    def metrics(self) -> frozenset[str]:
        """Return the metrics that are kept as evidence."""
        named = {guardrail.metric for guardrail in self.guardrails}
        if self.hypothesis is not None:
            named.add(self.hypothesis.metric)
        return frozenset(named | set(BUILT_IN_METRICS))

    @property
    def events(self) -> frozenset[str]:
        """Return the metrics that are counted per distinct subject."""
        return frozenset(
            guardrail.metric
            for guardrail in self.guardrails
            if guardrail.weighed_as is MetricKind.EVENT
        )
