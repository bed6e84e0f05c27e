from math import exp, log

import pytest
from tests.sdk.analysis._booked import Traffic, plan_of

from flipback.analysis import Analysis, analyze
from flipback.plan import RolloutPlan
from flipback.signals import Measure
from flipback.verdict import Finding, Verdict


LATENCY = {"metric": "latency_s", "fails_on": "increase"}
COST = {"metric": "cost", "fails_on": "increase"}
HEAVY = {"cost": {"kind": "heavy tail"}}
PRECISION = {"metric": "precision", "fails_on": "decrease"}
RATIO = {"precision": {"numerator": "true_flag", "denominator": "flag"}}
WORTH = {"metric": "worth", "fails_on": "decrease"}
SUM = {"worth": {"sum": {"gain": 1.0, "cost": -2.0}}}


def latencies(
    plan: RolloutPlan, *, slower: float = 1.0, longest: float = 1.0
) -> Traffic:
    traffic = Traffic(plan)

    def control() -> dict[str, float]:
        return {"latency_s": traffic.rng.lognormvariate(0, 1)}

    def candidate() -> dict[str, float]:
        took = slower * traffic.rng.lognormvariate(0, 1)
        return {"latency_s": took * longest if took > 3.5 else took}

    traffic.calls("control", 1_000, control)
    traffic.tally.freeze()
    traffic.calls("control", 4_000, control)
    traffic.calls("candidate", 2_000, candidate)
    return traffic


def of(analysis: Analysis, measure: Measure) -> Finding:
    (found,) = [each for each in analysis.findings if each.measure is measure]
    return found


def test_a_latency_is_two_tests_that_share_the_weight_of_their_guardrail() -> None:
    plan = plan_of(LATENCY, {"metric": "score", "fails_on": "decrease"})
    findings = analyze(plan, Traffic(plan).evidence).findings
    assert [(each.measure, each.weight) for each in findings] == [
        (Measure.LOG, 0.25),
        (Measure.TAIL, 0.25),
        (Measure.VALUE, 0.5),
    ]


def test_a_latency_that_is_longer_everywhere_fails_by_its_geometric_mean() -> None:
    plan = plan_of(LATENCY)
    finding = of(analyze(plan, latencies(plan, slower=1.3).evidence), Measure.LOG)
    assert finding.verdict is Verdict.FAIL
    assert finding.relative_effect == pytest.approx(0.3, abs=0.12)
    assert finding.interval is not None
    assert finding.interval.low > 0


def test_a_latency_whose_tail_is_longer_fails_by_its_tail() -> None:
    plan = plan_of(LATENCY)
    analysis = analyze(plan, latencies(plan, longest=1.6).evidence)
    assert of(analysis, Measure.TAIL).verdict is Verdict.FAIL
    assert of(analysis, Measure.TAIL).control_value == pytest.approx(0.05, abs=0.02)
    assert of(analysis, Measure.LOG).log_e < of(analysis, Measure.TAIL).log_e


def test_a_tolerated_rise_of_latency_is_relative_on_its_logarithm() -> None:
    plan = plan_of({**LATENCY, "tolerance": 0.5})
    finding = of(analyze(plan, latencies(plan, slower=1.3).evidence), Measure.LOG)
    assert finding.log_e < 0


def test_percentiles_that_are_not_frozen_are_named_with_what_is_missing() -> None:
    plan = plan_of(LATENCY, COST, metrics=HEAVY)
    traffic = Traffic(plan)
    traffic.calls("control", 660, lambda: {"latency_s": 1.0, "cost": 1.0})
    analysis = analyze(plan, traffic.evidence)
    for measure in (Measure.TAIL, Measure.CAPPED):
        finding = of(analysis, measure)
        assert finding.log_e == 0
        assert finding.note == (
            "needs 340 more observations of control before its percentiles are frozen"
        )
    traffic.calls("control", 340, lambda: {"latency_s": 1.0, "cost": 1.0})
    later = of(analyze(plan, traffic.evidence), Measure.TAIL)
    assert later.note.startswith("control's percentiles are frozen;")


