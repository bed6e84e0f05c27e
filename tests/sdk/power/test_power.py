from dataclasses import replace
from math import inf, isfinite, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sdk.analysis._booked import plan_of

from flipback.power import (
    NEVER_DAYS,
    Baseline,
    Power,
    Prospect,
    Traffic,
    baselines_wanted,
    power,
)
from flipback.signals import Measure
from flipback.stats import needed_info, needed_subjects


ERRORS = {"metric": "error", "fails_on": "increase", "tolerance": 0.2}
SCORE = {"metric": "score", "fails_on": "decrease", "tolerance": 0.1}
PRECISION = {"metric": "precision", "fails_on": "decrease", "tolerance": 0.1}
RAMP = [{"weight": weight} for weight in (1, 5, 25, 50, 100)]
DAILY = Traffic(
    calls_per_day=10_000,
    baselines={"error": Baseline(mean=0.02), "score": Baseline(mean=0.5)},
)
LOG_20 = log(20)


def only(found: Power, stage: int = 0) -> Prospect:
    (test,) = found.stages[stage].tests
    return test


def test_events_take_the_subjects_that_the_engine_takes() -> None:
    foretold = only(power(plan_of(ERRORS, stages=RAMP[:2]), DAILY), 0)
    assert foretold.margin == 1.0
    subjects = needed_subjects(
        0.02,
        share=0.01,
        log_threshold=LOG_20,
        margin=1.0,
        ruling_out=True,
        median=True,
    )
    assert foretold.passes_days * 100 == pytest.approx(subjects, rel=0.1)


def test_means_take_the_information_that_the_engine_takes() -> None:
    plan = plan_of(SCORE, stages=[{"weight": 20}], gate="strict")
    foretold = only(power(plan, DAILY))
    info = needed_info(distance=0.05, log_threshold=LOG_20, median=True)
    variance = 0.25 / 2_000 + 0.9**2 * 0.25 / 8_000
    assert foretold.passes_days == pytest.approx(info * variance, rel=0.01)


def test_twice_the_traffic_takes_half_the_time() -> None:
    plan = plan_of(SCORE, stages=[{"weight": 20}])
    once = only(power(plan, DAILY))
    twice = only(power(plan, replace(DAILY, calls_per_day=20_000)))
    assert once.passes_days == pytest.approx(2 * twice.passes_days, rel=0.01)
    assert once.catches_days == pytest.approx(2 * twice.catches_days, rel=0.01)
    assert twice.least_harm < once.least_harm


def test_calls_that_resemble_each_other_count_for_less() -> None:
    plan = plan_of(SCORE, stages=[{"weight": 20}])
    alone = only(power(plan, DAILY)).passes_days
    clustered = only(power(plan, replace(DAILY, deff=3.0))).passes_days
    assert clustered == pytest.approx(3 * alone, rel=0.01)


def test_events_are_counted_by_subject_and_means_by_call() -> None:
    plan = plan_of(ERRORS, SCORE, stages=[{"weight": 20}])
    many = replace(DAILY, calls_per_subject_per_day=10)
    (errors, scores), (fewer_errors, same_scores) = (
        power(plan, daily).stages[0].tests for daily in (DAILY, many)
    )
    assert fewer_errors.passes_days == pytest.approx(10 * errors.passes_days, rel=0.05)
    assert same_scores == scores


def test_the_harm_that_is_caught_in_a_time_is_caught_in_that_time() -> None:
    stage = {"weight": 20, "window": "3d"}
    found = power(plan_of(ERRORS, stages=[stage]), DAILY)
    least = only(found).least_harm
    wanted = {**ERRORS, "smallest_harm": least - 0.2}
    again = only(power(plan_of(wanted, stages=[stage]), DAILY))
    assert again.harm == pytest.approx(least)
    assert again.catches_days == pytest.approx(3, rel=0.05)


def test_evidence_of_a_stage_counts_in_the_next() -> None:
    stages = [{"weight": 20, "window": "5d"}, {"weight": 25}]
    found = power(plan_of(SCORE, stages=stages), DAILY)
    alone = power(plan_of(SCORE, stages=stages[1:]), DAILY)
    assert only(found, 1).passes_days < only(alone).passes_days
    assert found.lasts_days == sum(row.lasts_days for row in found.stages)


def test_a_stage_lasts_as_long_as_its_window_and_its_exposures_take() -> None:
    window = power(plan_of(SCORE, stages=[{"weight": 20, "window": "9d"}]), DAILY)
    assert (window.stages[0].lasts_days, window.stages[0].within_days) == (9, 9)
    stage = {"weight": 10, "min_exposures": 8_000}
    exposures = power(plan_of(SCORE, segments="ab", stages=[stage]), DAILY)
    assert exposures.stages[0].lasts_days == 16


