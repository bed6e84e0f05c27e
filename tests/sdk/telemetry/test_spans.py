from collections.abc import Callable

import pytest
from openfeature.evaluation_context import EvaluationContext
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    SimpleSpanProcessor,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanKind, StatusCode

import flipback
from benches import USER, Bench
from flipback import semconv
from flipback.assignment import Reason
from flipback.routing import Standing
from flipback.telemetry import _calls as module


Build = Callable[..., Bench]
TraceWith = Callable[..., TracerProvider]


class Explosion(Exception):  # noqa: N818 - a test's own
    pass


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def attributes(spans: InMemorySpanExporter) -> dict[str, object]:
    return dict(only(spans).attributes or {})


def test_a_call_is_a_span_that_says_who_served_and_why(
    build: Build, spans: InMemorySpanExporter
) -> None:
    bench = build()
    bench.call()
    span, made = only(spans), bench.route.decide(USER).assignment
    assert (span.name, span.kind) == ("flipback.call support", SpanKind.INTERNAL)
    assert span.status.status_code is StatusCode.UNSET
    found = attributes(spans)
    assert len(str(found.pop("flipback.decision.id"))) == 16
    assert found == {
        "feature_flag.key": "support-model",
        "feature_flag.result.variant": "v2",
        "feature_flag.result.reason": "split",
        "feature_flag.provider.name": "told",
        "feature_flag.version": "1",
        "feature_flag.context.id": f"{made.subject:016x}",
        "flipback.route": "support",
        "flipback.variant.role": "candidate",
        "flipback.cohort.plan": "enterprise",
        "flipback.stage": 0,
        "flipback.epoch": made.epoch,
        "flipback.attempt": 1,
    }
    scope = span.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.schema_url) == ("flipback", semconv.SCHEMA_URL)


def test_every_attribute_is_one_of_the_conventions(
    build: Build, spans: InMemorySpanExporter
) -> None:
    known = {value for name, value in vars(semconv).items() if name.isupper()}
    bench = build()
    bench.serve("v2", lambda: str(1 / 0))
    bench.call()
    for name in attributes(spans):
        assert name in known or name.startswith(f"{semconv.COHORT}.")


def test_the_call_runs_inside_its_span(
    build: Build, spans: InMemorySpanExporter
) -> None:
    bench = build()
    inside = list[str]()

    def candidate() -> str:
        inside.append(f"{trace.get_current_span().get_span_context().span_id:x}")
        return ""

    bench.serve("v2", candidate)
    bench.call()
    context = only(spans).context
    assert context is not None
    assert inside == [f"{context.span_id:x}"]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_route_called_inside_is_a_child(
    build: Build, spans: InMemorySpanExporter
) -> None:
    outer, inner = build(), build()
    outer.serve("v2", inner.call)
    outer.call()
    child, parent = spans.get_finished_spans()
    assert child.parent is not None
    assert parent.context is not None
    assert child.parent.span_id == parent.context.span_id


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("TARGETING_MATCH", "targeting_match"),
        ("STATIC", "static"),
        ("DEFAULT", "default"),
        ("DISABLED", "disabled"),
        ("CACHED", "cached"),
        ("STALE", "stale"),
        ("UNKNOWN", "unknown"),
        ("SOMETHING_VENDORED", "unknown"),
    ],
)
def test_reasons_are_spelled_as_the_convention_does(
    build: Build, spans: InMemorySpanExporter, reason: str, word: str
) -> None:
    bench = build()
    bench.say("v2", reason)
    bench.call()
    found = attributes(spans)
    assert found["feature_flag.result.reason"] == word
    assert "flipback.epoch" not in found


@pytest.mark.parametrize("reason", [Reason.KILLED, Reason.FORCED], ids=str)
def test_a_killed_route_says_so(
    build: Build, spans: InMemorySpanExporter, reason: Reason
) -> None:
    bench = build()
    bench.switch.standing = Standing(override=reason, trip=1)
    bench.call()
    found = attributes(spans)
    assert found["flipback.killed"] is True
    assert found["feature_flag.result.reason"] == "disabled"
    assert found["feature_flag.result.variant"] == "v1"


@pytest.mark.parametrize(
    ("user", "standing", "word"),
    [
        (EvaluationContext(), Standing(override=None), "error"),
        (USER, Standing(), "error"),
        (USER, Standing(override=None), "default"),
    ],
    ids=["no key", "not ready", "unknown variant"],
)
def test_our_own_reasons_become_words_of_the_convention(
    build: Build,
    spans: InMemorySpanExporter,
    user: EvaluationContext,
    standing: Standing,
    word: str,
) -> None:
    bench = build()
    bench.say("v9")
    bench.switch.standing = standing
    bench.call(user)
    found = attributes(spans)
    assert found["feature_flag.result.reason"] == word
    assert "flipback.killed" not in found


@pytest.mark.parametrize("plan", ["trial", None])
def test_values_that_the_plan_does_not_declare_stay_out(
    build: Build, spans: InMemorySpanExporter, plan: str | None
) -> None:
    bench = build()
    bench.call(EvaluationContext("user-1", {"plan": plan} if plan else {}))
    assert "flipback.cohort.plan" not in attributes(spans)


@pytest.mark.parametrize(
    ("context_id", "expected"), [("off", None), ("plain", "user-1")]
)
def test_the_targeting_key_appears_only_where_asked(
    build: Build, spans: InMemorySpanExporter, context_id: str, expected: str | None
) -> None:
    bench = build(telemetry={"context_id": context_id})
    bench.call()
    assert attributes(spans).get("feature_flag.context.id") == expected


@pytest.mark.parametrize("context_id", ["hash", "plain"])
def test_nobody_has_no_context_id(
    build: Build, spans: InMemorySpanExporter, context_id: str
) -> None:
    build(telemetry={"context_id": context_id}).call(EvaluationContext())
    assert "feature_flag.context.id" not in attributes(spans)


