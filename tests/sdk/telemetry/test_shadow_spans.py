from collections.abc import Callable, Iterator

import pytest
from openfeature.flag_evaluation import Reason as Said
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from benches import USER, Bench
from shadows import ShadowBench


Build = Callable[..., Bench]
OpenStage = Callable[..., ShadowBench]


@pytest.fixture
def stage(build: Build) -> Iterator[OpenStage]:
    opened: list[ShadowBench] = []

    def open_stage(**telemetry: str) -> ShadowBench:
        opened.append(ShadowBench(build(telemetry=telemetry)))
        return opened[-1]

    yield open_stage
    for shadows in opened:
        shadows.workers.stop()


def by_role(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {
        str((span.attributes or {}).get("flipback.variant.role", span.name)): span
        for span in spans.get_finished_spans()
    }


def test_a_shadow_answer_is_a_trace_of_its_own_linked_to_the_call(
    stage: OpenStage, spans: InMemorySpanExporter
) -> None:
    shadows = stage()
    with trace.get_tracer("app").start_as_current_span("request"):
        shadows.bench.call()
        shadows.answered()
    found = by_role(spans)
    call, shadow = found["control"], found["shadow"]
    assert shadow.name == call.name == "flipback.call support"
    assert shadow.parent is None
    assert shadow.context.trace_id != call.context.trace_id
    (link,) = shadow.links
    assert link.context == call.context
    attributes, of_call = dict(shadow.attributes or {}), dict(call.attributes or {})
    assert attributes.pop("feature_flag.result.variant") == "v2"
    assert attributes.pop("flipback.epoch")
    assert {**of_call, **attributes} == {**of_call, "flipback.variant.role": "shadow"}


def test_what_the_candidate_traces_is_part_of_the_shadow_alone(
    stage: OpenStage, spans: InMemorySpanExporter
) -> None:
    shadows = stage()
    tracer = trace.get_tracer("model")

    def candidate() -> str:
        with tracer.start_as_current_span("model"):
            raise RuntimeError

    shadows.bench.serve("v2", candidate)
    shadows.bench.call()
    shadows.answered()
    found = by_role(spans)
    assert found["model"].parent == found["shadow"].context
    assert found["shadow"].status.status_code is StatusCode.ERROR
    assert (found["shadow"].attributes or {})["error.type"] == "RuntimeError"


@pytest.mark.parametrize("mode", ["annotate", "off"])
def test_without_spans_of_ours_the_callers_trace_stays_its_own(
    stage: OpenStage, spans: InMemorySpanExporter, mode: str
) -> None:
    shadows = stage(spans=mode)
    tracer = trace.get_tracer("model")

    def candidate() -> str:
        with tracer.start_as_current_span("model"):
            return ""

    shadows.bench.serve("v2", candidate)
    with trace.get_tracer("app").start_as_current_span("request"):
        shadows.bench.call()
        shadows.answered()
    found = {span.name: span for span in spans.get_finished_spans()}
    assert found["model"].parent is None
    role = (found["request"].attributes or {}).get("flipback.variant.role")
    assert role == (None if mode == "off" else "control")


def test_a_routed_call_inside_is_a_shadow_too(
    stage: OpenStage, spans: InMemorySpanExporter
) -> None:
    shadows, inner = stage(), stage()
    inner.bench.say("v2", Said.SPLIT)
    shadows.bench.serve("v2", inner.bench.call)
    shadows.bench.call()
    shadows.answered()
    roles = [
        (span.attributes or {})["flipback.variant.role"]
        for span in spans.get_finished_spans()
    ]
    assert sorted(map(str, roles)) == ["control", "shadow", "shadow"]


def test_a_plain_targeting_key_is_on_the_shadow_as_well(
    stage: OpenStage, spans: InMemorySpanExporter
) -> None:
    shadows = stage(context_id="plain")
    shadows.bench.call()
    shadows.answered()
    attributes = by_role(spans)["shadow"].attributes or {}
    assert attributes["feature_flag.context.id"] == USER.targeting_key


def test_tracing_that_raises_costs_no_shadow_answer(
    stage: OpenStage, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadows = stage()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    shadows.bench.call()
    monkeypatch.setattr(shadows.bench.parts.tracer, "_tracer", broken)
    shadows.answered()
    assert shadows.bench.served == ["v1", "v2"]
    assert [span.name for span in spans.get_finished_spans()] == [
        "flipback.call support"
    ]
