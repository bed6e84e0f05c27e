from math import exp, inf, log

import pytest
from tests.sdk.analysis._booked import Book, plan_of, seeded

from flipback.analysis import PeakKey, analyze
from flipback.exposure import Evidence
from flipback.stats import RateStratum, rate_engine
from flipback.verdict import Finding, Verdict, combine


ERRORS = {"metric": "error", "fails_on": "increase"}
SCORE = {"metric": "score", "fails_on": "decrease"}
NOTHING = Evidence(cells={}, subjects={}, excluded={})


def gaussian(count: int, *, mean: float, seed: int) -> list[float]:
    rng = seeded(seed)
    return [rng.gauss(mean, 1) for _ in range(count)]


def only(findings: tuple[Finding, ...]) -> Finding:
    (finding,) = findings
    return finding


def test_no_evidence_is_inconclusive_and_says_what_is_missing() -> None:
    analysis = analyze(plan_of(ERRORS, SCORE, segments=["new"]), NOTHING)
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert analysis.log_g == 0
    assert len(analysis.findings) == 4
    assert all(finding.note for finding in analysis.findings)
    assert all(f.verdict is Verdict.INCONCLUSIVE for f in analysis.findings)
    assert all(f.interval is None for f in analysis.findings)


def test_findings_come_in_the_order_of_the_plan() -> None:
    analysis = analyze(plan_of(SCORE, ERRORS, segments=["b", "a"]), NOTHING)
    assert [(finding.metric, finding.cohort) for finding in analysis.findings] == [
        (metric, cohort)
        for metric in ("score", "error")
        for cohort in ("", "segment=b", "segment=a")
    ]


def test_half_of_alpha_goes_to_the_aggregate_and_importance_scales_the_rest() -> None:
    heavy = {**SCORE, "importance": 3.0}
    analysis = analyze(plan_of(ERRORS, heavy, segments=["a", "b"]), NOTHING)
    weights = [finding.weight for finding in analysis.findings]
    assert weights == pytest.approx([1 / 8, 1 / 16, 1 / 16, 3 / 8, 3 / 16, 3 / 16])


def test_without_cohorts_all_of_alpha_goes_to_the_aggregate() -> None:
    analysis = analyze(plan_of(ERRORS, SCORE), NOTHING)
    assert [finding.weight for finding in analysis.findings] == [0.5, 0.5]


def test_errors_on_a_baseline_of_zero_fail() -> None:
    book = Book()
    book.events("control", 0, 1000)
    book.events("candidate", 20, 1000)
    analysis = analyze(plan_of(ERRORS), book.evidence)
    assert analysis.verdict is Verdict.FAIL
    finding = only(analysis.broken)
    assert finding.engine == "rate engine"
    assert finding.interval is not None
    assert finding.interval.low > 0


def test_a_worse_mean_fails_in_the_direction_of_harm_only() -> None:
    book = Book()
    book.values("control", "score", gaussian(2000, mean=10, seed=1))
    book.values("candidate", "score", gaussian(500, mean=9, seed=2))
    assert analyze(plan_of(SCORE), book.evidence).verdict is Verdict.FAIL
    better = {**SCORE, "fails_on": "increase"}
    assert analyze(plan_of(better), book.evidence).verdict is Verdict.INCONCLUSIVE


def test_a_rarer_good_event_fails_where_a_decrease_is_harm() -> None:
    bought = {"metric": "bought", "fails_on": "decrease", "kind": "event"}
    book = Book()
    book.events("control", 800, 10_000, metric="bought")
    book.events("candidate", 100, 2_500, metric="bought")
    finding = only(analyze(plan_of(bought), book.evidence).broken)
    assert finding.interval is not None
    assert finding.interval.high < 0


def test_the_interval_surrounds_the_difference_of_the_two_values() -> None:
    book = Book()
    book.values("control", "score", gaussian(2000, mean=10, seed=1))
    book.values("candidate", "score", gaussian(500, mean=10, seed=2))
    finding = only(analyze(plan_of(SCORE), book.evidence).findings)
    assert finding.interval is not None
    assert finding.control_value is not None
    assert finding.candidate_value is not None
    middle = (finding.interval.low + finding.interval.high) / 2
    assert middle == pytest.approx(finding.candidate_value - finding.control_value)
    assert finding.interval.low < 0 < finding.interval.high


