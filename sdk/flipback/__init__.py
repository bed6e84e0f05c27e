"""Route model calls by feature flag; flip the flag back when a guardrail fails."""

from importlib import import_module
from typing import TYPE_CHECKING


if TYPE_CHECKING:
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

_HOMES = {
    "flipback.app": ("Router",),
    "flipback.assignment": ("Assignment", "Reason", "Role"),
    "flipback.control": ("GuardrailEvaluator", "Look"),
    "flipback.errors": ("ConfigError", "FlipbackError", "RouteError"),
    "flipback.routing": ("Decision", "Route", "context", "receipt", "record"),
    "flipback.verdict": ("Finding", "Interval", "Verdict"),
}

if not TYPE_CHECKING:  # else a misspelled name would have a type

    def __getattr__(name: str) -> object:
        """Import what is asked for: the command line answers Ctrl-C from the start."""
        for home, names in _HOMES.items():
            if name in names:
                found = getattr(import_module(home), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