def test_outcomes_that_mature_later_are_waited_for() -> None:
    late = {"score": {"matures_after": "4d"}}
    stages = [{"weight": 20}, {"weight": 50}]
    soon = power(plan_of(SCORE, stages=stages), DAILY)
    later = power(plan_of(SCORE, stages=stages, metrics=late), DAILY)
    assert only(later).passes_days == pytest.approx(
        only(soon).passes_days + 4, rel=0.01
    )
    assert only(later).catches_days == pytest.approx(
        only(soon).catches_days + 4, rel=0.01
    )


def test_without_control_nothing_but_a_limit_is_decided() -> None:
    limit = {"metric": "error", "fails_on": "increase", "limit": 0.05}
    plan = plan_of(ERRORS, limit, stages=[{"weight": 100}], holdback=0)
    relative, absolute = power(plan, DAILY).stages[0].tests
    assert (relative.passes_days, relative.catches_days) == (inf, inf)
    assert absolute.passes_days < 1
    assert absolute.catches_days < 90


def test_the_holdback_goes_on_deciding_in_the_last_stage() -> None:
    stages = [{"weight": 50}, {"weight": 100}]
    last = power(plan_of(ERRORS, stages=stages), DAILY).stages[1]
    assert (last.stage.weight, last.next_weight) == (95, 95)
    assert isfinite(last.tests[0].catches_days)


def test_a_latency_has_a_body_and_a_tail() -> None:
    plan = plan_of({"metric": "latency_s", "fails_on": "increase", "tolerance": 0.2})
    body, tail = power(plan, DAILY).stages[0].tests
    assert (body.measure, tail.measure) == (Measure.LOG, Measure.TAIL)
    assert body.passes_days < tail.passes_days
    wide = replace(DAILY, baselines={"latency_s": Baseline(mean=1, deviation=2)})
    wider = power(plan, wide).stages[0].tests[0]
    assert wider.passes_days == pytest.approx(4 * body.passes_days, rel=0.02)


def test_a_ratio_sees_as_many_as_its_denominator_brings() -> None:
    metrics = {"precision": {"numerator": "caught", "denominator": "flagged"}}
    plan = plan_of(PRECISION, stages=[{"weight": 20}], metrics=metrics)
    assert tuple(baselines_wanted(plan)) == ("precision", "flagged")
    known = {"precision": Baseline(mean=0.8)}
    assert power(plan, Traffic(calls_per_day=9, baselines=known)).unknown == (
        "precision",
    )
    days = [
        only(
            power(
                plan,
                Traffic(
                    calls_per_day=10_000,
                    baselines={**known, "flagged": Baseline(mean=rate)},
                ),
            )
        ).passes_days
        for rate in (0.02, 0.04)
    ]
    assert days[0] == pytest.approx(2 * days[1], rel=0.01)


@pytest.mark.parametrize(
    ("metric", "kind", "known", "decided"),
    [
        ("error", "event", None, True),
        ("seen", "event", None, False),
        ("score", "mean", Baseline(mean=0.4), True),
        ("score", "mean", Baseline(mean=4), False),
        ("score", "mean", Baseline(mean=4, deviation=1), True),
        ("cost", "heavy tail", Baseline(mean=0.4), False),
        ("cost", "heavy tail", Baseline(mean=0.4, deviation=1), True),
        ("latency_s", "latency", None, True),
    ],
)
def test_what_is_not_known_is_named_and_not_guessed(
    metric: str, kind: str, known: Baseline | None, *, decided: bool
) -> None:
    plan = plan_of({**ERRORS, "metric": metric, "kind": kind})
    baselines = {} if known is None else {metric: known}
    found = power(plan, Traffic(calls_per_day=1_000, baselines=baselines))
    assert found.unknown == (() if decided else (metric,))
    assert bool(found.stages[0].tests) is decided


def test_cohorts_divide_what_is_not_given() -> None:
    plan = plan_of(ERRORS, segments=["a", "b", "c"])
    given = replace(DAILY, shares={"segment=a": 0.1})
    assert power(plan, DAILY).shares == pytest.approx(
        {"segment=a": 1 / 3, "segment=b": 1 / 3, "segment=c": 1 / 3}
    )
    assert power(plan, given).shares == pytest.approx(
        {"segment=a": 0.1, "segment=b": 0.45, "segment=c": 0.45}
    )


def test_a_cohort_that_can_never_decide_is_named_with_what_would_help() -> None:
    plan = plan_of(ERRORS, segments=["big", "small"], stages=RAMP[:2], gate="strict")
    shares = {"segment=small": 0.05}
    found = power(plan, replace(DAILY, shares=shares))
    assert found.lasts_days == inf
    small = found.remedies[-1]
    assert (small.cohort, small.place, small.fault) == ("segment=small", 0, "")
    assert small.tolerance is not None
    assert small.pairs is not None
    assert small.scaled_days is not None
    tolerant = {**ERRORS, "tolerance": small.tolerance}
    better = plan_of(
        tolerant, segments=["big", "small"], stages=RAMP[:1], gate="strict"
    )
    stages = power(better, replace(DAILY, shares=shares)).stages
    assert stages[0].tests[-1].passes_days <= NEVER_DAYS


