import logging
from collections.abc import Callable

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import NonRecordingSpan
from typing_extensions import override

from benches import Bench
from flipback.telemetry import CallTracer
from flipback.telemetry import _calls as module


Build = Callable[..., Bench]
TraceWith = Callable[..., TracerProvider]
FAULT = "fault in telemetry or evidence"


class Explosion(Exception):  # noqa: N818 - a test's own
    pass


class ExplodingProcessor(SpanProcessor):
    def __init__(self, *, at: str) -> None:
        self._at = at

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self._at == "start":
            raise Explosion

    @override
    def on_end(self, span: ReadableSpan) -> None:
        if self._at == "end":
            raise Explosion


class ExplodingExporter(SpanExporter):
    @override
    def export(self, spans: object) -> SpanExportResult:
        raise Explosion

    @override
    def shutdown(self) -> None: ...


@pytest.mark.parametrize("at", ["start", "end"])
def test_a_processor_that_explodes_costs_the_span_and_nothing_else(
    build: Build, trace_with: TraceWith, caplog: pytest.LogCaptureFixture, at: str
) -> None:
    trace_with(ExplodingProcessor(at=at))
    bench = build()
    with caplog.at_level(logging.WARNING, logger="flipback"):
        assert [bench.call(), bench.call()] == ["v2", "v2"]
    assert bench.drained().means()["v2", "error"] == (2, 0.0)
    assert bench.kinds == {FAULT: 2}
    assert len(caplog.records) == 1
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_an_exporter_that_explodes_is_the_sdks_own_affair(
    build: Build, trace_with: TraceWith
) -> None:
    trace_with(SimpleSpanProcessor(ExplodingExporter()))
    bench = build()
    assert bench.call() == "v2"
    assert bench.drained().means()["v2", "error"] == (1, 0.0)


def test_a_vendors_span_that_explodes_hides_no_exception(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Exploding(NonRecordingSpan):
        @override
        def is_recording(self) -> bool:
            raise Explosion

        @override
        def set_attribute(self, key: str, value: object) -> None:
            raise Explosion

    span = module.CallSpan(Exploding(trace.INVALID_SPAN_CONTEXT), None)
    monkeypatch.setattr(CallTracer, "begin", lambda *_: span)
    bench = build(expected=(KeyError,))
    bench.serve("v2", lambda: str(1 / 0))
    assert bench.call() == "v1"
    bench.serve("v2", lambda: str({}["no such"]))
    with pytest.raises(KeyError):
        bench.call()
    assert bench.kinds == {FAULT: 3, "v2 raised": 1}