def test_one_huge_cost_does_not_fail_a_heavy_tail() -> None:
    plan = plan_of(COST, metrics=HEAVY)
    traffic = Traffic(plan)

    def cost() -> dict[str, float]:
        return {"cost": traffic.rng.lognormvariate(0, 1)}

    traffic.calls("control", 1_000, cost)
    traffic.tally.freeze()
    traffic.calls("control", 2_000, cost)
    traffic.calls("candidate", 1_000, cost)
    traffic.calls("candidate", 3, lambda: {"cost": 1e6})
    finding = of(analyze(plan, traffic.evidence), Measure.CAPPED)
    assert finding.candidate_n == 1_003
    assert finding.verdict is Verdict.INCONCLUSIVE
    traffic.calls("candidate", 1_000, lambda: {"cost": 1.5 * cost()["cost"]})
    assert analyze(plan, traffic.evidence).verdict is Verdict.FAIL


def flags(plan: RolloutPlan, *, precision: float) -> Traffic:
    traffic = Traffic(plan)

    def metrics(right: float) -> dict[str, float]:
        flag = traffic.hits(0.2)
        return {"flag": flag, "true_flag": flag * traffic.hits(right)}

    traffic.calls("control", 10_000, lambda: metrics(0.8))
    traffic.calls("candidate", 5_000, lambda: metrics(precision))
    return traffic


def test_a_ratio_compares_sums_and_counts_its_denominators() -> None:
    plan = plan_of(PRECISION, metrics=RATIO)
    finding = of(analyze(plan, flags(plan, precision=0.6).evidence), Measure.VALUE)
    assert finding.verdict is Verdict.FAIL
    assert finding.candidate_value == pytest.approx(0.6, abs=0.05)
    assert finding.control_value == pytest.approx(0.8, abs=0.05)
    assert finding.candidate_n == pytest.approx(1_000, rel=0.1)
    alike = of(analyze(plan, flags(plan, precision=0.8).evidence), Measure.VALUE)
    assert alike.verdict is Verdict.INCONCLUSIVE


def test_a_sum_weighs_what_is_gained_against_what_it_costs() -> None:
    plan = plan_of(WORTH, metrics=SUM)
    traffic = Traffic(plan)

    def metrics(extra: float) -> dict[str, float]:
        gain = traffic.rng.gauss(10, 1)
        return {"gain": gain + extra, "cost": gain / 4 + extra}

    traffic.calls("control", 5_000, lambda: metrics(0.0))
    traffic.calls("candidate", 2_000, lambda: metrics(0.5))
    finding = of(analyze(plan, traffic.evidence), Measure.VALUE)
    assert finding.control_value == pytest.approx(5, abs=0.1)
    assert finding.candidate_value == pytest.approx(4.5, abs=0.1)
    assert finding.verdict is Verdict.FAIL


def test_the_geometric_mean_is_shown_in_the_unit_of_the_metric() -> None:
    plan = plan_of(LATENCY)
    finding = of(analyze(plan, latencies(plan).evidence), Measure.LOG)
    assert finding.control_value is not None
    assert log(finding.control_value) == pytest.approx(0, abs=0.1)
    assert exp(log(finding.control_value)) == pytest.approx(finding.control_value)


def test_a_dead_model_with_perfect_precision_fails_by_its_flag_rate() -> None:
    flag_rate = {"metric": "flag", "fails_on": "change", "tolerance": 0.2}
    plan = plan_of(PRECISION, flag_rate, metrics=RATIO)
    traffic = Traffic(plan)

    def alive() -> dict[str, float]:
        flag = traffic.hits(0.5)
        return {"flag": flag, "true_flag": flag * traffic.hits(0.7)}

    traffic.calls("control", 10_000, alive)
    traffic.calls("candidate", 1, lambda: {"flag": 1.0, "true_flag": 1.0})
    traffic.calls("candidate", 221, lambda: {"flag": 0.0, "true_flag": 0.0})
    analysis = analyze(plan, traffic.evidence)
    precision, rate = analysis.findings
    assert precision.candidate_value == 1.0
    assert rate.candidate_value == pytest.approx(0.009 * 0.5, rel=0.1)
    assert [finding.metric for finding in analysis.broken] == ["flag"]
    assert analysis.verdict is Verdict.FAIL


