import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason as Said
from openfeature.transaction_context import (
    ContextVarsTransactionContextPropagator,
    get_transaction_context,
    set_transaction_context,
    set_transaction_context_propagator,
)

import flipback
from benches import USER, Bench
from flipback.assignment import Assignment, Reason
from flipback.exposure import BUCKETS
from flipback.routing import Route
from flipback.routing._shadow import DROPPED, in_sample
from projects import ROUTE
from shadows import ShadowBench
from troubles import PATIENCE_S


OpenStage = Callable[..., ShadowBench]
SLOT = 7


def pairs(bench: Bench, metric: str = "error") -> dict[str, tuple[int, float]]:
    """Return count and mean of a metric's pairs, by variant."""
    means = bench.drained().means()
    return {v: mean for (v, name), mean in means.items() if name == f"{metric}+paired"}


def subject_of(bench: Bench, key: str) -> int:
    return bench.parts.keyring.subject(key)


def test_control_answers_and_then_the_candidate_does_with_the_same_arguments(
    stage: OpenStage,
) -> None:
    shadows = stage()
    asked: list[tuple[str, object]] = []
    route: Route[..., Any] = shadows.bench.route
    document = ["a", "b"]

    def answers(name: str) -> Callable[..., str]:
        def answer(text: object, *, user: str, variant: str, served: str) -> str:
            asked.append((name, (text, user, variant, served)))
            return name

        return answer

    for name in ("v1", "v2"):
        shadows.bench.serve(name, answers(name))
    served = route.call(USER, document, user="a", variant="b", served="c")
    assert served == "v1"
    assert [name for name, _ in asked] == ["v1"]
    shadows.answered()
    assert [name for name, _ in asked] == ["v1", "v2"]
    assert asked[0][1] == asked[1][1]
    assert asked[1][1][0] is document  # type: ignore[index] # a tuple


def test_nobody_is_exposed_and_both_answers_are_a_pair(stage: OpenStage) -> None:
    shadows = stage()
    shadows.bench.call()
    shadows.answered()
    seen = shadows.bench.drained()
    assert seen.exposures() == {}
    assert seen.excluded == {"static": 1}
    assert seen.means() == {
        ("v1", "error+paired"): (1, 0.0),
        ("v2", "error+paired"): (1, 0.0),
        ("v2", "error+difference"): (1, 0.0),
        ("v1", "latency_s+paired"): (1, 0.0),
        ("v2", "latency_s+paired"): (1, 0.0),
        ("v2", "latency_s+difference"): (1, 0.0),
    }
    assert seen.cohorts == {"", "plan=enterprise"}


@pytest.mark.parametrize(
    ("said", "reason"),
    [("v2", Said.TARGETING_MATCH), ("v1", Said.SPLIT), ("v3", Said.STATIC)],
    ids=["pinned to the candidate", "split", "other variant"],
)
def test_only_what_the_flag_gives_to_control_without_a_split_is_shadowed(
    stage: OpenStage, said: str, reason: str
) -> None:
    shadows = stage()
    shadows.bench.serve("v3", lambda: "v3")
    shadows.bench.say(said, reason)
    shadows.bench.call()
    shadows.answered()
    assert pairs(shadows.bench) == {}


def test_a_flag_that_splits_is_said_to_be_no_shadow_stage(stage: OpenStage) -> None:
    shadows = stage()
    shadows.bench.say("v1", Said.SPLIT)
    shadows.bench.call()
    assert shadows.bench.kinds == {"a split is not shadowed": 1}


@pytest.mark.parametrize(
    "parts",
    [
        {"override": Reason.KILLED},
        {"override": Reason.FORCED},
        {"override": Reason.NOT_READY},
        {"killed": frozenset({"plan=enterprise"})},
        {"shadow": 0.0},
    ],
    ids=str,
)
def test_nothing_is_shadowed_that_is_overridden(
    stage: OpenStage, parts: dict[str, object]
) -> None:
    shadows = stage()
    shadows.stand(**parts)
    shadows.bench.call()
    shadows.stand(override=None, killed=frozenset(), shadow=1.0)
    shadows.answered()
    assert shadows.bench.served == ["v1"]


