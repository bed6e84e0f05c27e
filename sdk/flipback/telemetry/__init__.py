"""Spans, events and metrics of OpenTelemetry; imports its API only."""

from flipback.telemetry._calls import CallSpan, CallTracer
from flipback.telemetry._events import EventLog
from flipback.telemetry._metrics import Gauges, Stood


__all__ = ["CallSpan", "CallTracer", "EventLog", "Gauges", "Stood"]