@pytest.mark.parametrize(("rate", "fails"), [(0.3, True), (0.5, False), (0.7, True)])
def test_a_change_in_either_direction_fails(
    rate: float,
    fails: bool,  # noqa: FBT001 - a column of a table
) -> None:
    plan = plan_of({"metric": "flag", "fails_on": "change", "tolerance": 0.05})
    traffic = Traffic(plan)
    traffic.calls("control", 4_000, lambda: {"flag": traffic.hits(0.5)})
    traffic.calls("candidate", 1_000, lambda: {"flag": traffic.hits(rate)})
    assert (analyze(plan, traffic.evidence).verdict is Verdict.FAIL) == fails


def test_a_change_of_a_rare_event_fails_in_either_direction() -> None:
    plan = plan_of(
        {"metric": "flag", "fails_on": "change"}, metrics={"flag": {"kind": "event"}}
    )
    for rate in (0.01, 0.12):
        traffic = Traffic(plan)
        traffic.calls("control", 4_000, lambda: {"flag": traffic.hits(0.05)})  # noqa: B023 - called at once
        traffic.calls("candidate", 2_000, lambda: {"flag": traffic.hits(rate)})  # noqa: B023 - called at once
        assert analyze(plan, traffic.evidence).verdict is Verdict.FAIL


def test_a_latency_cannot_be_shorter_by_more_than_all_of_it() -> None:
    plan = plan_of({**LATENCY, "fails_on": "decrease", "tolerance": 1.0})
    finding = of(analyze(plan, latencies(plan, slower=0.01).evidence), Measure.LOG)
    assert finding.log_e == 0


@pytest.mark.parametrize(
    ("metric", "metrics"),
    [("balance", {"balance": {"kind": "mean"}}), ("worth", SUM)],
)
def test_harm_is_found_where_the_mean_of_control_is_nothing(
    metric: str, metrics: dict[str, object]
) -> None:
    plan = plan_of({"metric": metric, "fails_on": "decrease"}, metrics=metrics)
    traffic = Traffic(plan)
    rng = traffic.rng

    def called(loss: float) -> dict[str, float]:
        return {
            "balance": rng.gauss(-loss, 1),
            "gain": rng.gauss(4 - loss, 1),
            "cost": rng.gauss(2, 0.1),
        }

    traffic.calls("control", 2_000, lambda: called(0))
    traffic.calls("candidate", 1_000, lambda: called(0.3))
    finding = of(analyze(traffic.plan, traffic.evidence), Measure.VALUE)
    assert finding.verdict is Verdict.FAIL
    assert finding.interval is not None
    assert finding.interval.high - finding.interval.low < 0.5


def test_a_value_too_rare_to_be_cut_off_says_so() -> None:
    traffic = Traffic(plan_of(COST, metrics=HEAVY))
    rng = traffic.rng
    traffic.calls("control", 2_000, lambda: {"cost": 0.0})
    traffic.tally.freeze()
    for arm in ("control", "candidate"):
        traffic.calls(arm, 500, lambda: {"cost": 9.0 * (rng.random() < 0.001)})
    finding = of(analyze(traffic.plan, traffic.evidence), Measure.CAPPED)
    assert "once cut off" in finding.note


def test_a_subject_with_an_event_each_hour_is_one_subject() -> None:
    plan = plan_of({"metric": "error", "fails_on": "increase"})
    weighed: list[float] = []
    for hours in (1, 20):
        traffic = Traffic(plan)
        for subject in range(200):
            seen = traffic.seen("candidate" if subject < 100 else "control")
            for hour in range(hours):
                exposed = traffic.tally.expose(seen._replace(epoch=f"h{hour}"))
                traffic.tally.outcome(exposed, "error", float(subject % 100 < 4))
                if subject in (4, 5, 6):
                    traffic.tally.outcome(exposed, "error", 1.0)
        finding = of(analyze(plan, traffic.evidence), Measure.VALUE)
        weighed.append(finding.log_e)
    assert weighed[1] < weighed[0] + 1
