"""The plan as a whole."""

import hashlib
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from flipback.assignment import EVERYBODY, Cohort
from flipback.plan._parts import (
    BUILT_IN_METRICS,
    Guardrail,
    Hypothesis,
    MetricKind,
    OnError,
    Stage,
)
from flipback.plan._rules import (
    cohort_problems,
    guardrail_problems,
    spelled,
    stage_problems,
    unnamed,
)
from flipback.plan._written import Name, Number, PlanRejected, Problem, Written, reject


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
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    guardrails: Annotated[tuple[Guardrail, ...], Field(min_length=1)]
    unit: Name = "targetingKey"
    on_error: OnError = OnError.FALL_BACK
    alpha: Annotated[Number, Field(gt=0, le=0.2)] = 0.05
    candidate_version: Name | None = None

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
        declared = info.data.get("cohorts")
        reject(guardrail_problems(guardrails, declared, gated=bool(info.context)))
        return guardrails

    @property
    def digest(self) -> str:
        """Return a content digest: any change of the plan changes it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

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
