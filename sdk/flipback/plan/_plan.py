"""The plan as a whole."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from flipback.assignment import EVERYBODY, Cohort
from flipback.plan._guardrail_rules import guardrail_problems
from flipback.plan._kinds import PLAIN, kind_of
from flipback.plan._metric_rules import table_problems, use_problems
from flipback.plan._metrics import BUILT_IN_METRICS, Metric, MetricKind, MetricName
from flipback.plan._parts import (
    GateRule,
    Guardrail,
    Hypothesis,
    OnDeadline,
    OnError,
    Stage,
    Undecided,
)
from flipback.plan._rules import (
    cohort_problems,
    holdback_problems,
    route_problems,
    spelled,
    stage_problems,
    unnamed,
)
from flipback.plan._written import (
    Count,
    Duration,
    Name,
    Number,
    PlanRejected,
    Problem,
    Written,
    below,
    reject,
)


_ALL = 100.0


class RolloutPlan(Written):
    """A rollout of one candidate against one control on one route.

    A plan in a file is a promise that people review: it is validated with
    `context={"gated": True}`, and then each guardrail that acts must say how much
    harm is too much. A plan in code may leave that out; its margin is 0.
    """

    route: Name
    flag: Name
    control: Name
    candidate: Name
    hypothesis: Hypothesis | None = None
    values: dict[str, Name] = Field(default_factory=dict[str, str])
    variant_key: Name | None = None
    cohorts: dict[Name, tuple[Name, ...]] = Field(
        default_factory=dict[str, tuple[str, ...]]
    )
    metrics: dict[MetricName, Metric] = Field(default_factory=dict[str, Metric])
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    guardrails: Annotated[tuple[Guardrail, ...], Field(min_length=1)]
    unit: Name = "targetingKey"
    on_error: OnError = OnError.FALL_BACK
    alpha: Annotated[Number, Field(gt=0, le=0.2)] = 0.05
    candidate_version: Name | None = None
    gate: GateRule = GateRule.SCALED
    max_ramp_margin: Annotated[Number, Field(gt=0)] = 1.0
    undecided: Undecided = Undecided.HOLD
    holdback: Annotated[Number, Field(ge=0, le=50)] = 5.0
    watch: Duration = timedelta(days=7)
    deadline: Duration | None = None
    on_deadline: OnDeadline = OnDeadline.PAUSE
    max_attempts: Annotated[Count, Field(ge=1)] = 3
    cool_down: Duration = timedelta(minutes=10)
    rule: Name | None = None

    @field_validator("route")
    @classmethod
    def _route_has_no_bracket(cls, route: str) -> str:
        reject(route_problems(route))
        return route

    @field_validator("holdback")
    @classmethod
    def _holdback_leaves_a_control(cls, holdback: float, info: ValidationInfo) -> float:
        reject(holdback_problems(holdback, info.data.get("guardrails", ())))
        return holdback

    @field_validator("candidate")
    @classmethod
    def _candidate_is_new(cls, candidate: str, info: ValidationInfo) -> str:
        if candidate == info.data.get("control"):
            raise PlanRejected(
                Problem(
                    problem=f"control and candidate are both {candidate!r}",
                    remedy="name the variant that is rolled out",
                )
            )
        return candidate

    @field_validator("values")
    @classmethod
    def _values_name_both(
        cls, values: dict[str, str], info: ValidationInfo
    ) -> dict[str, str]:
        reject(unnamed(values, info.data) if values else ())
        return values

    @field_validator("cohorts")
    @classmethod
    def _cohorts_are_few(
        cls, cohorts: dict[str, tuple[str, ...]]
    ) -> dict[str, tuple[str, ...]]:
        reject(cohort_problems(cohorts))
        return cohorts

    @field_validator("metrics")
    @classmethod
    def _metrics_agree(cls, metrics: dict[str, Metric]) -> dict[str, Metric]:
        reject(table_problems(metrics))
        return metrics

    @field_validator("stages")
    @classmethod
    def _stages_rise(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        reject(stage_problems(stages))
        return stages

    @field_validator("guardrails")
    @classmethod
    def _guardrails_can_act(
        cls, guardrails: tuple[Guardrail, ...], info: ValidationInfo
    ) -> tuple[Guardrail, ...]:
        declared, metrics = info.data.get("cohorts"), info.data.get("metrics", {})
        gated = bool(info.context)
        reject(guardrail_problems(guardrails, declared, metrics, gated=gated))
        return guardrails

    @model_validator(mode="after")
    def _metrics_are_used(self) -> Self:
        found = use_problems(self.metrics, self.guardrails, self.judged)
        reject(below("metrics", found))
        return self

    @property
    def digest(self) -> str:
        """Return a content digest: any change of the plan changes it."""
        return self.digest_of(self.model_dump_json())

    @staticmethod
    def digest_of(dumped: str) -> str:
        """Return the digest of a plan that was dumped as JSON."""
        return hashlib.sha256(dumped.encode()).hexdigest()[:16]

    @property
    def declared_cohorts(self) -> tuple[Cohort, ...]:
        """Return all declared cohorts as `attribute=value`."""
        return tuple(spelled(self.cohorts))

    def watched(self, guardrail: Guardrail) -> Iterator[Cohort]:
        """Yield the cohorts that a guardrail watches: everybody first."""
        yield EVERYBODY
        yield from (
            self.declared_cohorts if guardrail.cohorts is None else guardrail.cohorts
        )

    @property
    def judged(self) -> tuple[str, ...]:
        """Return the metrics of guardrails and hypothesis, each once."""
        named = [guardrail.metric for guardrail in self.guardrails]
        if self.hypothesis is not None:
            named.append(self.hypothesis.metric)
        return tuple(dict.fromkeys(named))

    @property
    def recorded(self) -> frozenset[str]:
        """Return the metrics that are recorded as they are, and kept as evidence."""
        named = set[str](BUILT_IN_METRICS)
        for metric in self.judged:
            named.update(self.metric(metric).components or (metric,))
        return frozenset(named)

    def weight_in(self, stage: int) -> float:
        """Return the percent of subjects in a stage: none in a shadow stage.

        The holdback is kept on control whatever the last stage asks for.
        """
        return min(self.stages[stage].weight or 0.0, _ALL - self.holdback)

    def metric(self, name: str) -> Metric:
        """Return what a metric is, as described or by default."""
        return self.metrics.get(name, PLAIN)

    def kind_of(self, name: str) -> MetricKind:
        """Return how a metric is weighed: as described, as guarded, or by its name."""
        return kind_of(name, self.metrics, self.guardrails)
