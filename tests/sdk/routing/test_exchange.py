import math
import threading
from collections.abc import Callable
from contextvars import copy_context
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

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
        (np.bool_(1), 1.0),
        (np.array(1) == np.array(2), 0.0),
        (np.array(1, dtype=bool), 1.0),
        (1e100, 1e100),
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
        (np.array([True]), "ndarray is no number; record a float, an int or a bool"),
        (10**400, "the value is too large to be squared; record it in another unit"),
        (-1.1e100, "the value is too large to be squared; record it in another unit"),
    ],
    ids=[
        "nan",
        "inf",
        "-inf",
        "numpy",
        "str",
        "None",
        "list",
        "1j",
        "Decimal",
        "array",
        "huge",
        "-large",
    ],
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
    assert not_a_value(value) or abs(float(value)) <= 1e100  # type: ignore[arg-type]


def test_a_metric_that_the_plan_does_not_name_is_dropped(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    assert not recording(bench, "resolve", 1)
    assert bench.kinds == {"outcome dropped: resolve": 1}
    assert "the plan knows error, latency_s, resolved" in caplog.text


@pytest.mark.parametrize("metric", [None, ["resolved"], 3], ids=repr)
def test_a_metric_that_is_no_name_is_dropped_and_counted(
    bench: Bench, metric: str
) -> None:
    assert not recording(bench, metric, 1)
    assert bench.kinds == {f"outcome dropped: ({type(metric).__name__})": 1}


class Touchy(str):
    """A name that can be neither shown nor hashed."""

    __slots__ = ()

    @override
    def __str__(self) -> str:
        raise RuntimeError("not to be shown")

    @override
    def __format__(self, format_spec: str) -> str:
        raise RuntimeError("not to be formatted")

    @override
    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")

    @override
    def __hash__(self) -> int:
        raise RuntimeError("not to be hashed")


class Unnameable:
    """No name, and it cannot be shown."""

    @override
    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")


class Unfloatable(float):
    """A number that cannot be read."""

    @override
    def __float__(self) -> float:
        raise RuntimeError("not to be read")


class Endless(float):
    """A number that is read as another, which is none."""

    @override
    def __float__(self) -> float:
        return math.inf


class Explosive:
    """Something that cannot even be asked what it is."""

    @property
    def dtype(self) -> str:
        raise RuntimeError("not to be asked")


def test_a_name_that_cannot_be_shown_or_hashed_is_read_as_its_text(
    bench: Bench,
) -> None:
    assert recording(bench, Touchy("resolved"), 1)
    assert not recording(bench, Touchy("resolve"), 1)
    assert bench.drained().means()["v2", "resolved"] == (1, 1.0)
    assert bench.kinds == {"outcome dropped: resolve": 1}


@pytest.mark.parametrize("metric", [Touchy("resolved"), Unnameable()], ids=["0", "1"])
def test_a_broken_name_outside_of_a_call_is_counted(metric: str) -> None:
    kind = ("*", "record outside of a routed call")
    before = _outside.counts().get(kind, 0)
    assert not flipback.record(metric, 1)
    assert _outside.counts()[kind] == before + 1


def test_a_broken_name_is_counted_and_refused(bench: Bench) -> None:
    assert not recording(bench, Unnameable(), 1)  # type: ignore[arg-type]
    assert bench.kinds == {"outcome dropped: (Unnameable)": 1}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Unfloatable(1), "this Unfloatable fails to convert; record a float"),
        (Endless(1), "inf is not finite"),
        (Explosive(), "this Explosive fails to convert; record a float"),
    ],
    ids=["raises", "endless", "explosive"],
)
def test_a_broken_number_is_counted_and_refused(
    bench: Bench, caplog: pytest.LogCaptureFixture, value: object, problem: str
) -> None:
    assert not recording(bench, "resolved", value)
    assert bench.kinds == {"outcome dropped: resolved": 1}
    assert problem in caplog.text


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