def test_a_subject_without_a_key_is_not_shadowed(stage: OpenStage) -> None:
    shadows = stage()
    shadows.bench.call(EvaluationContext())
    shadows.answered()
    assert shadows.bench.served == ["v1"]


def test_a_control_by_our_own_doubt_is_not_shadowed(stage: OpenStage) -> None:
    shadows = stage()
    shadows.bench.say("a name that nobody knows")
    shadows.bench.call()
    shadows.answered()
    assert shadows.bench.served == ["v1"]


def test_without_a_candidate_there_is_nobody_to_ask(stage: OpenStage) -> None:
    shadows = stage()
    del shadows.bench.functions["v2"]
    shadows.bench.call()
    shadows.answered()
    assert shadows.bench.served == ["v1"]


subjects = st.integers(min_value=0, max_value=2**64 - 1)
shares = st.floats(min_value=0, max_value=1)


@given(subjects, shares, shares)
def test_a_share_that_grows_keeps_its_subjects(
    subject: int, one: float, other: float
) -> None:
    small, large = sorted((one, other))
    assert in_sample(subject, large) or not in_sample(subject, small)


@given(subjects, st.integers(0, BUCKETS - 1), shares)
def test_a_bucket_says_nothing_of_the_sample(
    subject: int, bucket: int, share: float
) -> None:
    moved = subject - subject % BUCKETS + bucket
    assert in_sample(moved, share) == in_sample(subject, share)


def test_a_share_of_one_is_everybody_and_of_none_nobody() -> None:
    for subject in (0, 1, 2**32, 2**64 - 1):
        assert in_sample(subject, 1.0)
        assert not in_sample(subject, 0.0)


def test_a_sample_is_as_large_as_its_share_in_every_bucket(bench: Bench) -> None:
    hashes = [subject_of(bench, f"user-{n}") for n in range(20_000)]
    for half in (0, 1):
        of_half = [each for each in hashes if each % 2 == half]
        taken = sum(in_sample(each, 0.1) for each in of_half)
        assert taken / len(of_half) == pytest.approx(0.1, abs=0.012)


def test_the_same_subjects_are_shadowed_in_every_process(stage: OpenStage) -> None:
    users = [EvaluationContext(f"user-{n}", {"plan": "free"}) for n in range(40)]

    def shadowed() -> list[int]:
        shadows, times = stage(share=0.3), list[int]()
        for user in users:
            shadows.bench.call(user)
            shadows.answered()
            times.append(shadows.bench.served.count("v2"))
        return times

    assert shadowed() == shadowed()


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


def test_a_candidate_with_side_effects_never_runs_unseen(stage: OpenStage) -> None:
    shadows = stage()
    shadows.bench.serve("v2", lambda: "v2", side_effects=True)
    for _ in range(3):
        shadows.bench.call()
    shadows.answered()
    assert pairs(shadows.bench) == {}
    assert shadows.bench.kinds == {"side effects are not shadowed": 1}


def test_what_finds_the_queue_full_is_dropped_and_counted(stage: OpenStage) -> None:
    shadows = stage(queue=2)
    for _ in range(5):
        assert shadows.bench.call() == "v1"
    assert shadows.bench.kinds == {"shadow calls dropped": 3}
    assert shadows.bench.drained().excluded == {"static": 5, DROPPED: 3}


