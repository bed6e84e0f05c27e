import json
from dataclasses import replace
from math import inf, isfinite, nan

import pytest
from tests.sdk.analysis._booked import Book, Traffic, plan_of, seeded

from flipback.analysis import analyze, as_json, describe, explain, gate
from flipback.verdict import (
    Finding,
    Gate,
    GateFinding,
    Hoped,
    HypothesisFinding,
    Interval,
    Verdict,
)


SCORE = {"metric": "score", "fails_on": "decrease"}
ERRORS = {"metric": "error", "fails_on": "increase"}


def scored(mean: float) -> Finding:
    rng, book = seeded(1), Book()
    for variant, value, count in (("control", 10.0, 4_000), ("candidate", mean, 500)):
        book.values(variant, "score", [rng.gauss(value, 1) for _ in range(count)])
        book.events(variant, 0, count)
    return analyze(plan_of(SCORE), book.evidence).findings[0]


def gate_finding(**other: object) -> GateFinding:
    known = {
        "metric": "score",
        "cohort": "segment=new",
        "verdict": Verdict.INCONCLUSIVE,
        "margin": 0.05,
        "log_e": 1.25,
        "log_threshold": 3.0,
        "needs": 1_200,
    }
    return GateFinding(**{**known, **other})


def test_a_finding_is_described_in_one_sentence() -> None:
    assert describe(scored(9.0)) == (
        "score 8.973 against 10.01 of control (-10.4%) for everybody, "
        "from 500 candidate and 4000 control observations, log E 188.89"
    )


def test_what_shadow_answers_show_is_described_by_pairs() -> None:
    seen = replace(scored(9.0), candidate_n=0, control_n=0, pairs=626)
    assert "for everybody, from 626 pairs, log E" in describe(seen)


def test_a_latency_says_which_of_its_measures_it_is_about() -> None:
    plan = plan_of({"metric": "latency_s", "fails_on": "increase"}, segments=["new"])
    log, tail, cohort, _ = analyze(plan, Book().evidence).findings
    assert describe(log).startswith("latency_s (geometric mean) unknown against")
    assert "share above control's 95th percentile" in describe(tail)
    assert "for cohort segment=new" in describe(cohort)


def test_an_explanation_has_all_that_the_verdict_rests_on() -> None:
    finding = scored(9.95)
    text = explain(finding)
    assert text.splitlines()[0] == "score, everybody: harm is not proven"
    for part in (
        "4,000 observations, 4,000 users",
        "500 observations, 500 users",
        "confidence sequence",
        "e1 (1 strata)",
        "design effect",
        f"log E {finding.log_e:.2f}",
        "100.0% of alpha",
        "rolls back when log E reaches 3.0",
    ):
        assert part in text


def test_what_is_proven_cannot_be_unsaid() -> None:
    assert "nothing: proven, and a later look cannot unsay it" in explain(scored(8.0))


def test_what_looks_good_would_never_roll_back() -> None:
    assert scored(10.5).outlook.endswith("at the present difference never")


@pytest.mark.parametrize("mean", [9.8, 9.9])
def test_the_outlook_is_about_as_far_as_it_turns_out(mean: float) -> None:
    rng, book = seeded(3), Book()
    control = [rng.gauss(10, 1) for _ in range(20_000)]
    candidate = [rng.gauss(0, 1) for _ in range(100)]
    away = mean - sum(candidate) / 100
    book.values("control", "score", control)
    book.values("candidate", "score", [value + away for value in candidate])
    said = analyze(plan_of(SCORE), book.evidence).findings[0].outlook
    more = int(said.split("some ")[1].split(" more")[0].replace(",", ""))
    for count, fails in ((more // 2, False), (2 * more, True)):
        grown = Book()
        times = (100 + count) // 100
        grown.values("control", "score", control)
        grown.values("candidate", "score", [v + away for v in candidate * times])
        assert (
            analyze(plan_of(SCORE), grown.evidence).verdict is Verdict.FAIL
        ) == fails


def test_errors_say_how_far_they_are_from_a_roll_back() -> None:
    book = Book()
    book.events("control", 20, 1_000)
    book.events("candidate", 5, 100)
    finding = analyze(plan_of(ERRORS), book.evidence).findings[0]
    assert "after some " in finding.outlook
    more = int(finding.outlook.split("some ")[1].split(" more")[0].replace(",", ""))
    times = 1 + more / 100
    book.events("control", round(20 * times) - 20, round(1_000 * times) - 1_000)
    book.events("candidate", round(5 * times) - 5, round(100 * times) - 100)
    later = analyze(plan_of(ERRORS), book.evidence).findings[0]
    assert later.log_e == pytest.approx(later.log_threshold, rel=0.35)


def test_what_is_missing_is_the_outlook_of_what_cannot_be_weighed() -> None:
    finding = analyze(plan_of(SCORE), Book().evidence).findings[0]
    assert finding.outlook == (
        "rolls back when log E reaches 3.0 (now 0.0): no observations of the candidate"
    )


def test_a_gate_finding_says_what_it_needs() -> None:
    text = explain(gate_finding())
    assert "score, cohort segment=new: harm beyond the margin is not ruled" in text
    assert "1,200 more candidate exposures" in text
    assert "no number of exposures will do" in explain(gate_finding(needs=None))
    assert "needs" not in explain(gate_finding(verdict=Verdict.PASS, needs=0))


def test_a_hypothesis_says_how_far_it_is_bounded() -> None:
    finding = HypothesisFinding(
        metric="score",
        hoped=-0.1,
        verdict=Hoped.NOT_SHOWN,
        relative=Interval(low=-0.2, high=inf),
        required=True,
        note="why",
    )
    text = explain(finding)
    assert text.startswith("score falls by 10.0%: not shown")
    assert "-20.0% to unbounded" in text
    assert "promotion waits" in text


def finite(value: object) -> bool:
    match value:
        case dict():
            return all(map(finite, value.values()))
        case list():
            return all(map(finite, value))
        case float():
            return isfinite(value)
        case _:
            return True


def test_json_has_finite_numbers_or_null() -> None:
    infinite = gate_finding(log_e=-inf, margin=nan, interval=Interval(low=0, high=inf))
    gate = Gate(
        weight=None,
        next_weight=100.0,
        verdict=Verdict.INCONCLUSIVE,
        findings=(infinite,),
        waits=("wait",),
        asks=("segment=new",),
    )
    said = as_json(gate)
    assert finite(said)
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_an_analysis_is_plain_data_from_top_to_bottom() -> None:
    plan = plan_of(
        ERRORS,
        {**SCORE, "importance": 5e-324},
        {"metric": "latency_s", "fails_on": "increase"},
        hypothesis={"metric": "error", "falls_by": 0.5},
    )
    traffic = Traffic(plan)
    traffic.calls("control", 100, lambda: {"error": 0.0})
    traffic.calls("candidate", 20, lambda: {"error": 1.0})
    said = as_json(analyze(plan, traffic.evidence))
    assert finite(said)
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["action"] == "roll back"
    assert said["broken"] == [{"metric": "error", "measure": "value", "cohort": ""}]


def test_a_limit_is_shown_where_it_is_guarded() -> None:
    plan = plan_of({"metric": "cost", "fails_on": "increase", "limit": 12.5})
    look = analyze(plan, Book().evidence)
    found = gate(plan, Book().evidence, weight=5, analysis=look)
    for finding in (look.findings[0], found.findings[0]):
        assert "limit         12.5, for the candidate alone" in explain(finding)
        assert "tolerance" not in explain(finding)
        assert as_json(finding)["limit"] == 12.5
    assert "limit" not in explain(scored(9.95))
