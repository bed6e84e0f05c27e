"""The parts of a plan: stages, guardrails, the hypothesis."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from flipback.plan._metrics import MetricKind, MetricName
from flipback.plan._written import (
    Count,
    Duration,
    Number,
    PlanRejected,
    Problem,
    Written,
)


SMALLEST_HARM = 0.1
"""The smallest relative harm to everybody that is worth catching, unless written."""

SMALLEST_HARM_OF_A_COHORT = 0.2


class FailsOn(StrEnum):
    """The direction that is harm; a change in either for what has no good side.

    The share of positives that a model emits is such a metric, and needs no labels.
    """

    INCREASE = "increase"
    DECREASE = "decrease"
    CHANGE = "change"


class OnFail(StrEnum):
    """What a proven regression does."""

    ROLL_BACK = "roll back"
    PAUSE = "pause"
    WARN = "warn"


class GateRule(StrEnum):
    """How much harm leaving a stage must rule out.

    SCALED asks of each step that the harm it could do to everybody stays within the
    tolerance; STRICT asks for the bare tolerance at every step.
    """

    SCALED = "scaled"
    STRICT = "strict"


class Undecided(StrEnum):
    """What a cohort that the evidence cannot decide does to its stage."""

    HOLD = "hold"
    ASK = "ask"


class OnError(StrEnum):
    """What an exception of the candidate does to the caller."""

    FALL_BACK = "fall back"
    RAISE = "raise"


class OnDeadline(StrEnum):
    """What an attempt does that is not promoted by its deadline."""

    PAUSE = "pause"
    ROLL_BACK = "roll back"


class Until(StrEnum):
    """What a stage lasts until, besides its window and exposures.

    PROOF asks the gate. WARM asks of a shadow stage only that the candidate's latency
    no longer changes, as where a fleet is switched at once.
    """

    PROOF = "proof"
    WARM = "stable latency"


class Stage(Written):
    """One step of a rollout: a weight in percent of subjects, or a shadow share."""

    weight: Annotated[Number, Field(ge=0, le=100)] | None = None
    shadow: Annotated[Number, Field(gt=0, le=1)] | None = None
    window: Duration = timedelta(0)
    min_exposures: Annotated[Count, Field(ge=0)] = 0
    until: Until = Until.PROOF

    @model_validator(mode="after")
    def _only_shadow_warms_up(self) -> Self:
        if self.until is Until.WARM and self.shadow is None:
            raise PlanRejected(
                Problem(
                    at=("until",),
                    problem="only a shadow stage can wait for a stable latency",
                    remedy='write `shadow` instead of `weight`, or until = "proof"',
                )
            )
        return self

    @model_validator(mode="after")
    def _warming_up_counts_by_itself(self) -> Self:
        if self.until is Until.WARM and self.min_exposures:
            raise PlanRejected(
                Problem(
                    at=("min_exposures",),
                    problem="a stage that waits for a stable latency counts for itself "
                    "how many answers it needs",
                    remedy="remove it",
                )
            )
        return self

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

    metric: MetricName
    rises_by: Annotated[Number, Field(gt=0)] | None = None
    falls_by: Annotated[Number, Field(gt=0)] | None = None
    required: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if (self.rises_by is None) == (self.falls_by is None):
            raise PlanRejected(
                Problem(
                    problem="a hypothesis has either `rises_by` or `falls_by`",
                    remedy="give one of them",
                )
            )
        if self.falls_by is not None and self.falls_by >= 1:
            raise PlanRejected(
                Problem(
                    at=("falls_by",),
                    problem=f"a fall by {self.falls_by:.0%} leaves less than nothing",
                    remedy="write less than 1: 0.05 is five percent",
                )
            )
        return self


class Guardrail(Written):
    """A promise about a metric."""

    metric: MetricName
    fails_on: FailsOn
    kind: MetricKind | None = None
    tolerance: Annotated[Number, Field(ge=0, le=10)] | None = None
    limit: Number | None = None
    on_fail: OnFail = OnFail.ROLL_BACK
    scope: Literal["flag", "cohort"] = "flag"
    importance: Annotated[Number, Field(gt=0)] = 1.0
    cohorts: tuple[str, ...] | None = None
    smallest_harm: Annotated[Number, Field(gt=0)] | None = None
