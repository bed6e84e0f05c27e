"""Names of spans, events, metrics and attributes, each with its source.

`feature_flag.*` and `error.type` are OpenTelemetry semantic conventions 1.44;
`flipback.*` is our own. Nothing outside this file spells a name.
"""

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

FLAG_KEY = "feature_flag.key"
FLAG_VARIANT = "feature_flag.result.variant"
FLAG_REASON = "feature_flag.result.reason"
FLAG_PROVIDER = "feature_flag.provider.name"
FLAG_VERSION = "feature_flag.version"
FLAG_CONTEXT_ID = "feature_flag.context.id"
ERROR_TYPE = "error.type"

ROUTE = "flipback.route"
ROLE = "flipback.variant.role"
COHORT = "flipback.cohort"
STAGE = "flipback.stage"
PHASE = "flipback.phase"
EPOCH = "flipback.epoch"
ATTEMPT = "flipback.attempt"
DECISION_ID = "flipback.decision.id"
KILLED = "flipback.killed"
METRIC = "flipback.metric"
VALUE = "flipback.value"
TRIP = "flipback.trip"
ACTOR = "flipback.actor"
WHY = "flipback.reason"
LOG_E = "flipback.guardrail.evidence"
VERDICT = "flipback.guardrail.verdict"

SPAN_CALL = "flipback.call"
ROLE_FALLBACK = "fallback"
ROLE_SHADOW = "shadow"

EVENT_EXPOSURE = "flipback.exposure"
EVENT_OUTCOME = "flipback.outcome"
EVENT_VERDICT = "flipback.guardrail.verdict"
EVENT_FREEZE = "flipback.freeze"
EVENT_FLIP = "flipback.flip"
EVENT_KILL = "flipback.kill"

GAUGE_HELD = "flipback.latch.held"
GAUGE_STAGE = "flipback.rollout.stage"
GAUGE_WEIGHT = "flipback.rollout.weight"
COUNTER_FAULTS = "flipback.faults"