def test_harm_within_the_tolerance_does_not_roll_back() -> None:
    book = Book()
    book.values("control", "score", gaussian(20_000, mean=10, seed=1))
    book.values("candidate", "score", gaussian(10_000, mean=9.7, seed=2))
    assert analyze(plan_of(SCORE), book.evidence).verdict is Verdict.FAIL
    tolerant = plan_of({**SCORE, "tolerance": 0.05})
    finding = only(analyze(tolerant, book.evidence).findings)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.interval is not None
    assert finding.interval.high < 0


def test_one_failing_cohort_fails_the_plan_and_is_named() -> None:
    book = Book()
    for segment in ("a", "b", "c"):
        cohort = f"segment={segment}"
        book.values("control", "score", gaussian(3000, mean=10, seed=1), cohort=cohort)
        mean = 8.5 if segment == "b" else 10.05
        book.values(
            "candidate", "score", gaussian(300, mean=mean, seed=2), cohort=cohort
        )
    plan = plan_of({**SCORE, "smallest_harm": 0.1}, segments=["a", "b", "c"])
    analysis = analyze(plan, book.evidence)
    assert analysis.verdict is Verdict.FAIL
    assert "segment=b" in {finding.cohort for finding in analysis.broken}
    assert analysis.suspect is not None
    failed = {f.cohort for f in analysis.broken}
    assert not failed & {"segment=a", "segment=c"}


def test_a_cohort_is_taken_to_be_no_less_clustered_than_everybody() -> None:
    rng, book = seeded(1), Book()
    levels = [rng.gauss(10, 1) for _ in range(64)]
    for variant, count in (("control", 40), ("candidate", 10)):
        for bucket, level in enumerate(levels):
            for _ in range(count):
                value = level + rng.gauss(0, 1)
                book.value(variant, "score", value, bucket=bucket)
    for variant, count in (("control", 640), ("candidate", 320)):
        where = {"cohort": "segment=new"}
        book.values(variant, "score", gaussian(count, mean=10, seed=count), **where)
    alone = Book()
    alone.cells = {key: book.cells[key] for key in book.cells if key.cohort}
    plan = plan_of(SCORE, segments=["new"])
    everybody, cohort = analyze(plan, book.evidence).findings
    _, by_itself = analyze(plan, alone.evidence).findings
    assert by_itself.deff < 2
    assert everybody.deff > 10
    assert cohort.deff == everybody.deff
    assert cohort.interval is not None
    assert by_itself.interval is not None
    assert cohort.interval.low < by_itself.interval.low


def test_a_total_failure_of_a_constant_metric_fails() -> None:
    book = Book()
    book.values("control", "score", [1.0] * 1000)
    book.values("candidate", "score", [0.0] * 30)
    assert analyze(plan_of(SCORE), book.evidence).verdict is Verdict.FAIL


def test_harm_on_a_baseline_that_is_constantly_zero_fails() -> None:
    rude = {"metric": "rude", "fails_on": "increase"}
    book = Book()
    book.values("control", "rude", [0.0] * 2000)
    book.values("candidate", "rude", [0.0, 1.0] * 100)
    assert analyze(plan_of(rude), book.evidence).verdict is Verdict.FAIL


def test_equal_constants_say_nothing() -> None:
    book = Book()
    book.values("control", "score", [1.0] * 1000)
    book.values("candidate", "score", [1.0] * 100)
    finding = only(analyze(plan_of(SCORE), book.evidence).findings)
    assert finding.log_e == 0
    assert "same value" in finding.note


@pytest.mark.parametrize(
    ("control", "candidate", "missing"),
    [
        (0, 100, "no observations of control"),
        (100, 0, "no observations of the candidate"),
        (19, 100, "no stratum has 20"),
        (100, 4, "no stratum has 20"),
        (100, 29, "needs 1 more observations of the candidate (29 of 30)"),
    ],
)
def test_too_few_observations_are_named(
    control: int, candidate: int, missing: str
) -> None:
    book = Book()
    book.values("control", "score", gaussian(control, mean=1, seed=1))
    book.values("candidate", "score", gaussian(candidate, mean=-9, seed=2))
    finding = only(analyze(plan_of(SCORE), book.evidence).findings)
    assert finding.note.startswith(missing)
    assert finding.log_e == 0
    assert (finding.control_n, finding.candidate_n) == (control, candidate)


