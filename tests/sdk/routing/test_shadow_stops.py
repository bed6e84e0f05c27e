"""What ends shadow answers, and what they survive."""

import threading

import pytest
from openfeature.evaluation_context import EvaluationContext
from openfeature.transaction_context import (
    ContextVarsTransactionContextPropagator,
    get_transaction_context,
    set_transaction_context,
    set_transaction_context_propagator,
)

import flipback
from flipback.assignment import Assignment, Reason
from flipback.routing._shadow import DROPPED
from projects import ROUTE
from shadows import SLOT, OpenStage, pairs
from troubles import PATIENCE_S


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
