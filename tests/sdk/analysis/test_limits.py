from collections.abc import Mapping

import pytest
from tests.sdk.analysis._booked import Book, Traffic, plan_of, seeded

from flipback.analysis import analyze
from flipback.stats import one_sample
from flipback.verdict import Finding, Verdict


ERROR_LIMIT = {"metric": "error", "fails_on": "increase", "limit": 0.05}
PRECISION = {"metric": "precision", "fails_on": "decrease", "limit": 0.9}
LATENCY = {"metric": "latency_s", "fails_on": "increase", "limit": 2.0}


def only(findings: tuple[Finding, ...]) -> Finding:
    (finding,) = findings
    return finding


def zeros_and_ones(ones: int, count: int) -> list[float]:
    values = [1.0] * ones + [0.0] * (count - ones)
    seeded(ones).shuffle(values)
    return values


def latencies(count: int, *, mean: float) -> list[float]:
    rng = seeded(count)
    return [rng.gauss(mean, 0.5) for _ in range(count)]


def test_a_breached_limit_on_events_fails_without_control() -> None:
    book = Book()
    book.events("candidate", 30, 200)
    finding = only(analyze(plan_of(ERROR_LIMIT), book.evidence).broken)
    assert finding.engine == "one-sample engine"
    assert finding.log_e == pytest.approx(one_sample(30, 200, limit=0.05))


def test_a_kept_limit_does_not_fail() -> None:
    book = Book()
    book.events("control", 0, 1000)
    book.events("candidate", 40, 1000)
    analysis = analyze(plan_of(ERROR_LIMIT), book.evidence)
    assert analysis.verdict is Verdict.INCONCLUSIVE


def test_a_floor_on_a_binary_metric_is_weighed_exactly() -> None:
    book = Book()
    book.values("control", "precision", zeros_and_ones(950, 1000))
    book.values("candidate", "precision", zeros_and_ones(70, 100))
    finding = only(analyze(plan_of(PRECISION), book.evidence).broken)
    assert finding.engine == "one-sample engine"
    assert finding.candidate_value == pytest.approx(0.7)


def test_a_limit_that_control_breaches_too_pauses_and_says_so() -> None:
    book = Book()
    book.values("control", "precision", zeros_and_ones(700, 1000))
    book.values("candidate", "precision", zeros_and_ones(70, 100))
    analysis = analyze(plan_of(PRECISION), book.evidence)
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert not analysis.broken
    finding = only(analysis.paused)
    assert "control breaches the limit as well" in finding.note


def test_a_limit_on_a_mean_in_its_own_unit_is_compared_with_the_mean() -> None:
    book = Book()
    book.values("control", "latency_s", latencies(1000, mean=1.5))
    book.values("candidate", "latency_s", latencies(200, mean=2.6))
    finding = only(analyze(plan_of(LATENCY), book.evidence).broken)
    assert finding.engine == "normal mixture"
    kept = Book()
    kept.values("candidate", "latency_s", latencies(200, mean=1.9))
    assert not analyze(plan_of(LATENCY), kept.evidence).broken


def test_requests_of_one_subject_count_less_against_a_limit() -> None:
    alone, clustered = Book(), Book()
    for place, value in enumerate(zeros_and_ones(240, 300)):
        alone.value("candidate", "precision", value, bucket=place % 64)
        for _ in range(5):
            clustered.value("candidate", "precision", value, bucket=place % 64)
    once = only(analyze(plan_of(PRECISION), alone.evidence).findings)
    five = only(analyze(plan_of(PRECISION), clustered.evidence).findings)
    assert five.deff > 3 * once.deff
    assert five.log_e < 2 * once.log_e


@pytest.mark.parametrize("guardrail", [ERROR_LIMIT, PRECISION, LATENCY])
def test_nothing_seen_is_named(guardrail: Mapping[str, object]) -> None:
    finding = only(analyze(plan_of(guardrail), Book().evidence).findings)
    assert finding.note == "no observations of the candidate"
    assert finding.log_e == 0


def test_a_limit_on_a_mean_waits_for_its_burn_in() -> None:
    book = Book()
    book.values("candidate", "latency_s", latencies(29, mean=50))
    finding = only(analyze(plan_of(LATENCY), book.evidence).findings)
    assert finding.note.startswith("needs 1 more observations")


def test_a_limit_that_is_breached_each_time_is_breached() -> None:
    limit = LATENCY["limit"]
    assert isinstance(limit, float)
    book = Book()
    book.values("candidate", "latency_s", [1.5 * limit] * 100)
    assert analyze(plan_of(LATENCY), book.evidence).verdict is Verdict.FAIL
    book = Book()
    book.values("candidate", "latency_s", [limit] * 100)
    finding = only(analyze(plan_of(LATENCY), book.evidence).findings)
    assert "are the limit itself" in finding.note


def test_a_subject_who_breaches_a_limit_each_hour_is_one_subject() -> None:
    plan = plan_of(ERROR_LIMIT)
    weighed: list[float] = []
    for hours in (1, 20):
        traffic = Traffic(plan)
        for subject in range(100):
            seen = traffic.seen("candidate")
            for hour in range(hours):
                exposed = traffic.tally.expose(seen._replace(epoch=f"h{hour}"))
                traffic.tally.outcome(exposed, "error", float(subject < 12))
        weighed.append(only(analyze(plan, traffic.evidence).findings).log_e)
    assert weighed[1] < 1.5 * weighed[0]


def test_a_limit_that_is_no_share_of_subjects_says_so() -> None:
    metrics = {"rude": {"kind": "event"}}
    plan = plan_of({"metric": "rude", "fails_on": "increase"}, metrics=metrics)
    limited = plan.guardrails[0].model_copy(update={"limit": 5.0})
    book = Book()
    book.events("candidate", 10, 100, metric="rude")
    plan = plan.model_copy(update={"guardrails": (limited,)})
    finding = only(analyze(plan, book.evidence).findings)
    assert finding.note.startswith("the limit is no share of subjects")


@pytest.mark.parametrize("guardrail", [ERROR_LIMIT, PRECISION, LATENCY])
def test_the_interval_is_that_of_the_value_minus_the_limit(
    guardrail: Mapping[str, object],
) -> None:
    book = Book()
    book.events("candidate", 30, 200)
    book.values("candidate", "precision", zeros_and_ones(140, 200))
    book.values("candidate", "latency_s", latencies(200, mean=2.6))
    finding = only(analyze(plan_of(guardrail), book.evidence).findings)
    assert finding.interval is not None
    assert finding.candidate_value is not None
    away = finding.candidate_value - float(str(guardrail["limit"]))
    assert finding.interval.low < away < finding.interval.high
    assert finding.interval.high - finding.interval.low < 0.4


def test_an_event_that_never_happened_has_a_rate_above_nothing() -> None:
    book = Book()
    book.events("candidate", 0, 1_000)
    finding = only(analyze(plan_of(ERROR_LIMIT), book.evidence).findings)
    assert finding.interval is not None
    assert finding.interval.low == pytest.approx(-0.05)
    assert -0.05 < finding.interval.high < -0.03
