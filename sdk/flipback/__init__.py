"""Route model calls by feature flag; flip the flag back when a guardrail fails."""

from flipback.app import Router
from flipback.assignment import Assignment, Reason, Role
from flipback.control import GuardrailEvaluator, Look
from flipback.errors import ConfigError, FlipbackError, RouteError
from flipback.routing import Decision, Route, context, receipt, record
from flipback.verdict import Finding, Interval, Verdict


__all__ = [
    "Assignment",
    "ConfigError",
    "Decision",
    "Finding",
    "FlipbackError",
    "GuardrailEvaluator",
    "Interval",
    "Look",
    "Reason",
    "Role",
    "Route",
    "RouteError",
    "Router",
    "Verdict",
    "context",
    "receipt",
    "record",
]
