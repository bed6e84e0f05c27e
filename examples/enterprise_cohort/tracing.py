"""Send spans and events to files, as an application would send them to a collector.

flipback itself only speaks to the OpenTelemetry API; the application decides where
the telemetry goes and how much of it.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    ConsoleLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased


SAMPLED = 0.01


@contextmanager
def traced(spans: Path, events: Path) -> Generator[None]:
    """Write a hundredth of all spans and every event, one JSON object a line."""
    with spans.open("w") as span_file, events.open("w") as event_file:
        service = Resource.create({"service.name": "enterprise-cohort-demo"})
        sampler = TraceIdRatioBased(SAMPLED)
        tracers = TracerProvider(resource=service, sampler=sampler)
        span_exporter = ConsoleSpanExporter(out=span_file, formatter=_span_line)
        tracers.add_span_processor(SimpleSpanProcessor(span_exporter))
        trace.set_tracer_provider(tracers)
        loggers = LoggerProvider(resource=service)
        event_exporter = ConsoleLogRecordExporter(out=event_file, formatter=_event_line)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(event_exporter))
        set_logger_provider(loggers)
        yield
        tracers.shutdown()
        loggers.shutdown()


def _span_line(span: ReadableSpan) -> str:
    return f"{span.to_json(indent=None)}\n"


def _event_line(event: ReadableLogRecord) -> str:
    return f"{event.to_json(indent=None)}\n"