def test_the_pairs_that_would_help_do() -> None:
    plan = plan_of(SCORE, stages=[{"weight": 0.01}])
    remedy = power(plan, DAILY).remedies[0]
    assert remedy.pairs == pytest.approx(10_000 * remedy.pairs_days, abs=1)
    shadow = plan_of(SCORE, stages=[{"shadow": 1.0}, {"weight": 100}])
    assert only(power(shadow, DAILY)).passes_days == pytest.approx(
        remedy.pairs_days, rel=0.05
    )


@pytest.mark.parametrize(
    ("guardrail", "said"),
    [
        ({**ERRORS, "tolerance": 0}, "tolerance of 0"),
        ({**SCORE, "tolerance": 1.5}, "no fall is too large"),
        ({"metric": "error", "fails_on": "increase", "limit": 0.01}, "control itself"),
    ],
)
def test_what_no_traffic_can_decide_says_why(
    guardrail: dict[str, object], said: str
) -> None:
    (remedy,) = power(plan_of(guardrail), DAILY).remedies
    assert said in remedy.fault
    assert remedy.pairs is None


def test_a_guardrail_that_warns_holds_nothing() -> None:
    plan = plan_of(SCORE, {**ERRORS, "tolerance": 0, "on_fail": "warn"})
    found = power(plan, DAILY)
    assert isfinite(found.lasts_days)
    assert found.remedies == ()


def test_harm_that_no_stage_would_catch_is_named() -> None:
    plan = plan_of({**ERRORS, "smallest_harm": 0.02}, stages=RAMP[:3])
    (blind,) = power(plan, DAILY).blind
    assert blind.harm == pytest.approx(0.22)
    assert blind.least_harm > blind.harm


@settings(max_examples=30)
@given(
    calls=st.floats(1e-3, 1e12),
    mean=st.floats(-1e6, 1e6),
    deviation=st.floats(0, 1e6),
    tolerance=st.floats(0, 10),
    fails_on=st.sampled_from(["increase", "decrease", "change"]),
)
def test_any_traffic_is_reckoned_with(
    calls: float, mean: float, deviation: float, tolerance: float, fails_on: str
) -> None:
    plan = plan_of(
        {"metric": "score", "fails_on": fails_on, "tolerance": tolerance},
        {
            "metric": "seen",
            "fails_on": fails_on,
            "tolerance": tolerance,
            "kind": "event",
        },
        stages=[{"shadow": 0.1}, {"weight": 5}, {"weight": 100}],
    )
    known = {
        "score": Baseline(mean=mean, deviation=deviation),
        "seen": Baseline(mean=min(1.0, abs(mean))),
    }
    found = power(plan, Traffic(calls_per_day=calls, baselines=known))
    for row in found.stages:
        assert row.lasts_days >= 0
        assert all(test.passes_days >= 0 for test in row.tests)
        assert all(test.least_harm >= 0 for test in row.tests)


def test_a_tail_is_measured_once_control_has_frozen_its_percentiles() -> None:
    plan = plan_of({"metric": "latency_s", "fails_on": "increase", "tolerance": 5})
    slow = power(plan, Traffic(calls_per_day=100)).stages[0].tests[1]
    assert slow.passes_days > 1_000 / 95
    assert slow.catches_days > 1_000 / 95


@pytest.mark.parametrize(
    ("metric", "described"),
    [
        ("precision", {"numerator": "caught", "denominator": "flagged"}),
        ("loss", {"sum": {"fraud": 1.0, "reviews": 4.5}}),
    ],
)
def test_shadow_traffic_never_decides_what_is_made_of_others(
    metric: str, described: dict[str, object]
) -> None:
    guardrail = {"metric": metric, "fails_on": "decrease", "tolerance": 0.1}
    plan = plan_of(
        guardrail, metrics={metric: described}, stages=[{"shadow": 1.0}, {"weight": 50}]
    )
    known = {metric: Baseline(mean=0.8, deviation=0.4), "flagged": Baseline(mean=0.5)}
    found = power(plan, replace(DAILY, baselines=known))
    assert only(found).passes_days == inf
    assert only(found, 1).passes_days < 1
    (remedy,) = found.remedies
    assert (remedy.place, remedy.pairs) == (0, None)
    assert remedy.half_days < 1


def test_outcomes_that_come_late_are_given_time_to_be_caught() -> None:
    late = {"score": {"matures_after": "30d"}}
    at_once = only(power(plan_of(SCORE), DAILY)).least_harm
    later = only(power(plan_of(SCORE, metrics=late), DAILY)).least_harm
    assert later == pytest.approx(at_once, rel=0.01)


def test_a_shadow_stage_asks_for_calls_and_not_for_subjects() -> None:
    stage = {"shadow": 0.1, "min_exposures": 20_000}
    plan = plan_of(SCORE, stages=[stage, {"weight": 50}])
    found = power(plan, replace(DAILY, calls_per_subject_per_day=10))
    assert found.stages[0].lasts_days == pytest.approx(20)
