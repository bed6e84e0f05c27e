"""Rollout plans: what product and SRE write and review."""

from flipback.plan._parts import (
    BUILT_IN_METRICS,
    ERROR,
    LATENCY,
    FailsOn,
    Guardrail,
    Hypothesis,
    MetricKind,
    OnError,
    OnFail,
    Stage,
)
from flipback.plan._plan import RolloutPlan
from flipback.plan._rules import MAX_COHORTS
from flipback.plan._written import (
    Count,
    Duration,
    Name,
    Number,
    PlanRejected,
    Problem,
    Written,
    did_you_mean,
    nearest,
    parse_duration,
)


__all__ = [
    "BUILT_IN_METRICS",
    "ERROR",
    "LATENCY",
    "MAX_COHORTS",
    "Count",
    "Duration",
    "FailsOn",
    "Guardrail",
    "Hypothesis",
    "MetricKind",
    "Name",
    "Number",
    "OnError",
    "OnFail",
    "PlanRejected",
    "Problem",
    "RolloutPlan",
    "Stage",
    "Written",
    "did_you_mean",
    "nearest",
    "parse_duration",
]
