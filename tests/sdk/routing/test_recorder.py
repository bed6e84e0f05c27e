import threading
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext

from benches import USER, Bench
from flipback.assignment import Assignment, Reason, Role
from flipback.booking import LATE as TOO_LATE
from flipback.booking import NOT_POSITIVE
from flipback.exposure import Batch, Cell, CellKey, Entry, Epoch, LateOutcome
from flipback.histogram import Threshold
from flipback.plan import RolloutPlan
from flipback.routing import Recorder
from flipback.routing import _recorder as module
from flipback.testing import FakeClock
from projects import PLAN, ROUTE


Build = Callable[..., Bench]
ASSIGNMENT = Assignment(
    variant="v2",
    role=Role.CANDIDATE,
    flag_key="f",
    flag_version="1",
    rule="all",
    randomized=True,
    reason=Reason.SPLIT,
    provider="p",
    epoch="e",
    attempt=1,
    stage=0,
    cohorts=("plan=free", "country=DE"),
    subject=7,
    decision_id="0",
)
LATE = LateOutcome(
    decision_id="0",
    metric="resolved",
    expires_at=1.0,
    entries=(
        (
            CellKey(ROUTE, 1, "e", "all", 0, "resolved", "", "v2"),
            Entry("resolved", 0, 1.0, counts=False),
        ),
    ),
    subject=7,
)


def recorder(due: Callable[[int], None] = lambda _: None) -> Recorder:
    plans = {ROUTE: RolloutPlan.model_validate(PLAN)}
    return Recorder(writer="w", plans=plans, due=due, clock=FakeClock())


def drained(counted: Recorder) -> Batch:
    batch = counted.drain()
    assert batch is not None
    return batch


def test_nothing_counted_is_no_batch() -> None:
    counted = recorder()
    counted.opened(Epoch(digest="e", route=ROUTE, attempt=1, trip=0, described=""))
    assert counted.drain() is None


def test_batches_are_numbered_without_gaps() -> None:
    counted = recorder()
    numbers = list[int]()
    for _ in range(3):
        counted.exclude(ROUTE, "static")
        numbers.append(drained(counted).sequence)
        assert counted.drain() is None
    assert numbers == [1, 2, 3]


def test_an_exposure_counts_in_the_aggregate_and_each_cohort() -> None:
    counted = recorder()
    counted.expose(ROUTE, ASSIGNMENT)
    counted.settle(ROUTE, ASSIGNMENT, {"error": 1.0, "resolved": 0.0})
    batch = drained(counted)
    assert {(key.cohort, key.metric) for key in batch.cells} == {
        (cohort, metric)
        for cohort in ("", "plan=free", "country=DE")
        for metric in ("exposure", "error", "resolved")
    }
    assert all(cell.n[7] == 1 for cell in batch.cells.values())
    assert {key.metric for key in batch.subjects} == {"exposure", "error"}


def test_a_subject_without_an_event_is_not_counted_for_it() -> None:
    counted = recorder()
    counted.settle(ROUTE, ASSIGNMENT, {"error": 0.0})
    assert drained(counted).subjects == {}


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"randomized": False, "reason": Reason.KILLED}, "killed"),
        ({"randomized": False, "reason": Reason.TARGETING_MATCH}, "targeting_match"),
        ({"role": Role.OTHER}, "other_variant"),
    ],
    ids=["killed", "pinned", "other"],
)
def test_what_is_not_compared_is_counted_by_its_reason(
    parts: dict[str, object], reason: str
) -> None:
    counted = recorder()
    excluded = ASSIGNMENT._replace(**parts)  # type: ignore[arg-type]
    for _ in range(2):
        counted.expose(ROUTE, excluded)
        counted.settle(ROUTE, excluded, {"error": 1.0})
    batch = drained(counted)
    assert (batch.cells, batch.excluded) == ({}, {(ROUTE, reason): 2})


def test_a_look_is_due_by_exposures_of_the_candidate() -> None:
    due = list[int]()
    counted = recorder(due.append)
    for _ in range(200):
        counted.expose(ROUTE, ASSIGNMENT._replace(role=Role.CONTROL))
    due.clear()
    for role in (Role.CONTROL, Role.CANDIDATE, Role.OTHER, Role.CANDIDATE):
        counted.expose(ROUTE, ASSIGNMENT._replace(role=role))
    assert due == [1, 2]
    assert counted.candidate_exposures == {ROUTE: 2}


def test_control_is_known_before_a_candidate_can_end_the_process() -> None:
    due = list[int]()
    counted = recorder(due.append)
    for _ in range(200):
        counted.expose(ROUTE, ASSIGNMENT._replace(role=Role.CONTROL))
    assert due == list(range(1, 101))


def test_late_outcomes_that_nobody_fetches_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_LATE", 2)
    counted = recorder()
    assert [counted.late(LATE) for _ in range(3)] == [True, True, False]
    assert len(drained(counted).late) == 2
    assert counted.late(LATE)


def test_a_forked_child_starts_empty_under_its_own_name() -> None:
    counted = recorder()
    counted.expose(ROUTE, ASSIGNMENT)
    counted.after_fork("child")
    assert counted.drain() is None
    counted.exclude(ROUTE, "static")
    batch = drained(counted)
    assert (batch.writer, batch.sequence) == ("child", 1)


def measured(*metrics: str) -> Recorder:
    rails = [{"metric": m, "fails_on": "increase", "tolerance": 0.1} for m in metrics]
    table = {"kept": {"matures_after": "2h"}} if "kept" in metrics else {}
    plan = RolloutPlan.model_validate({**PLAN, "guardrails": rails, "metrics": table})
    return Recorder(
        writer="w", plans={ROUTE: plan}, due=lambda _: None, clock=FakeClock()
    )