def test_a_thousand_requests_of_three_subjects_decide_nothing() -> None:
    book = Book()
    book.values("control", "score", gaussian(3000, mean=10, seed=1))
    for place, value in enumerate(gaussian(1000, mean=5, seed=2)):
        book.value("candidate", "score", value, bucket=place % 3)
    finding = only(analyze(plan_of(SCORE), book.evidence).findings)
    assert finding.log_e == 0
    assert "more subjects" in finding.note


@pytest.mark.parametrize(
    ("control", "candidate", "missing"),
    [
        (0, 9, "no subject was exposed to control"),
        (9, 0, "no subject was exposed to the candidate"),
    ],
)
def test_a_missing_arm_of_an_event_is_named(
    control: int, candidate: int, missing: str
) -> None:
    book = Book()
    book.events("control", 0, control)
    book.events("candidate", candidate, candidate)
    assert only(analyze(plan_of(ERRORS), book.evidence).findings).note == missing


def test_events_of_subjects_whose_exposure_is_not_flushed_yet_are_counted() -> None:
    book = Book()
    book.events("control", 5, 1000)
    book.events("candidate", 8, 2)
    finding = only(analyze(plan_of(ERRORS), book.evidence).findings)
    assert finding.candidate_n == 8
    assert finding.candidate_value == 1


def test_other_variants_are_ignored() -> None:
    book = Book()
    book.values("control", "score", gaussian(100, mean=10, seed=1))
    book.values("third", "score", gaussian(100, mean=0, seed=2))
    finding = only(analyze(plan_of(SCORE), book.evidence).findings)
    assert finding.candidate_n == 0


def test_a_ramp_with_a_drifting_base_rate_does_not_fire() -> None:
    book = Book()
    for epoch, (share, rate, mean) in enumerate(
        [(0.01, 0.01, 10), (0.05, 0.03, 9), (0.25, 0.1, 7), (0.5, 0.2, 5)]
    ):
        count = round(10_000 * share)
        where = {"epoch": f"e{epoch}"}
        book.events("control", round((10_000 - count) * rate), 10_000 - count, **where)
        book.events("candidate", round(count * rate), count, **where)
        drifted = gaussian(10_000, mean=mean, seed=epoch)
        book.values("candidate", "score", drifted[:count], **where)
        book.values("control", "score", drifted[count:], **where)
    analysis = analyze(plan_of(ERRORS, SCORE), book.evidence)
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert analysis.log_g < log(5)


@pytest.mark.parametrize(
    ("rules", "fires"), [(("fraud", "all"), False), (("", ""), True)]
)
def test_a_segment_rule_beside_a_small_split_fires_only_when_pooled(
    rules: tuple[str, str],
    fires: bool,  # noqa: FBT001 - a column of a table
) -> None:
    book = Book()
    segment, rest = rules
    book.events("control", 500, 5_000, rule=segment)
    book.events("candidate", 500, 5_000, rule=segment)
    book.events("control", 990, 99_000, rule=rest)
    book.events("candidate", 10, 1_000, rule=rest)
    verdict = analyze(plan_of(ERRORS), book.evidence).verdict
    assert (verdict is Verdict.FAIL) == fires


def test_a_guardrail_that_pauses_has_its_own_alpha_and_fails_nothing() -> None:
    book = Book()
    book.events("control", 0, 1000)
    book.events("candidate", 20, 1000)
    book.values("control", "score", gaussian(1000, mean=10, seed=1))
    book.values("candidate", "score", gaussian(1000, mean=10, seed=2))
    pausing = {**ERRORS, "on_fail": "pause"}
    analysis = analyze(plan_of(pausing, SCORE), book.evidence)
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert [finding.metric for finding in analysis.paused] == ["error"]
    assert [finding.weight for finding in analysis.findings] == [1, 1]
    assert not analysis.broken