def test_by_default_no_span_and_no_log_has_the_targeting_key(
    build: Build, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    bench = build()
    bench.call()
    bench.serve("v2", lambda: str({}["the key"]))
    bench.call()
    bench.say("v9")
    bench.call()
    written = "".join(span.to_json() for span in spans.get_finished_spans())
    assert len(spans.get_finished_spans()) == 3
    assert len(caplog.records) == 2
    assert "user-1" not in written + caplog.text


def test_an_answer_of_control_in_its_place_is_called_fallback(
    build: Build, spans: InMemorySpanExporter
) -> None:
    def candidate() -> str:
        raise Explosion("what the user wrote")

    bench = build()
    bench.serve("v2", candidate)
    assert bench.call() == "v1"
    span, found = only(spans), attributes(spans)
    assert found["flipback.variant.role"] == "fallback"
    assert found["feature_flag.result.variant"] == "v2"
    assert found["error.type"] == f"{__name__}.Explosion"
    assert span.status.status_code is StatusCode.ERROR
    assert "what the user wrote" not in span.to_json()
    assert span.events == ()


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError("private"), "ValueError"),
        (KeyboardInterrupt("private"), "KeyboardInterrupt"),
        (Explosion("private"), f"{__name__}.Explosion"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, BaseException) else "",
)
def test_an_error_that_is_passed_on_is_named_by_its_type_alone(
    build: Build, spans: InMemorySpanExporter, error: BaseException, name: str
) -> None:
    def variant() -> str:
        raise error

    bench = build(expected=(Explosion,))
    bench.say("v1")
    bench.serve("v1", variant)
    with pytest.raises(type(error)):
        bench.call()
    assert attributes(spans)["error.type"] == name
    assert "private" not in only(spans).to_json()


def test_annotating_leaves_the_span_to_its_owner(
    build: Build, spans: InMemorySpanExporter
) -> None:
    bench = build(telemetry={"spans": "annotate"})
    bench.serve("v2", lambda: str(1 / 0))
    with trace.get_tracer("app").start_as_current_span("request") as span:
        assert bench.call() == "v1"
        assert span.is_recording()
    found = attributes(spans)
    assert only(spans).name == "request"
    assert only(spans).status.status_code is StatusCode.UNSET
    assert found["feature_flag.result.variant"] == "v2"
    assert found["flipback.variant.role"] == "fallback"
    assert found["error.type"] == "ZeroDivisionError"


def test_annotating_nothing_is_no_error(
    build: Build, spans: InMemorySpanExporter
) -> None:
    bench = build(telemetry={"spans": "annotate"})
    bench.serve("v2", lambda: str(1 / 0))
    assert bench.call() == "v1"
    assert (spans.get_finished_spans(), bench.kinds) == ((), {"v2 raised": 1})


def test_off_is_off(build: Build, spans: InMemorySpanExporter) -> None:
    bench = build(telemetry={"spans": "off"})
    with trace.get_tracer("app").start_as_current_span("request"):
        bench.call()
    assert only(spans).attributes == {}


def test_without_an_sdk_a_call_makes_no_span(build: Build) -> None:
    bench, inside = build(), list[trace.Span]()
    bench.serve("v2", lambda: str(inside.append(trace.get_current_span())))
    bench.call()
    assert inside == [trace.INVALID_SPAN]
    assert bench.kinds == {}


def test_an_sdk_that_comes_after_the_router_gets_its_spans(
    build: Build, trace_with: TraceWith
) -> None:
    bench, exporter = build(), InMemorySpanExporter()
    bench.call()
    trace_with(SimpleSpanProcessor(exporter))
    bench.call()
    assert only(exporter).name == "flipback.call support"


def test_what_is_sampled_out_is_not_recorded_but_passed_on(
    build: Build, trace_with: TraceWith
) -> None:
    exporter, inside = InMemorySpanExporter(), list[trace.Span]()
    trace_with(SimpleSpanProcessor(exporter), ALWAYS_OFF)
    bench = build()
    bench.serve("v2", lambda: str(inside.append(trace.get_current_span())))
    bench.call()
    assert exporter.get_finished_spans() == ()
    assert isinstance(inside[0], NonRecordingSpan)
    assert inside[0].get_span_context().is_valid


def test_attributes_that_are_kept_for_reuse_are_bounded(
    build: Build, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_KNOWN", 2)
    bench = build()
    for reason in ("STATIC", "DEFAULT", "CACHED", "STALE", "SPLIT"):
        bench.say("v2", reason)
        bench.call()
    written = [dict(span.attributes or {}) for span in spans.get_finished_spans()]
    assert [each["feature_flag.result.reason"] for each in written] == [
        "static",
        "default",
        "cached",
        "stale",
        "split",
    ]


def test_calls_that_are_alike_differ_in_what_is_theirs(
    build: Build, spans: InMemorySpanExporter
) -> None:
    bench = build()
    for key in ("user-1", "user-2"):
        bench.call(EvaluationContext(key, {"plan": "free"}))
    first, second = (dict(s.attributes or {}) for s in spans.get_finished_spans())
    assert {name for name in first if first[name] != second[name]} == {
        "flipback.decision.id",
        "feature_flag.context.id",
    }


def test_the_receipt_names_the_decision_of_the_span(
    build: Build, spans: InMemorySpanExporter
) -> None:
    bench, receipts = build(), list[str]()
    bench.serve("v2", lambda: str(receipts.append(flipback.receipt() or "")))
    bench.call()
    ticket = bench.parts.keyring.open(receipts[0])
    assert attributes(spans)["flipback.decision.id"] == ticket.decision_id