def test_values_of_control_alone_are_in_the_histograms() -> None:
    counted = measured("latency_s", "kept")
    for variant, role in (("v1", Role.CONTROL), ("v2", Role.CANDIDATE)):
        given = ASSIGNMENT._replace(variant=variant, role=role)
        counted.settle(ROUTE, given, {"latency_s": 0.5, "kept": 1.0})
    ((key, histogram),) = drained(counted).histograms.items()
    assert (key.metric, key.cohort, key.variant) == ("latency_s", "", "v1")
    assert histogram.total_n == 1


def test_a_metric_that_needs_no_percentiles_has_no_histogram() -> None:
    counted = measured("error")
    counted.settle(ROUTE, ASSIGNMENT._replace(variant="v1"), {"latency_s": 0.5})
    assert drained(counted).histograms == {}


def test_outcomes_are_measured_by_the_percentiles_of_their_epoch() -> None:
    counted = measured("latency_s")
    for digest, thresholds in (("e", {}), ("f", {"latency_s": Threshold(0.4, 1.0)})):
        counted.opened(
            Epoch(
                digest=digest,
                route=ROUTE,
                attempt=1,
                trip=0,
                described="",
                thresholds=thresholds,
            )
        )
        given = ASSIGNMENT._replace(epoch=digest)
        counted.settle(ROUTE, given, {"latency_s": 0.5})
    tails = {k.epoch for k in drained(counted).cells if k.metric == "latency_s|tail"}
    assert tails == {"f"}


def test_a_delayed_exposure_is_booked_in_its_slice_and_at_once() -> None:
    counted = measured("kept")
    counted.expose(ROUTE, ASSIGNMENT._replace(at=7_200.0))
    cells = drained(counted).cells
    assert {(key.metric, key.slice) for key in cells} == {
        ("exposure", 0),
        ("exposure@7200", 2),
    }


def test_what_cannot_be_measured_is_counted_as_excluded() -> None:
    counted = measured("latency_s", "kept")
    counted.settle(ROUTE, ASSIGNMENT, {"latency_s": 0.0, "kept": 1.0})
    batch = drained(counted)
    assert batch.excluded == {(ROUTE, NOT_POSITIVE): 1, (ROUTE, TOO_LATE): 1}
    assert {key.metric for key in batch.cells} == {"latency_s"}


STEPS = st.sampled_from(["expose", "settle", "late", "exclude", "drain"])


@given(st.lists(st.tuples(STEPS, st.integers(0, 3)), max_size=60))
def test_any_interleaving_of_drains_loses_and_duplicates_nothing(
    steps: list[tuple[str, int]],
) -> None:
    counted, batches = recorder(), list[Batch]()
    for step, subject in steps:
        each = ASSIGNMENT._replace(subject=subject)
        match step:
            case "expose":
                counted.expose(ROUTE, each)
            case "settle":
                counted.settle(ROUTE, each, {"error": 1.0, "latency_s": subject + 0.5})
            case "late":
                counted.late(LATE)
            case "exclude":
                counted.exclude(ROUTE, "static")
            case _ if batch := counted.drain():
                batches.append(batch)
    batches.extend(filter(None, [counted.drain()]))
    happened = Counter(step for step, _ in steps)
    total = _merged(batches)
    assert [batch.sequence for batch in batches] == list(range(1, len(batches) + 1))
    assert sum(len(batch.late) for batch in batches) == happened["late"]
    assert sum(sum(b.excluded.values()) for b in batches) == happened["exclude"]
    for metric, count in (
        ("exposure", happened["expose"]),
        ("error", happened["settle"]),
        ("latency_s", happened["settle"]),
    ):
        for cohort in ("", "plan=free", "country=DE"):
            assert total.get((metric, cohort), Cell()).total_n == count
    settled = [subject + 0.5 for step, subject in steps if step == "settle"]
    latency = total.get(("latency_s", ""), Cell())
    assert latency.mean * latency.total_n == pytest.approx(sum(settled))


def _merged(batches: list[Batch]) -> dict[tuple[str, str], Cell]:
    total: dict[tuple[str, str], Cell] = {}
    for batch in batches:
        for key, cell in batch.cells.items():
            total.setdefault((key.metric, key.cohort), Cell()).merge(cell)
    return total


def test_threads_count_exactly_while_batches_are_taken_away(bench: Bench) -> None:
    calls, workers = 2000, 8
    batches, done = list[Batch](), threading.Event()

    def drain() -> None:
        while not done.is_set():
            batches.extend(filter(None, [bench.parts.recorder.drain()]))

    def work(worker: int) -> None:
        user = EvaluationContext(f"user-{worker}", {"plan": "free"})
        for _ in range(calls):
            bench.call(user)

    drainer = threading.Thread(target=drain)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(workers)]
    for thread in (drainer, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    drainer.join()
    batches.extend(filter(None, [bench.parts.recorder.drain()]))
    counts = {key: cell.total_n for key, cell in _merged(batches).items()}
    assert counts == {
        (metric, cohort): workers * calls
        for metric in ("exposure", "error", "latency_s")
        for cohort in ("", "plan=free")
    }
    assert bench.parts.recorder.candidate_exposures == {ROUTE: workers * calls}
    assert sorted(bench.due) == list(range(1, workers * calls + 1))
    assert bench.kinds == {}


def test_a_subject_in_many_batches_is_one_subject(bench: Bench) -> None:
    seen = set[int]()
    for _ in range(3):
        bench.call(USER)
        for key, subjects in bench.drained().batch.subjects.items():
            assert key.metric == "exposure"
            seen |= subjects
    assert len(seen) == 1
