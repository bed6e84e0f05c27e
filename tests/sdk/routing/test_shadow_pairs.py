import random
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext

import flipback
from flipback.assignment import Assignment, Reason, Role
from flipback.exposure import Cell, CellKey
from flipback.plan import LATENCY, RolloutPlan
from flipback.routing import Recorder
from flipback.routing import _recorder as module
from flipback.routing._recorder import Paired
from flipback.signals import WARM_UP, warm_slice
from flipback.tally import Seen, Tally
from flipback.testing import FakeClock
from projects import PLAN, ROUTE
from shadows import ShadowBench


OpenStage = Callable[..., ShadowBench]
Outcomes = dict[str, float]
Sums = dict[tuple[int, int, str, str, str], list[float]]
GUARDED: Mapping[str, object] = {
    "metrics": {
        "cost": {"kind": "heavy tail"},
        "grade": {"kind": "mean", "matures_after": "2h"},
    },
    "guardrails": [
        {"metric": "error", "fails_on": "increase"},
        {"metric": "latency_s", "fails_on": "increase"},
        {"metric": "cost", "fails_on": "increase"},
        {"metric": "grade", "fails_on": "decrease"},
    ],
}
GIVEN = Assignment(
    variant="v1",
    role=Role.CONTROL,
    flag_key="f",
    flag_version="1",
    rule="all",
    randomized=False,
    reason=Reason.STATIC,
    provider="p",
    epoch="e",
    attempt=1,
    stage=0,
    cohorts=("plan=free",),
    subject=0,
    decision_id="0",
    at=1e9,
)


def sums(cells: Mapping[CellKey, Cell]) -> Sums:
    """Return what cells add up to; epochs are numbered as they come."""
    epochs = list(dict.fromkeys(key.epoch for key in cells))
    return {
        (epochs.index(key.epoch), key.slice, key.metric, key.cohort, key.variant): [
            cell.total_n,
            sum(cell.x) + cell.total_n * cell.origin,
            cell.variance,
            *cell.n,
        ]
        for key, cell in cells.items()
    }


def close_to(expected: Sums) -> Sums:
    return {key: pytest.approx(each, abs=1e-9) for key, each in expected.items()}  # type: ignore[misc] # equal to lists


values = st.floats(min_value=0, max_value=10)
answers = st.fixed_dictionaries(
    {"latency_s": st.floats(min_value=1e-3, max_value=5)},
    optional={"error": st.sampled_from([0.0, 1.0]), "cost": values, "grade": values},
)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), answers, answers), max_size=20))
def test_journal_and_tally_come_to_the_same_cells(
    calls: list[tuple[int, Outcomes, Outcomes]],
) -> None:
    plan = RolloutPlan.model_validate({**PLAN, **GUARDED})
    recorder = Recorder(
        writer="w", plans={ROUTE: plan}, due=lambda _: None, clock=FakeClock()
    )
    tally = Tally(plan)
    for subject, control, candidate in calls:
        recorder.pair(
            ROUTE, GIVEN._replace(subject=subject), Paired(control, candidate)
        )
        seen = Seen("v1", subject, GIVEN.cohorts, "e", "all", GIVEN.at)
        for metric in control.keys() & candidate.keys():
            tally.pair(seen, metric, control[metric], candidate[metric])
    batch = recorder.drain()
    if batch is None:
        assert not calls
        return
    assert sums(batch.cells) == close_to(sums(tally.evidence.cells))
    distributed = {key.metric: h.bins for key, h in batch.histograms.items()}
    told = {m: h.bins for m, h in tally.evidence.histograms.items() if h.bins}
    assert distributed == told
    assert batch.subjects == {}


def answering(heard: list[Outcomes], *, seed: int) -> Callable[[], str]:
    """Return a variant that records random outcomes and writes them down."""
    rng = random.Random(seed)  # noqa: S311 - a fixed stream for a test

    def answer() -> str:
        outcomes = {"error": float(rng.random() < 0.1), "cost": rng.expovariate(1)}
        outcomes |= {"latency_s": rng.uniform(0.1, 1)}
        if rng.random() < 0.5:
            outcomes["grade"] = rng.gauss(10, 1)
        heard.append(outcomes)
        for metric, value in outcomes.items():
            flipback.record(metric, value)
        return ""

    return answer