def test_a_warning_is_reported_and_never_acts() -> None:
    book = Book()
    book.events("control", 0, 1000)
    book.events("candidate", 20, 1000)
    analysis = analyze(plan_of({**ERRORS, "on_fail": "warn"}), book.evidence)
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert not analysis.paused
    assert [finding.metric for finding in analysis.warned] == ["error"]
    assert analysis.suspect is None
    assert analysis.log_g == 0


def test_weak_evidence_of_many_cohorts_adds_up_and_names_a_suspect() -> None:
    segments = [f"s{number}" for number in range(8)]
    book = Book()
    for segment in segments:
        book.events("control", 20, 1000, cohort=f"segment={segment}")
        book.events("candidate", 9, 150, cohort=f"segment={segment}")
    plan = plan_of({**ERRORS}, segments=segments, alpha=0.05)
    analysis = analyze(plan, book.evidence)
    weighed = [f.weight * exp(f.log_e) for f in analysis.findings]
    assert analysis.log_g == pytest.approx(log(sum(weighed)))
    assert analysis.suspect is analysis.findings[weighed.index(max(weighed))]


def test_a_crossing_that_nobody_acted_upon_is_remembered() -> None:
    plan = plan_of(ERRORS)
    book = Book()
    book.events("control", 0, 1000)
    book.events("candidate", 20, 1000)
    crossed = analyze(plan, book.evidence)
    book.events("candidate", 0, 10_000)
    book.events("control", 100, 1000)
    later = analyze(plan, book.evidence, peaks=crossed.peaks)
    assert later.log_g < later.log_threshold
    assert later.verdict is Verdict.FAIL
    assert analyze(plan, book.evidence).verdict is Verdict.INCONCLUSIVE


def test_peaks_only_rise_and_are_no_part_of_g() -> None:
    plan = plan_of(ERRORS, SCORE)
    below = {PeakKey(0, ""): 3.0, PeakKey(1, ""): 3.5}
    analysis = analyze(plan, NOTHING, peaks=below)
    assert analysis.peaks == below
    assert analysis.log_g == 0
    assert analysis.verdict is Verdict.INCONCLUSIVE


def test_the_plan_is_no_more_than_its_findings() -> None:
    book = Book()
    book.events("control", 10, 1000)
    book.events("candidate", 11, 1000)
    analysis = analyze(plan_of(ERRORS), book.evidence)
    assert analysis.verdict is combine(f.verdict for f in analysis.findings)


def test_event_evidence_is_that_of_the_engine() -> None:
    book = Book()
    book.events("control", 30, 1000, epoch="e1")
    book.events("candidate", 9, 100, epoch="e1")
    book.events("control", 10, 500, epoch="e2")
    book.events("candidate", 9, 0, epoch="e3")
    finding = only(analyze(plan_of(ERRORS), book.evidence).findings)
    assert finding.log_e == rate_engine([RateStratum(9, 30, 100, 1000)])
    assert finding.strata == 1


def test_an_event_that_can_only_vanish_is_no_harm_beyond_the_whole() -> None:
    bought = {
        "metric": "bought",
        "fails_on": "decrease",
        "kind": "event",
        "tolerance": 1.0,
    }
    book = Book()
    book.events("control", 500, 1000, metric="bought")
    book.events("candidate", 0, 1000, metric="bought")
    finding = only(analyze(plan_of(bought), book.evidence).findings)
    assert finding.log_e == 0
    assert finding.peak_log_e > -inf


def test_a_look_that_nobody_sees_decides_the_same() -> None:
    book = Book()
    book.events("control", 20, 1000)
    book.events("candidate", 60, 1000)
    plan = plan_of({"metric": "error", "fails_on": "increase"})
    seen, unseen = (analyze(plan, book.evidence, shown=each) for each in (True, False))
    assert seen.verdict is unseen.verdict is Verdict.FAIL
    assert (seen.log_g, seen.peaks) == (unseen.log_g, unseen.peaks)
    assert seen.findings[0].interval is not None
    assert unseen.findings[0].interval is None
