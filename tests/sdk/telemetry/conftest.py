from collections.abc import Callable, Iterator

import pytest
from openfeature import api
from openfeature.provider.no_op_provider import NoOpProvider
from opentelemetry import trace
from opentelemetry._logs import _internal as logs
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from benches import Bench, build_bench


@pytest.fixture
def trace_with(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., TracerProvider]]:
    """Set up tracing as an application does, for one test.

    The API lets that happen once per process and has no way back, hence the patch.
    """
    providers: list[TracerProvider] = []

    def use(processor: SpanProcessor, sampler: Sampler = ALWAYS_ON) -> TracerProvider:
        provider = TracerProvider(sampler=sampler)
        provider.add_span_processor(processor)
        providers.append(provider)
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
        return provider

    yield use
    for provider in providers:
        provider.shutdown()


@pytest.fixture
def spans(trace_with: Callable[..., TracerProvider]) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    trace_with(SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture
def log_with(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[LogRecordProcessor], None]]:
    """Set up the export of log events, for one test."""
    providers: list[LoggerProvider] = []

    def use(processor: LogRecordProcessor) -> None:
        provider = LoggerProvider()
        provider.add_log_record_processor(processor)
        providers.append(provider)
        monkeypatch.setattr(logs, "_LOGGER_PROVIDER", provider)

    yield use
    for provider in providers:
        provider.shutdown()


@pytest.fixture
def logged(
    log_with: Callable[[LogRecordProcessor], None],
) -> InMemoryLogRecordExporter:
    exporter = InMemoryLogRecordExporter()
    log_with(SimpleLogRecordProcessor(exporter))
    return exporter


@pytest.fixture
def build() -> Iterator[Callable[..., Bench]]:
    """Build benches, and take their providers off OpenFeature at the end."""
    benches: list[Bench] = []

    def build(**knobs: object) -> Bench:
        benches.append(build_bench(**knobs))  # type: ignore[arg-type] # checked there
        return benches[-1]

    yield build
    for bench in benches:
        api.set_provider(NoOpProvider(), bench.domain)
