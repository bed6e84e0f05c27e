"""Rollout plans: what product and SRE write and review."""

from flipback.plan._looser import loosened
from flipback.plan._metrics import (
    BUILT_IN_METRICS,
    ERROR,
    LATENCY,
    Metric,
    MetricKind,
)
from flipback.plan._parts import (
    SMALLEST_HARM,
    SMALLEST_HARM_OF_A_COHORT,
    FailsOn,
    GateRule,
    Guardrail,
    Hypothesis,
    OnDeadline,
    OnError,
    OnFail,
    Stage,
    Undecided,
    Until,
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
    lasting,
    nearest,
    parse_duration,
)


__all__ = [
    "BUILT_IN_METRICS",
    "ERROR",
    "LATENCY",
    "MAX_COHORTS",
    "SMALLEST_HARM",
    "SMALLEST_HARM_OF_A_COHORT",
    "Count",
    "Duration",
    "FailsOn",
    "GateRule",
    "Guardrail",
    "Hypothesis",
    "Metric",
    "MetricKind",
    "Name",
    "Number",
    "OnDeadline",
    "OnError",
    "OnFail",
    "PlanRejected",
    "Problem",
    "RolloutPlan",
    "Stage",
    "Undecided",
    "Until",
    "Written",
    "did_you_mean",
    "lasting",
    "loosened",
    "nearest",
    "parse_duration",
]
