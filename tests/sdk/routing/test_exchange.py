import threading
from collections.abc import Callable
from contextvars import copy_context
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flipback
from benches import USER, Bench
from flipback.routing import not_a_value
from flipback.routing._exchange import _outside


def recording(bench: Bench, metric: str, value: object) -> bool:
    """Serve a candidate that records this; return whether it was taken."""
    bench.serve("v2", lambda: str(flipback.record(metric, value)))  # type: ignore[arg-type]
    return bench.call() == "True"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0.5, 0.5),
        (2, 2.0),
        (True, 1.0),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3.0),
        (Fraction(1, 4), 0.25),
    ],
    ids=repr,
)
def test_a_number_is_an_outcome(bench: Bench, value: object, kept: float) -> None:
    assert recording(bench, "resolved", value)
    assert bench.drained().means()["v2", "resolved"] == (1, kept)
    assert bench.kinds == {}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "nan is not finite; record a number or nothing at all"),
        (float("inf"), "inf is not finite; record a number or nothing at all"),
        (-float("inf"), "-inf is not finite; record a number or nothing at all"),
        (np.float32("nan"), "nan is not finite; record a number or nothing at all"),
        ("1", "str is no number; record a float, an int or a bool"),
        (None, "NoneType is no number; record a float, an int or a bool"),
        ([1], "list is no number; record a float, an int or a bool"),
        (1j, "complex is no number; record a float, an int or a bool"),
        (Decimal(1), "Decimal is no number; record a float, an int or a bool"),
        (10**400, "the integer is too large; record a float"),
    ],
    ids=["nan", "inf", "-inf", "numpy", "str", "None", "list", "1j", "Decimal", "huge"],
)
def test_what_is_no_finite_number_is_dropped_counted_and_logged_once(
    bench: Bench, caplog: pytest.LogCaptureFixture, value: object, problem: str
) -> None:
    assert not recording(bench, "resolved", value)
    bench.call()
    assert ("v2", "resolved") not in bench.drained().means()
    assert bench.kinds == {"outcome dropped: resolved": 2}
    (logged,) = [record.getMessage() for record in caplog.records]
    assert logged.startswith(f"route support: outcome dropped: resolved: {problem} (")


@given(st.from_type(type).flatmap(st.from_type) | st.floats() | st.integers())
def test_any_value_is_taken_or_refused_in_words(value: object) -> None:
    assert not_a_value(value) or float(value) <= 1e309  # type: ignore[arg-type]


def test_a_metric_that_the_plan_does_not_name_is_dropped(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    assert not recording(bench, "resolve", 1)
    assert bench.kinds == {"outcome dropped: resolve": 1}
    assert "the plan knows error, latency_s, resolved" in caplog.text


@pytest.mark.parametrize("metric", [None, ["resolved"], 3], ids=repr)
def test_a_metric_that_is_no_name_is_dropped(bench: Bench, metric: str) -> None:
    assert not recording(bench, metric, 1)


def test_the_first_value_of_a_decision_stands(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def candidate() -> str:
        return str([flipback.record("resolved", value) for value in (1, 0)])

    bench.serve("v2", candidate)
    assert bench.call() == "[True, False]"
    assert bench.drained().means()["v2", "resolved"] == (1, 1.0)
    assert "the first value stands" in caplog.text


def test_one_of_many_threads_records_a_metric(bench: Bench) -> None:
    taken = list[bool]()

    def candidate() -> str:
        def record() -> None:
            taken.append(flipback.record("resolved", 1))

        threads = [
            threading.Thread(target=copy_context().run, args=(record,))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ""

    bench.serve("v2", candidate)
    bench.call()
    assert sorted(taken) == [False] * 15 + [True]
    assert bench.drained().means()["v2", "resolved"] == (1, 1.0)


def test_recording_outside_of_a_call_is_dropped_and_counted() -> None:
    before = _outside.counts()
    assert not flipback.record("resolved", 1)
    assert not flipback.record("resolved", 1)
    kind = ("*", "record outside of a routed call")
    assert _outside.counts()[kind] == before.get(kind, 0) + 2


def test_what_outlives_the_call_is_told_to_use_the_receipt(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that the variant started has its context still."""
    late = list[Callable[[], bool]]()

    def candidate() -> str:
        context = copy_context()
        late.append(lambda: context.run(flipback.record, "resolved", 1))
        return ""

    bench.serve("v2", candidate)
    bench.call()
    assert not late[0]()
    assert ("v2", "resolved") not in bench.drained().means()
    assert "the call is over; record it with its receipt" in caplog.text


def test_a_clock_that_stands_still_gives_no_negative_latency(bench: Bench) -> None:
    bench.call(USER)
    assert bench.drained().means()["v2", "latency_s"] == (1, 0.0)
