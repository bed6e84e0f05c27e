import logging
from collections.abc import Callable, Mapping

import pytest
from openfeature.evaluation_context import EvaluationContext
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from typing_extensions import override

import flipback
from benches import USER, Bench
from flipback import Router, semconv
from flipback.config import TelemetrySettings
from flipback.latch import Latch
from flipback.telemetry import EventLog
from flipback.verdict import Finding, Verdict
from projects import CreateProject, Project


Build = Callable[..., Bench]
LogWith = Callable[[LogRecordProcessor], None]
LATCH = Latch(route="support", trip=3, held=True, reason="it lies", actor="sam")
FINDING = Finding(
    metric="error",
    cohort="plan=free",
    verdict=Verdict.FAIL,
    log_e=4.5,
    peak_log_e=4.5,
    weight=1.0,
    control_n=100,
    candidate_n=100,
    control_value=0.0,
    candidate_value=0.1,
    interval=None,
    deff=1.0,
    strata=1,
    engine="rate",
)


class Exploding(LogRecordProcessor):
    @override
    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        raise OSError("the collector is gone")

    @override
    def shutdown(self) -> None: ...

    @override
    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


def written(
    logged: InMemoryLogRecordExporter,
) -> list[tuple[str | None, Mapping[str, object]]]:
    records = [each.log_record for each in logged.get_finished_logs()]
    return [(record.event_name, dict(record.attributes or {})) for record in records]


def test_data_that_cannot_be_trusted_is_an_event_always(
    logged: InMemoryLogRecordExporter,
) -> None:
    EventLog(TelemetrySettings()).freeze("support", "the split is not as set")
    assert written(logged) == [
        (
            "flipback.freeze",
            {
                "flipback.route": "support",
                "flipback.reason": "the split is not as set",
            },
        )
    ]


def test_by_default_calls_are_no_events(
    build: Build, logged: InMemoryLogRecordExporter
) -> None:
    bench = build()
    bench.call()
    ticket = bench.parts.keyring.open(bench.route.decide(USER).expose())
    assert not bench.parts.late(ticket, "resolved", 1.0)
    assert written(logged) == []


def test_exposures_and_outcomes_are_events_where_asked(
    build: Build, logged: InMemoryLogRecordExporter
) -> None:
    bench = build(telemetry={"events": "all"})
    bench.serve("v2", lambda: str(flipback.record("resolved", 1)))
    bench.call()
    (exposure, said), *outcomes = written(logged)
    assert exposure == "flipback.exposure"
    assert said["feature_flag.result.variant"] == "v2"
    assert said["flipback.cohort.plan"] == "enterprise"
    assert "feature_flag.context.id" not in said
    decision = {
        semconv.ROUTE: "support",
        semconv.DECISION_ID: said[semconv.DECISION_ID],
    }
    assert outcomes == [
        (
            "flipback.outcome",
            {**decision, "flipback.metric": metric, "flipback.value": value},
        )
        for metric, value in (("resolved", 1.0), ("error", 0.0), ("latency_s", 0.0))
    ]


def test_a_late_outcome_is_an_event_once(
    build: Build, logged: InMemoryLogRecordExporter
) -> None:
    bench = build(telemetry={"events": "all"})
    ticket = bench.parts.keyring.open(bench.route.decide(USER).expose())
    logged.clear()
    assert not bench.parts.late(ticket, "resolved", 1.0)
    assert [name for name, _ in written(logged)] == ["flipback.outcome"]


def test_an_outcome_after_the_receipt_was_taken_is_an_event_once(
    build: Build, logged: InMemoryLogRecordExporter
) -> None:
    def candidate() -> str:
        flipback.receipt()
        return str(flipback.record("resolved", 1))

    bench = build(telemetry={"events": "all"})
    bench.serve("v2", candidate)
    bench.call()
    metrics = [said[semconv.METRIC] for name, said in written(logged)[1:]]
    assert metrics == ["resolved", "error", "latency_s"]


def test_no_event_has_the_targeting_key(
    build: Build, logged: InMemoryLogRecordExporter
) -> None:
    bench = build(telemetry={"events": "all", "context_id": "plain"})
    bench.call()
    assert "user-1" not in str(written(logged))


@pytest.mark.parametrize(
    ("automatic", "name"), [(True, "flipback.flip"), (False, "flipback.kill")]
)
def test_a_flip_and_a_kill_are_always_events(
    logged: InMemoryLogRecordExporter, *, automatic: bool, name: str
) -> None:
    EventLog(TelemetrySettings()).flip("f", "v1", LATCH, automatic=automatic)
    (record,) = logged.get_finished_logs()
    assert record.log_record.severity_number is SeverityNumber.ERROR
    assert written(logged) == [
        (
            name,
            {
                "flipback.route": "support",
                "feature_flag.key": "f",
                "feature_flag.result.variant": "v1",
                "flipback.trip": 3,
                "flipback.actor": "sam",
                "flipback.reason": "it lies",
            },
        )
    ]


def test_a_broken_guardrail_is_a_warning(logged: InMemoryLogRecordExporter) -> None:
    EventLog(TelemetrySettings()).verdict("support", FINDING)
    (record,) = logged.get_finished_logs()
    assert record.log_record.severity_number is SeverityNumber.WARN
    assert written(logged) == [
        (
            "flipback.guardrail.verdict",
            {
                "flipback.route": "support",
                "flipback.metric": "error",
                "flipback.cohort": "plan=free",
                "flipback.guardrail.verdict": "fail",
                "flipback.guardrail.evidence": 4.5,
            },
        )
    ]


def test_without_an_sdk_an_event_is_no_error() -> None:
    EventLog(TelemetrySettings()).flip("f", "v1", LATCH, automatic=True)


def test_a_log_that_explodes_costs_a_call_nothing(
    build: Build, log_with: LogWith
) -> None:
    log_with(Exploding())
    bench = build(telemetry={"events": "all"})
    assert bench.call() == "v2"
    assert bench.drained().means()["v2", "error"] == (1, 0.0)
    assert bench.kinds == {"fault in telemetry or evidence": 3}


def test_a_log_that_explodes_stops_no_kill(
    log_with: LogWith, caplog: pytest.LogCaptureFixture
) -> None:
    log_with(Exploding())
    events = EventLog(TelemetrySettings())
    with caplog.at_level(logging.WARNING, logger="flipback"):
        events.verdict("support", FINDING)
        events.flip("f", "v1", LATCH, automatic=True)
    assert [record.getMessage() for record in caplog.records] == [
        "event flipback.guardrail.verdict was not emitted: OSError",
        "event flipback.flip was not emitted: OSError",
    ]


def trip(project: Project) -> None:
    """Prove that the candidate fails; see that the next call is served by control."""
    with Router.from_config(project.config) as router:
        support: flipback.Route[[], int] = router.route("support")
        support.variant("v1", version="1")(lambda: 1)
        support.variant("v2", version="1")(lambda: 1 // 0)
        for number in range(400):
            support.call(EvaluationContext(f"user-{number}"))
        (look,) = router.guard.look()
        assert look.kill is not None
        assert support.decide(USER).assignment.reason is flipback.Reason.KILLED


def test_proven_harm_trips_and_says_so(
    project: CreateProject, logged: InMemoryLogRecordExporter
) -> None:
    trip(project())
    names = [name for name, _ in written(logged)]
    assert names == ["flipback.guardrail.verdict", "flipback.flip"]


def test_proven_harm_trips_while_the_log_explodes(
    project: CreateProject, log_with: LogWith
) -> None:
    log_with(Exploding())
    trip(project())
