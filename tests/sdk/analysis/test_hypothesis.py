from math import inf, isinf

import pytest
from tests.sdk.analysis._booked import Book, Traffic, plan_of, seeded

from flipback.analysis import analyze
from flipback.exposure import Evidence
from flipback.plan import RolloutPlan
from flipback.verdict import Hoped, HypothesisFinding


ERRORS = {"metric": "error", "fails_on": "increase"}


def hoping(metric: str = "score", **hope: object) -> RolloutPlan:
    return plan_of(ERRORS, hypothesis={"metric": metric, **hope})


def hypothesis(plan: RolloutPlan, evidence: Evidence) -> HypothesisFinding:
    found = analyze(plan, evidence).hypothesis
    assert found is not None
    return found


def scores(candidate: float, *, control: float = 10.0, seed: int = 1) -> Evidence:
    rng, book = seeded(seed), Book()
    book.values("control", "score", [rng.gauss(control, 1) for _ in range(4_000)])
    book.values("candidate", "score", [rng.gauss(candidate, 1) for _ in range(4_000)])
    return book.evidence


@pytest.mark.parametrize(
    ("hope", "candidate", "verdict"),
    [
        ({"rises_by": 0.05}, 11.0, Hoped.SHOWN),
        ({"rises_by": 0.05}, 10.5, Hoped.NOT_SHOWN),
        ({"rises_by": 0.05}, 10.0, Hoped.CONTRADICTED),
        ({"falls_by": 0.05}, 9.0, Hoped.SHOWN),
        ({"falls_by": 0.05}, 9.5, Hoped.NOT_SHOWN),
        ({"falls_by": 0.05}, 10.0, Hoped.CONTRADICTED),
    ],
)
def test_a_hope_is_shown_contradicted_or_neither(
    hope: dict[str, object], candidate: float, verdict: Hoped
) -> None:
    finding = hypothesis(hoping(**hope), scores(candidate))
    assert finding.verdict is verdict
    assert finding.relative is not None
    effect = candidate / 10 - 1
    assert finding.relative.low < effect < finding.relative.high
    assert finding.relative.high - finding.relative.low < 0.03


def test_a_plan_without_a_hypothesis_has_no_finding_of_one() -> None:
    assert analyze(plan_of(ERRORS), Book().evidence).hypothesis is None


def test_without_evidence_a_hope_is_not_shown_and_says_why() -> None:
    finding = hypothesis(hoping(rises_by=0.1, required=True), Book().evidence)
    assert finding.verdict is Hoped.NOT_SHOWN
    assert finding.note == "no observations of the candidate"
    assert finding.required
    assert finding.relative is None


def test_a_baseline_that_may_be_zero_leaves_a_rise_unbounded() -> None:
    finding = hypothesis(hoping(rises_by=0.1), scores(0.3, control=0.01))
    assert finding.relative is not None
    assert isinf(finding.relative.high)
    assert 0.1 < finding.relative.low < 0.3 / 0.01 - 1
    assert finding.verdict is Hoped.SHOWN


@pytest.mark.parametrize("control", [0.01, -0.01, 0.03, -0.03])
def test_a_baseline_that_may_be_zero_does_not_narrow_the_interval(
    control: float,
) -> None:
    for seed in range(10):
        evidence = scores(2 * abs(control) + control, control=control, seed=seed)
        finding = hypothesis(hoping(rises_by=0.1), evidence)
        assert finding.relative is not None
        assert finding.relative.low < 2 < finding.relative.high


def test_a_relative_effect_is_relative_to_the_size_of_control() -> None:
    finding = hypothesis(hoping(rises_by=0.05), scores(-9.0, control=-10.0))
    assert finding.verdict is Hoped.SHOWN
    assert finding.relative is not None
    assert finding.relative.low < 0.1 < finding.relative.high


def test_a_hope_about_an_event_is_about_its_rate() -> None:
    plan = hoping("error", falls_by=0.3)
    book = Book()
    book.events("control", 500, 10_000)
    book.events("candidate", 200, 10_000)
    finding = hypothesis(plan, book.evidence)
    assert finding.verdict is Hoped.SHOWN
    assert finding.relative is not None
    assert -0.7 < finding.relative.low < -0.6 < finding.relative.high < -0.3


def test_an_event_that_control_never_has_leaves_the_rise_unbounded() -> None:
    book = Book()
    book.events("control", 0, 1_000)
    book.events("candidate", 40, 1_000)
    finding = hypothesis(hoping("error", rises_by=0.5), book.evidence)
    assert finding.relative is not None
    assert finding.relative.high == inf
    assert finding.relative.low > 0.5
    assert finding.verdict is Hoped.SHOWN


def test_a_hope_about_latency_is_about_its_geometric_mean() -> None:
    plan = hoping("latency_s", falls_by=0.2)
    traffic = Traffic(plan)
    rng = traffic.rng
    traffic.calls("control", 3_000, lambda: {"latency_s": rng.lognormvariate(0, 0.5)})
    traffic.calls(
        "candidate", 3_000, lambda: {"latency_s": 0.7 * rng.lognormvariate(0, 0.5)}
    )
    finding = hypothesis(plan, traffic.evidence)
    assert finding.verdict is Hoped.SHOWN
    assert finding.relative is not None
    assert finding.relative.low < -0.3 < finding.relative.high < -0.2


def test_pairs_show_a_hope_before_any_user_sees_the_candidate() -> None:
    plan = hoping(rises_by=0.05)
    traffic = Traffic(plan)
    for _ in range(300):
        control = traffic.rng.gauss(10, 1)
        traffic.tally.pair(traffic.seen("control"), "score", control, control * 1.1)
    finding = hypothesis(plan, traffic.evidence)
    assert finding.pairs == 300
    assert finding.verdict is Hoped.SHOWN


def test_a_hope_about_a_heavy_tail_waits_for_its_percentiles() -> None:
    metrics = {"cost": {"kind": "heavy tail"}}
    plan = plan_of(
        ERRORS, hypothesis={"metric": "cost", "falls_by": 0.1}, metrics=metrics
    )
    finding = hypothesis(plan, Book().evidence)
    assert finding.note.startswith("needs 1000 more observations of control")
