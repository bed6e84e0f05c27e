"""What a shadow answer records, and what it may not touch."""

import threading
from collections.abc import Callable
from contextvars import copy_context

import pytest
from openfeature.flag_evaluation import Reason as Said

import flipback
from benches import USER
from shadows import OpenStage, pairs
from troubles import PATIENCE_S


def test_an_exception_of_the_candidate_is_its_error_and_nobody_sees_it(
    stage: OpenStage,
) -> None:
    shadows = stage()

    def broken() -> str:
        raise RuntimeError("text of a user")

    shadows.bench.serve("v2", broken)
    assert shadows.bench.call() == "v1"
    shadows.answered()
    means = shadows.bench.drained().means()
    assert means["v2", "error+paired"] == (1, 1.0)
    assert means["v1", "error+paired"] == (1, 0.0)
    assert ("v2", "latency_s+paired") not in means
    assert shadows.bench.kinds == {"v2 raised unseen": 1}
    assert "text of a user" not in str(shadows.bench.faults.details())


def test_an_error_of_control_is_shadowed_too(stage: OpenStage) -> None:
    shadows = stage()

    def broken() -> str:
        raise RuntimeError

    shadows.bench.serve("v1", broken)
    with pytest.raises(RuntimeError):
        shadows.bench.call()
    shadows.answered()
    assert pairs(shadows.bench) == {"v1": (1, 1.0), "v2": (1, 0.0)}


@pytest.mark.parametrize("who", ["v1", "v2"])
def test_an_expected_exception_counts_for_neither(stage: OpenStage, who: str) -> None:
    shadows = stage(expected=(LookupError,))

    def refuses() -> str:
        flipback.record("resolved", 1.0)
        raise KeyError

    shadows.bench.serve(who, refuses)
    if who == "v1":
        with pytest.raises(KeyError):
            shadows.bench.call()
    else:
        shadows.bench.call()
    shadows.answered()
    assert shadows.bench.drained().means() == {}


def test_a_candidate_that_would_end_the_process_ends_nothing(stage: OpenStage) -> None:
    shadows = stage()

    def leaves() -> str:
        raise SystemExit

    shadows.bench.serve("v2", leaves)
    for _ in range(2):
        shadows.bench.call()
    shadows.answered()
    assert shadows.bench.kinds == {"shadow answer lost": 2}
    assert pairs(shadows.bench) == {}


def test_what_the_candidate_records_is_booked_to_its_shadow_answer(
    stage: OpenStage,
) -> None:
    shadows = stage()
    receipts: list[object] = []

    def answers(resolved: float) -> Callable[[], str]:
        def answer() -> str:
            flipback.record("resolved", resolved)
            receipts.append(flipback.receipt())
            return ""

        return answer

    shadows.bench.serve("v1", answers(1.0))
    shadows.bench.serve("v2", answers(0.0))
    shadows.bench.call()
    shadows.answered()
    assert receipts[0] is not None
    assert receipts[1] is None
    assert flipback.receipt() is not None
    assert pairs(shadows.bench, "resolved") == {"v1": (1, 1.0), "v2": (1, 0.0)}


def test_a_metric_that_one_answer_lacks_is_no_pair(stage: OpenStage) -> None:
    shadows = stage()

    def answer() -> str:
        flipback.record("resolved", 1.0)
        return ""

    shadows.bench.serve("v1", answer)
    shadows.bench.call()
    shadows.answered()
    assert pairs(shadows.bench, "resolved") == {}


def test_an_outcome_after_the_end_changes_neither_answer(stage: OpenStage) -> None:
    shadows = stage()
    over, kept = threading.Event(), list[bool]()

    def answer() -> str:
        def later() -> None:
            assert over.wait(PATIENCE_S)
            kept.append(flipback.record("resolved", 1.0))

        flipback.record("resolved", 0.0)
        late.append(threading.Thread(target=copy_context().run, args=(later,)))
        late[-1].start()
        return ""

    late: list[threading.Thread] = []
    for name in ("v1", "v2"):
        shadows.bench.serve(name, answer)
    shadows.bench.call()
    shadows.answered()
    over.set()
    for thread in late:
        thread.join(PATIENCE_S)
    assert kept == [False, False]
    assert pairs(shadows.bench, "resolved") == {"v1": (1, 0.0), "v2": (1, 0.0)}


def test_a_routed_call_inside_is_served_and_counts_nothing(stage: OpenStage) -> None:
    shadows, inner = stage(), stage()
    inner.bench.say("v2", Said.SPLIT)
    said: list[object] = []

    def nested() -> str:
        said.append(inner.bench.call())
        said.append(inner.bench.route.decide(USER).expose())
        said.append(flipback.receipt())
        return ""

    shadows.bench.serve("v2", nested)
    shadows.bench.call()
    shadows.answered()
    inner.answered()
    assert said == ["v2", "", None]
    seen = inner.bench.drained()
    assert (seen.means(), seen.excluded) == ({}, {})


def test_a_routed_call_inside_is_not_shadowed_again(stage: OpenStage) -> None:
    shadows, inner = stage(), stage()

    def nested() -> str:
        return inner.bench.call()

    shadows.bench.serve("v2", nested)
    shadows.bench.call()
    shadows.answered()
    inner.answered()
    assert inner.bench.served == ["v1"]


def test_a_broken_routed_call_inside_falls_back_and_counts_nothing(
    stage: OpenStage,
) -> None:
    shadows, inner = stage(), stage()
    inner.bench.say("v2", Said.SPLIT)
    receipts: list[object] = []

    def broken() -> str:
        raise RuntimeError

    def control() -> str:
        receipts.append(flipback.receipt())
        return "control"

    inner.bench.serve("v2", broken)
    inner.bench.serve("v1", control)
    said: list[str] = []

    def nested() -> str:
        said.append(inner.bench.call())
        return ""

    shadows.bench.serve("v2", nested)
    shadows.bench.call()
    shadows.answered()
    assert said == ["control"]
    assert receipts == [None]
    assert inner.bench.drained().means() == {}
