from collections.abc import Iterable, Mapping
from datetime import timedelta
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.analysis._booked import Book, Traffic, plan_of

from flipback.analysis import analyze, gate
from flipback.exposure import Evidence
from flipback.signals import Measure
from flipback.verdict import Gate, GateFinding, Verdict


DAY = 86_400.0
NOTHING = Evidence(cells={}, subjects={}, excluded={})
ERRORS = {"metric": "error", "fails_on": "increase", "tolerance": 0.2}
SCORE = {"metric": "score", "fails_on": "decrease", "tolerance": 0.1}
RAMP = [{"weight": weight} for weight in (1, 5, 25, 50, 100)]


def only(found: Gate) -> GateFinding:
    (finding,) = found.findings
    return finding


def errors(
    control: tuple[int, int], candidate: tuple[int, int], *, cohort: str = ""
) -> Book:
    book = Book()
    book.events("control", *control, cohort=cohort)
    book.events("candidate", *candidate, cohort=cohort)
    return book


def scores(candidate: float, *, count: int = 2_000, seed: int = 1) -> Traffic:
    traffic = Traffic(plan_of(SCORE), seed=seed)
    rng = traffic.rng
    traffic.calls("control", count, lambda: {"score": rng.gauss(10, 4)})
    traffic.calls("candidate", count, lambda: {"score": rng.gauss(candidate, 4)})
    return traffic


def test_without_evidence_nothing_passes_and_every_finding_says_why() -> None:
    plan = plan_of(ERRORS, SCORE, segments=["new"])
    found = gate(plan, NOTHING, weight=5)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert len(found.findings) == 4
    assert all(finding.note for finding in found.findings)
    assert all(finding.needs is None for finding in found.findings)


def test_a_candidate_that_is_alike_passes_once_harm_is_ruled_out() -> None:
    plan = plan_of(ERRORS)
    found = gate(plan, errors((2_000, 100_000), (2_000, 100_000)).evidence, weight=5)
    finding = only(found)
    assert (found.verdict, finding.verdict) == (Verdict.PASS, Verdict.PASS)
    assert (finding.needs, finding.note) == (0, "")
    assert finding.log_e >= finding.log_threshold == pytest.approx(2.9957, abs=1e-4)
    assert found.waits == ()


def test_no_alarm_is_no_proof() -> None:
    evidence = errors((20, 1_000), (20, 1_000)).evidence
    assert analyze(plan_of(ERRORS), evidence).findings[0].log_e < 0
    found = gate(plan_of(ERRORS), evidence, weight=5)
    assert found.verdict is Verdict.INCONCLUSIVE
    finding = only(found)
    assert finding.needs is not None
    assert 10_000 < finding.needs < 40_000