@pytest.mark.parametrize(
    "parts",
    [
        {"override": Reason.KILLED, "trip": 1, "era": 1},
        {"trip": 1, "era": 1},
        {"attempt": 2},
        {"shadow": 0.0},
        {"killed": frozenset({"plan=enterprise"})},
    ],
    ids=["killed", "killed and released", "started anew", "stage over", "cohort"],
)
def test_after_a_kill_nothing_that_waits_is_answered(
    stage: OpenStage, parts: dict[str, object]
) -> None:
    shadows = stage()
    under_way, go_on = threading.Event(), threading.Event()
    answered: list[str] = []

    def slow() -> str:
        answered.append("v2")
        under_way.set()
        assert go_on.wait(PATIENCE_S)
        return ""

    shadows.bench.serve("v2", slow)
    for _ in range(3):
        shadows.bench.call()
    shadows.workers.tend()
    assert under_way.wait(PATIENCE_S)
    shadows.stand(**parts)
    go_on.set()
    done = threading.Event()
    shadows.workers.offer(done.set)
    assert done.wait(PATIENCE_S)
    assert answered == ["v2"]


def test_a_killed_cohort_leaves_the_others_shadowed(stage: OpenStage) -> None:
    shadows = stage()
    shadows.bench.call()
    shadows.bench.call(EvaluationContext("user-2", {"plan": "free"}))
    shadows.stand(killed=frozenset({"plan=enterprise"}))
    shadows.answered()
    assert shadows.bench.served.count("v2") == 1


def test_the_store_knows_the_epoch_before_the_candidate_runs(stage: OpenStage) -> None:
    shadows = stage()
    known: list[tuple[int, int]] = []

    def candidate() -> str:
        batch = shadows.bench.parts.recorder.drain()
        epochs = 0 if batch is None else len(batch.epochs)
        known.append((shadows.flushes, epochs))
        return ""

    shadows.bench.serve("v2", candidate)
    for _ in range(2):
        shadows.bench.call()
        shadows.answered()
    assert known == [(1, 1), (1, 1)]


def test_openfeatures_transaction_context_reaches_the_candidate(
    stage: OpenStage, world: None
) -> None:
    del world
    set_transaction_context_propagator(ContextVarsTransactionContextPropagator())
    shadows = stage()
    seen: list[str | None] = []

    def candidate() -> str:
        seen.append(get_transaction_context().targeting_key)
        set_transaction_context(EvaluationContext("somebody else"))
        return ""

    shadows.bench.serve("v2", candidate)
    set_transaction_context(EvaluationContext("user-1", {"plan": "free"}))
    shadows.bench.route()
    set_transaction_context(EvaluationContext("the next request"))
    shadows.answered()
    assert seen == ["user-1"]
    assert get_transaction_context().targeting_key == "the next request"


class Marks:
    """A flight log that writes down what it is told."""

    def __init__(self) -> None:
        self.entered: list[tuple[str, str, bool | None]] = []
        self.left: list[int] = []

    def enter(
        self,
        route: str,
        assignment: Assignment,
        *,
        control_failed: bool | None = None,
    ) -> int:
        assert (route, bool(assignment.epoch)) == (ROUTE, True)
        self.entered.append((assignment.variant, assignment.rule or "", control_failed))
        return SLOT

    def leave(self, slot: int) -> None:
        self.left.append(slot)


@pytest.mark.parametrize("failed", [False, True])
def test_a_shadow_answer_is_marked_as_such_and_wiped(
    stage: OpenStage, *, failed: bool
) -> None:
    shadows, marks = stage(), Marks()
    shadows.bench.parts.in_flight.log = marks

    def control() -> str:
        flipback.record("error", float(failed))
        return ""

    shadows.bench.serve("v1", control)
    shadows.bench.call()
    assert marks.entered == []
    shadows.answered()
    assert marks.entered == [("v2", "all", failed)]
    assert marks.left == [SLOT]


def test_a_fault_of_ours_costs_no_answer_and_no_worker(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadows = stage()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(shadows.shadow, "enqueue", broken)
    assert shadows.bench.call() == "v1"
    monkeypatch.undo()
    monkeypatch.setattr(shadows.bench.parts.epochs, "digest", broken)
    assert shadows.bench.call() == "v1"
    shadows.answered()
    assert shadows.bench.kinds == {"not shadowed": 1, "shadow answer lost": 1}
