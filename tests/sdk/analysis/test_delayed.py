import pytest
from tests.sdk.analysis._booked import Traffic, plan_of

from flipback.analysis import Analysis, analyze
from flipback.verdict import Finding, Verdict


HOUR, DAY = 3600.0, 86_400.0
KEPT = {"metric": "kept", "fails_on": "decrease"}
DELAYED = {"kept": {"matures_after": "7d"}}
MATURE = 8 * DAY + 10 * HOUR


def only(analysis: Analysis) -> Finding:
    (finding,) = analysis.findings
    return finding


def labelled(metrics: dict[str, object], **guardrail: object) -> Traffic:
    """Label half of the candidate's calls, and only those that went well."""
    traffic = Traffic(plan_of({**KEPT, **guardrail}, metrics={"kept": metrics}))
    traffic.calls("control", 400, lambda: {"kept": traffic.hits(0.8)}, later=DAY)
    traffic.calls("candidate", 100, lambda: {"kept": 1.0}, later=DAY)
    traffic.calls("candidate", 100, dict)
    return traffic


def test_an_exposure_enters_for_neither_arm_before_it_is_mature() -> None:
    plan = plan_of(KEPT, metrics=DELAYED)
    traffic = Traffic(plan)
    traffic.calls("control", 500, lambda: {"kept": 1.0}, later=DAY)
    traffic.calls("candidate", 500, lambda: {"kept": 0.0}, later=HOUR)
    early = analyze(plan, traffic.evidence, now=2 * DAY)
    assert early.verdict is Verdict.INCONCLUSIVE
    assert (only(early).control_n, only(early).candidate_n) == (0, 0)
    assert analyze(plan, traffic.evidence, now=MATURE).verdict is Verdict.FAIL


def test_a_proxy_speaks_before_the_label_does() -> None:
    proxy = {"metric": "liked", "fails_on": "decrease"}
    plan = plan_of(proxy, KEPT, metrics=DELAYED)
    traffic = Traffic(plan)
    traffic.calls("control", 500, lambda: {"liked": 1.0})
    traffic.calls("candidate", 500, lambda: {"liked": 0.0})
    first, second = analyze(plan, traffic.evidence, now=HOUR).findings
    assert (first.verdict, second.log_e) == (Verdict.FAIL, 0)
    assert second.note == "no observations of the candidate"


def test_a_label_belongs_to_the_epoch_of_its_decision() -> None:
    plan = plan_of(KEPT, metrics=DELAYED)
    traffic = Traffic(plan)
    for epoch, share, rate in (("e1", 0.1, 0.9), ("e2", 0.5, 0.3)):
        for variant, count in (("control", 1 - share), ("candidate", share)):
            traffic.calls(
                variant,
                round(2_000 * count),
                lambda rate=rate: {"kept": traffic.hits(rate)},
                later=6 * DAY,
                epoch=epoch,
                at=0.0 if epoch == "e1" else DAY,
            )
    finding = only(analyze(plan, traffic.evidence, now=20 * DAY))
    assert finding.epochs == ("e1", "e2")
    assert finding.strata == 2
    assert finding.verdict is Verdict.INCONCLUSIVE


def test_missing_labels_are_left_out_unless_the_plan_says_otherwise() -> None:
    traffic = labelled({"matures_after": "7d"})
    finding = only(analyze(traffic.plan, traffic.evidence, now=MATURE))
    assert (finding.candidate_n, finding.candidate_value) == (100, 1.0)


@pytest.mark.parametrize(
    ("missing", "value"), [("bad", 0.5), (0.0, 0.5), (0.5, 0.75), (1.0, 1.0)]
)
def test_missing_labels_count_as_the_plan_says(missing: object, value: float) -> None:
    traffic = labelled({"matures_after": "7d", "missing": missing})
    analysis = analyze(traffic.plan, traffic.evidence, now=MATURE)
    assert only(analysis).candidate_n == 200
    assert only(analysis).candidate_value == pytest.approx(value)
    assert (analysis.verdict is Verdict.FAIL) == (value == 0.5)


def test_the_bad_value_is_1_where_an_increase_is_harm() -> None:
    traffic = labelled({"matures_after": "7d", "missing": "bad"}, fails_on="increase")
    finding = only(analyze(traffic.plan, traffic.evidence, now=MATURE))
    assert finding.candidate_value == 1.0


def test_a_subject_without_an_outcome_has_the_event_if_that_is_bad() -> None:
    metrics = {"lost": {"kind": "event", "matures_after": "7d", "missing": "bad"}}
    plan = plan_of({"metric": "lost", "fails_on": "increase"}, metrics=metrics)
    traffic = Traffic(plan)
    traffic.calls("control", 500, lambda: {"lost": 0.0}, later=DAY)
    traffic.calls("candidate", 80, lambda: {"lost": 0.0}, later=DAY)
    traffic.calls("candidate", 20, dict)
    finding = only(analyze(plan, traffic.evidence, now=MATURE))
    assert finding.candidate_value == pytest.approx(0.2)
    assert finding.verdict is Verdict.FAIL


def test_one_subject_who_never_reports_is_not_a_hundred() -> None:
    metrics = {"lost": {"kind": "event", "matures_after": "7d", "missing": "bad"}}
    plan = plan_of({"metric": "lost", "fails_on": "increase"}, metrics=metrics)
    traffic = Traffic(plan)
    for arm in ("control", "candidate"):
        traffic.calls(arm, 300, lambda: {"lost": traffic.hits(0.02)}, later=DAY)
    busy = traffic.seen("candidate")
    for _ in range(100):
        traffic.tally.expose(busy)
    finding = only(analyze(plan, traffic.evidence, now=MATURE))
    assert finding.log_e < 1


def test_a_limit_waits_for_the_label_too() -> None:
    plan = plan_of({**KEPT, "limit": 0.9}, metrics=DELAYED)
    traffic = Traffic(plan)
    traffic.calls("candidate", 200, lambda: {"kept": traffic.hits(0.5)}, later=DAY)
    assert analyze(plan, traffic.evidence, now=DAY).findings[0].candidate_n == 0
    assert analyze(plan, traffic.evidence, now=MATURE).verdict is Verdict.FAIL


def test_a_label_that_comes_too_late_changes_nothing() -> None:
    plan = plan_of(KEPT, metrics=DELAYED)
    traffic = Traffic(plan)
    traffic.calls("control", 200, lambda: {"kept": 1.0}, later=DAY)
    traffic.calls("candidate", 200, lambda: {"kept": 0.0}, later=9 * DAY)
    analysis = analyze(plan, traffic.evidence, now=20 * DAY)
    assert only(analysis).candidate_n == 0
    assert traffic.evidence.excluded == {"outcome_late": 200}