def test_the_exposures_that_it_needs_are_those_at_which_it_passes() -> None:
    plan = plan_of(ERRORS)
    needs = only(gate(plan, errors((20, 1_000), (20, 1_000)).evidence, weight=5)).needs
    assert needs is not None
    for factor, verdict in ((0.97, Verdict.INCONCLUSIVE), (1.03, Verdict.PASS)):
        n = round((1_000 + needs) * factor)
        later = errors((n // 50, n), (n // 50, n)).evidence
        assert gate(plan, later, weight=5).verdict is verdict


@pytest.mark.parametrize("fails_on", ["increase", "decrease", "change"])
def test_means_that_are_alike_pass_whichever_way_is_harm(fails_on: str) -> None:
    traffic = scores(10)
    plan = plan_of({**SCORE, "fails_on": fails_on})
    assert gate(plan, traffic.evidence, weight=5).verdict is Verdict.PASS


def test_a_change_must_be_ruled_out_both_ways() -> None:
    plan = plan_of({**SCORE, "fails_on": "change"})
    for mean in (9.1, 10.9):
        evidence = scores(mean).evidence
        finding = only(gate(plan, evidence, weight=5))
        one_way = "decrease" if mean < 10 else "increase"
        alone = plan_of({**SCORE, "fails_on": one_way})
        assert finding.log_e == only(gate(alone, evidence, weight=5)).log_e
        assert finding.verdict is Verdict.INCONCLUSIVE


def test_a_better_candidate_passes() -> None:
    assert gate(plan_of(SCORE), scores(14).evidence, weight=5).verdict is Verdict.PASS


def test_harm_within_the_tolerance_passes_with_more_evidence() -> None:
    few = gate(plan_of(SCORE), scores(9.5, count=500).evidence, weight=5)
    many = gate(plan_of(SCORE), scores(9.5, count=20_000).evidence, weight=5)
    assert (few.verdict, many.verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)


def test_harm_beyond_the_margin_would_never_pass_and_is_said_to() -> None:
    finding = only(gate(plan_of(SCORE), scores(8.5, count=300).evidence, weight=5))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.needs
    assert "however long one waits" in finding.note


def test_proven_harm_fails_the_gate() -> None:
    found = gate(plan_of(SCORE), scores(5).evidence, weight=5)
    assert (found.verdict, only(found).verdict) == (Verdict.FAIL, Verdict.FAIL)
    assert only(found).needs is None


def test_proven_harm_to_a_guardrail_that_pauses_fails_the_gate_too() -> None:
    plan = plan_of({**SCORE, "on_fail": "pause"})
    assert gate(plan, scores(5).evidence, weight=5).verdict is Verdict.FAIL


def test_a_plan_that_only_warns_proves_nothing() -> None:
    plan = plan_of({**SCORE, "on_fail": "warn"})
    found = gate(plan, scores(10).evidence, weight=5)
    assert (found.verdict, found.findings) == (Verdict.INCONCLUSIVE, ())
    assert "no guardrail" in found.waits[0]


def test_a_tolerance_of_nothing_lets_only_a_better_candidate_pass() -> None:
    plan = plan_of({**SCORE, "tolerance": 0})
    alike = only(gate(plan, scores(10).evidence, weight=5))
    assert (alike.verdict, alike.needs) == (Verdict.INCONCLUSIVE, None)
    assert "better" in alike.note
    assert gate(plan, scores(14).evidence, weight=5).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("weight", "asked", "margin"),
    [
        (0, 1, 1.0),
        (1, 5, 1.0),
        (5, 25, 0.8),
        (7, 25, 0.8),
        (25, 50, 0.4),
        (50, 100, 0.2),
        (100, 100, 0.2),
        (None, 100, 0.2),
    ],
)
def test_the_margin_is_what_the_next_step_could_do_to_everybody(
    weight: float | None, asked: float, margin: float
) -> None:
    found = gate(plan_of(ERRORS, stages=RAMP), NOTHING, weight=weight)
    assert found.next_weight == asked
    assert only(found).margin == pytest.approx(margin)


def test_a_strict_gate_asks_for_the_bare_tolerance_at_every_step() -> None:
    found = gate(plan_of(ERRORS, stages=RAMP, gate="strict"), NOTHING, weight=1)
    assert only(found).margin == 0.2


def test_a_step_may_be_asked_for_that_is_not_the_next() -> None:
    found = gate(plan_of(ERRORS, stages=RAMP), NOTHING, weight=1, next_weight=50)
    assert (found.next_weight, only(found).margin) == (50, 0.4)


def test_a_fall_by_more_than_a_half_is_ruled_out_at_every_step() -> None:
    plan = plan_of(SCORE, {**SCORE, "metric": "fun", "tolerance": 0.7}, stages=RAMP)
    margins = [f.margin for f in gate(plan, NOTHING, weight=1).findings]
    assert margins == [0.5, 0.7]


def test_a_model_that_flags_next_to_nothing_passes_no_gate() -> None:
    rate = {"metric": "flagged", "fails_on": "change", "tolerance": 0.2}
    precision = {"metric": "precision", "fails_on": "decrease", "tolerance": 0.05}
    metrics = {"precision": {"numerator": "caught", "denominator": "flagged"}}
    plan = plan_of(precision, rate, stages=RAMP, metrics=metrics)
    traffic = Traffic(plan)
    calls = iter(range(4_000))

    def control() -> Mapping[str, float]:
        flagged = traffic.hits(0.06)
        return {"flagged": flagged, "caught": flagged * traffic.hits(0.5)}

    def dead() -> Mapping[str, float]:
        first = float(next(calls) == 0)
        return {"flagged": first, "caught": first}

    traffic.calls("control", 4_000, control)
    traffic.calls("candidate", 4_000, dead)
    for weight in (0, 1, 5, 25, 50, 100, None):
        assert gate(plan, traffic.evidence, weight=weight).verdict is not Verdict.PASS


def test_a_latency_must_pass_in_its_body_and_in_its_tail() -> None:
    plan = plan_of({"metric": "latency_s", "fails_on": "increase", "tolerance": 0.3})
    traffic = Traffic(plan)
    rng = traffic.rng

    def usual() -> Mapping[str, float]:
        return {"latency_s": rng.lognormvariate(0, 0.5)}

    def slow_at_times() -> Mapping[str, float]:
        return {
            "latency_s": rng.lognormvariate(0, 0.5) * (4 if rng.random() < 0.06 else 1)
        }

    traffic.calls("control", 1_500, usual)
    early = gate(plan, traffic.evidence, weight=5)
    assert "percentiles" in early.findings[1].note
    traffic.tally.freeze()
    traffic.calls("control", 8_000, usual)
    traffic.calls("candidate", 8_000, slow_at_times)
    body, tail = gate(plan, traffic.evidence, weight=50).findings
    assert (body.measure, tail.measure) == (Measure.LOG, Measure.TAIL)
    assert body.verdict is Verdict.PASS
    assert tail.verdict is not Verdict.PASS


@pytest.mark.parametrize(
    ("guardrail", "rate"),
    [
        ({"metric": "error", "fails_on": "increase", "limit": 0.05}, 0.03),
        ({"metric": "solved", "fails_on": "decrease", "limit": 0.6}, 0.7),
    ],
)
def test_a_limit_is_shown_to_be_kept_by_the_candidate_alone(
    guardrail: dict[str, object], rate: float
) -> None:
    plan = plan_of(guardrail)
    metric = str(guardrail["metric"])
    traffic = Traffic(plan)
    traffic.calls("control", 4_000, lambda: {metric: traffic.hits(rate)})
    traffic.calls("candidate", 60, lambda: {metric: traffic.hits(rate)})
    early = only(gate(plan, traffic.evidence, weight=5))
    assert early.verdict is Verdict.INCONCLUSIVE
    assert early.needs
    assert early.margin is None
    traffic.calls("candidate", 2_000, lambda: {metric: traffic.hits(rate)})
    assert gate(plan, traffic.evidence, weight=5).verdict is Verdict.PASS


def test_a_limit_on_a_mean_is_shown_to_be_kept() -> None:
    plan = plan_of({"metric": "cost", "fails_on": "increase", "limit": 11})
    traffic = Traffic(plan)
    rng = traffic.rng
    traffic.calls("control", 200, lambda: {"cost": rng.gauss(10, 6)})
    traffic.calls("candidate", 40, lambda: {"cost": rng.gauss(10, 6)})
    assert only(gate(plan, traffic.evidence, weight=5)).needs
    traffic.calls("candidate", 900, lambda: {"cost": rng.gauss(10, 6)})
    assert gate(plan, traffic.evidence, weight=5).verdict is Verdict.PASS


def test_a_limit_that_control_breaches_can_never_be_passed_by_being_alike() -> None:
    plan = plan_of({"metric": "error", "fails_on": "increase", "limit": 0.01})
    found = gate(plan, errors((30, 1_000), (30, 1_000)).evidence, weight=5)
    assert only(found).needs is None
    assert "control itself" in only(found).note


def test_a_small_cohort_holds_however_well_everybody_does() -> None:
    plan = plan_of(ERRORS, segments=["big", "small"])
    book = errors((2_000, 100_000), (2_000, 100_000), cohort="segment=big")
    book.events("control", 2, 100, cohort="segment=small")
    book.events("candidate", 2, 100, cohort="segment=small")
    found = gate(plan, book.evidence, weight=5)
    everybody, big, small = (finding.verdict for finding in found.findings)
    assert (everybody, big, small) == (*2 * (Verdict.PASS,), Verdict.INCONCLUSIVE)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.asks == ()


def test_a_person_is_asked_about_cohorts_alone_and_only_if_everybody_passes() -> None:
    plan = plan_of(ERRORS, segments=["big", "small"], undecided="ask")
    book = errors((2_000, 100_000), (2_000, 100_000), cohort="segment=big")
    assert gate(plan, book.evidence, weight=5).asks == ("segment=small",)
    few = errors((20, 1_000), (20, 1_000), cohort="segment=big")
    assert gate(plan, few.evidence, weight=5).asks == ()


def test_a_cohort_that_nobody_has_met_needs_what_nobody_knows() -> None:
    plan = plan_of(ERRORS, segments=["new"])
    found = gate(plan, errors((20, 1_000), (20, 1_000)).evidence, weight=5)
    new = found.findings[1]
    assert (new.cohort, new.needs) == ("segment=new", None)
    assert "not known yet" in new.note


def test_what_was_proven_and_no_longer_is_does_not_pass() -> None:
    book = errors((2_000, 100_000), (2_000, 100_000))
    assert gate(plan_of(ERRORS), book.evidence, weight=5).verdict is Verdict.PASS
    book.events("candidate", 450, 10_000, epoch="e2")
    book.events("control", 200, 10_000, epoch="e2")
    assert gate(plan_of(ERRORS), book.evidence, weight=5).verdict is not Verdict.PASS


def test_exposures_whose_outcomes_have_yet_to_mature_are_not_asked_for_again() -> None:
    plan = plan_of(SCORE, metrics={"score": {"matures_after": "2d"}})
    traffic = Traffic(plan)
    rng = traffic.rng
    for at, count in ((0.0, 100), (5 * DAY, 5_000)):
        for variant in ("control", "candidate"):
            traffic.calls(
                variant,
                count,
                lambda: {"score": rng.gauss(10, 8)},
                later=DAY,
                at=at,
            )
    early = only(gate(plan, traffic.evidence, weight=5, now=6 * DAY))
    assert (early.verdict, early.needs) == (Verdict.INCONCLUSIVE, 0)
    assert "matured" in early.note
    late = gate(plan, traffic.evidence, weight=5, now=9 * DAY)
    assert late.verdict is Verdict.PASS


def test_shadow_pairs_pass_the_gate_before_anybody_is_served() -> None:
    stages = [{"shadow": 0.1}, {"weight": 5}]
    plan = plan_of(SCORE, ERRORS, stages=stages)
    traffic = Traffic(plan)
    for _ in range(1_500):
        shared = traffic.rng.gauss(10, 4)
        seen = traffic.seen("control")
        traffic.tally.pair(seen, "score", shared, shared + traffic.rng.gauss(0, 1))
        error = traffic.hits(0.05)
        traffic.tally.pair(seen, "error", error, error)
    found = gate(plan, traffic.evidence, weight=0)
    assert [f.verdict for f in found.findings] == 2 * [Verdict.PASS]
    assert found.next_weight == 5


@pytest.mark.parametrize("value", [inf, nan, 1e300, -1e300, 0.0])
def test_no_evidence_is_too_strange(value: float) -> None:
    plan = plan_of(SCORE, {**SCORE, "limit": 3, "tolerance": None})
    book = Book()
    for variant in ("control", "candidate"):
        book.values(variant, "score", 200 * [value])
    found = gate(plan, book.evidence, weight=5)
    assert found.verdict is not Verdict.PASS or value == 0


counts = st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)).map(sorted)


@given(control=counts, candidate=counts, weight=st.floats(0, 100))
def test_any_counts_are_judged(
    control: Iterable[int], candidate: Iterable[int], weight: float
) -> None:
    plan = plan_of(
        ERRORS,
        {**ERRORS, "fails_on": "change", "metric": "seen", "kind": "event"},
        {**ERRORS, "limit": 0.3, "tolerance": None},
        stages=RAMP,
    )
    book = Book()
    for metric in ("error", "seen"):
        book.events("control", *control, metric=metric)
        book.events("candidate", *candidate, metric=metric)
    found = gate(plan, book.evidence, weight=weight, elapsed=timedelta(days=1))
    assert all(finding.log_e == finding.log_e for finding in found.findings)
    assert all(f.needs is None or f.needs >= 0 for f in found.findings)
