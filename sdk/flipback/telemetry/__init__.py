"""Spans and events of OpenTelemetry; imports its API only."""

from flipback.telemetry._calls import CallSpan, CallTracer
from flipback.telemetry._events import EventLog


__all__ = ["CallSpan", "CallTracer", "EventLog"]