def test_a_live_shadow_run_equals_its_replay_before_and_after_percentiles_freeze(
    stage: OpenStage,
) -> None:
    shadows = stage(plan=GUARDED, queue=2_000)
    bench, tally = shadows.bench, Tally(shadows.bench.parts.plan)
    heard: dict[str, list[Outcomes]] = {name: [] for name in ("v1", "v2")}
    for seed, (name, outcomes) in enumerate(heard.items()):
        bench.serve(name, answering(outcomes, seed=seed))
    rng = random.Random(4)  # noqa: S311 - a fixed stream for a test
    cells: dict[CellKey, Cell] = {}
    for calls in (1_000, 50):
        served: list[Assignment] = []
        for _ in range(calls):
            number = rng.randrange(30)
            user = EvaluationContext(f"user-{number}", {"plan": "free"})
            given_to = bench.decider.decide(user)
            bench.call(user)
            served.append(given_to)
        shadows.answered()
        answered = zip(served, heard["v1"], heard["v2"], strict=True)
        for given_to, control, candidate in answered:
            seen = tally.placed(
                Seen("v1", given_to.subject, given_to.cohorts, "", "all", given_to.at)
            )
            for metric in control.keys() & candidate.keys():
                tally.pair(seen, metric, control[metric], candidate[metric])
        heard["v1"].clear()
        heard["v2"].clear()
        cells.update(bench.drained().batch.cells)
        tally.freeze()
        histograms = tally.evidence.histograms
        frozen = {m: h.frozen() for m, h in histograms.items()}
        shadows.stand(thresholds={m: f for m, f in frozen.items() if f is not None})
    assert len({key.epoch for key in cells}) == 2
    assert any("|tail" in key.metric for key in cells)
    assert sums(cells) == close_to(sums(tally.evidence.cells))


def test_values_of_control_alone_are_distributed() -> None:
    plan = RolloutPlan.model_validate({**PLAN, **GUARDED})
    recorder = Recorder(
        writer="w", plans={ROUTE: plan}, due=lambda _: None, clock=FakeClock()
    )
    recorder.pair(ROUTE, GIVEN, Paired({LATENCY: 0.5}, {LATENCY: 2.0}))
    batch = recorder.drain()
    assert batch is not None
    ((key, histogram),) = batch.histograms.items()
    assert (key.variant, key.cohort, histogram.total_n) == ("v1", "", 1)
    assert histogram.quantile(1) == pytest.approx(0.5, rel=0.02)


def test_a_journal_of_pairs_that_nobody_fetches_is_folded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_JOURNAL", 2)
    plan = RolloutPlan.model_validate(PLAN)
    recorder = Recorder(
        writer="w", plans={ROUTE: plan}, due=lambda _: None, clock=FakeClock()
    )
    for _ in range(5):
        recorder.pair(ROUTE, GIVEN, Paired({"error": 0.0}, {"error": 0.0}))
    assert len(recorder._journal) == 1  # noqa: SLF001 - its length is the point


STAGES = [{"shadow": 1, "until": "stable latency"}, {"weight": 50}]


def test_a_warm_up_books_how_long_the_candidate_took_for_everybody(
    stage: OpenStage,
) -> None:
    shadows = stage(plan={"stages": STAGES})
    shadows.bench.serve("v2", lambda: shadows.bench.clock.advance(2.0) or "")
    shadows.bench.call()
    shadows.answered()
    cells = shadows.bench.drained().batch.cells
    ((key, cell),) = [each for each in cells.items() if each[0].metric == WARM_UP]
    assert (key.variant, key.cohort) == ("v2", "")
    assert key.slice == warm_slice(shadows.bench.clock.now().timestamp())
    assert cell.mean == pytest.approx(0.6931, abs=1e-4)


@pytest.mark.parametrize(
    ("stages", "number"),
    [([{"shadow": 1}, {"weight": 50}], 0), (STAGES, 1), (STAGES, 9)],
    ids=["until proof", "another stage", "a stage that is gone"],
)
def test_only_a_stage_that_waits_for_the_latency_warms_up(
    stage: OpenStage, stages: list[dict[str, object]], number: int
) -> None:
    shadows = stage(plan={"stages": stages})
    shadows.stand(stage=number)
    shadows.bench.serve("v2", lambda: shadows.bench.clock.advance(2.0) or "")
    shadows.bench.call()
    shadows.answered()
    metrics = {key.metric for key in shadows.bench.drained().batch.cells}
    assert metrics
    assert WARM_UP not in metrics
