"""Whatever of ours explodes, the call goes on and the fault is counted."""

import logging
from collections.abc import Callable, Mapping

import pytest
from openfeature.exception import ErrorCode
from typing_extensions import override

from benches import FREE, USER, Bench, fails
from flipback.assignment import Assignment, Reason
from flipback.exposure import LateOutcome
from flipback.routing import Recorder, Standing
from flipback.telemetry import EventLog


Build = Callable[..., Bench]
FAULT = "fault in telemetry or evidence"


class DeafRecorder(Recorder):
    """Explodes whenever an exposure or an outcome is counted."""

    @override
    def expose(self, route: str, assignment: Assignment) -> None:
        raise MemoryError

    @override
    def settle(
        self, route: str, assignment: Assignment, outcomes: Mapping[str, float]
    ) -> None:
        raise MemoryError

    @override
    def late(self, outcome: LateOutcome) -> bool:
        raise MemoryError


class DeafEvents(EventLog):
    """Explodes at every event of a call."""

    @override
    def exposure(self, route: str, assignment: Assignment) -> None:
        raise OSError("no exporter")

    @override
    def outcome(self, route: str, decision_id: str, metric: str, value: float) -> None:
        raise OSError("no exporter")


class FullLog:
    """A log of calls in flight that cannot be written."""

    def enter(self, route: str, assignment: Assignment) -> int:
        del route, assignment
        raise OSError("no space left")

    def leave(self, slot: int) -> None:
        raise OSError(f"no slot {slot}")


def test_a_recorder_that_explodes_fails_no_call(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    bench = build(recorder=DeafRecorder)
    with caplog.at_level(logging.WARNING, logger="flipback"):
        assert [bench.call() for _ in range(3)] == ["v2"] * 3
        assert bench.route.decide(USER).expose()
    assert bench.kinds == {FAULT: 7}
    assert len(caplog.records) == 1


def test_events_that_explode_leave_the_evidence(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    bench = build(events=DeafEvents, telemetry={"events": "all"})
    assert bench.call() == "v2"
    assert bench.drained().means() == {
        ("v2", "exposure"): (1, 1.0),
        ("v2", "error"): (1, 0.0),
        ("v2", "latency_s"): (1, 0.0),
    }
    assert bench.kinds == {FAULT: 3}
    assert len(caplog.records) == 1


def test_a_flight_log_that_explodes_leaves_the_evidence(bench: Bench) -> None:
    bench.parts.in_flight.log = FullLog()
    assert bench.call() == "v2"
    bench.serve("v2", lambda: str(1 / 0))
    assert bench.call() == "v1"
    assert bench.drained().means()["v2", "error"] == (2, 0.5)
    assert bench.kinds == {FAULT: 2, "v2 raised": 1}


def test_a_due_look_that_explodes_fails_no_call(bench: Bench) -> None:
    def explode(_: int) -> None:
        raise RuntimeError("no thread to wake")

    bench.parts.recorder._due = explode  # noqa: SLF001 - the fault is the point
    assert bench.call() == "v2"
    assert bench.drained().exposures() == {"v2": 1}
    assert bench.kinds == {FAULT: 1}


def test_no_fault_puts_a_targeting_key_into_the_log(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    bench = build(recorder=DeafRecorder)
    bench.serve("v2", lambda: str(1 / 0))
    bench.call()
    for value in ("v9", 3):
        bench.say(value)
        bench.call()
    assert bench.kinds.keys() == {
        FAULT,
        "v2 raised",
        "unknown_variant",
        "type_mismatch",
    }
    assert "user-1" not in caplog.text


def test_what_the_provider_says_is_logged_at_debug(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.provider.answer = lambda _: fails(ErrorCode.GENERAL, "no segment for alice")
    with caplog.at_level(logging.DEBUG, logger="flipback"):
        bench.call()
    assert [r.levelname for r in caplog.records if "alice" in r.getMessage()] == [
        "DEBUG"
    ]


@pytest.mark.parametrize("override", [Reason.KILLED, Reason.FORCED], ids=str)
def test_the_reason_says_killed_while_the_secret_cannot_be_read(
    build: Build, override: Reason
) -> None:
    def unreadable() -> bytes:
        raise OSError("the store is gone")

    bench = build(secret=unreadable)
    bench.switch.standing = Standing(override=override, trip=1)
    assert bench.call() == "v1"
    assert bench.drained().excluded == {override.value: 1}
    bench.switch.standing = FREE
    assert bench.call() == "v1"
    assert bench.drained().excluded == {"flipback_fault": 1}
