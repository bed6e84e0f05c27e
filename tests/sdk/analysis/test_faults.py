from tests.sdk.analysis._booked import Traffic, plan_of

from flipback.analysis import analyze
from flipback.verdict import Action


ERRORS = {"metric": "error", "fails_on": "increase"}
SCORE = {"metric": "score", "fails_on": "decrease"}


def traffic_of(candidate: int, *, control_reports: float = 1.0) -> Traffic:
    """Let control report its score, and the candidate never."""
    traffic = Traffic(plan_of(ERRORS, SCORE))

    def control() -> dict[str, float]:
        reports = traffic.rng.random() < control_reports
        return {"error": 0.0, "score": 1.0} if reports else {"error": 0.0}

    traffic.calls("control", 1_000, control)
    traffic.calls("candidate", candidate, lambda: {"error": 0.0})
    return traffic


def test_a_metric_that_the_candidate_never_reports_is_a_fault() -> None:
    traffic = traffic_of(100)
    analysis = analyze(traffic.plan, traffic.evidence)
    (said,) = analysis.faults
    assert said.startswith("score was never reported in 100 exposures of candidate, ")
    assert analysis.action is Action.HOLD


def test_silence_means_nothing_before_100_exposures() -> None:
    traffic = traffic_of(99)
    assert not analyze(traffic.plan, traffic.evidence).faults


def test_what_control_reports_rarely_may_just_not_have_happened_yet() -> None:
    traffic = traffic_of(300, control_reports=0.01)
    assert not analyze(traffic.plan, traffic.evidence).faults


def test_a_metric_that_control_never_reports_is_a_fault_too() -> None:
    plan = plan_of(ERRORS, SCORE, {"metric": "tone", "fails_on": "decrease"})
    other = Traffic(plan)
    other.calls("control", 200, lambda: {"error": 0.0, "score": 1.0})
    other.calls("candidate", 200, lambda: {"error": 0.0, "score": 1.0, "tone": 1.0})
    (said,) = analyze(plan, other.evidence).faults
    assert "200 exposures of control" in said


def test_a_candidate_that_crashes_in_silence_is_rolled_back() -> None:
    traffic = traffic_of(0)
    traffic.calls("candidate", 150, lambda: {"error": 1.0})
    analysis = analyze(traffic.plan, traffic.evidence)
    assert analysis.faults
    assert analysis.action is Action.ROLL_BACK


def test_a_metric_that_nobody_reports_is_no_fault_of_one_arm() -> None:
    plan = plan_of(ERRORS, SCORE)
    traffic = Traffic(plan)
    for variant in ("control", "candidate"):
        traffic.calls(variant, 300, lambda: {"error": 0.0})
    assert not analyze(plan, traffic.evidence).faults


def test_labels_that_are_not_due_yet_are_no_fault() -> None:
    plan = plan_of(SCORE, metrics={"score": {"matures_after": "7d"}})
    traffic = Traffic(plan)
    traffic.calls("control", 300, lambda: {"score": 1.0}, later=60.0)
    traffic.calls("candidate", 300, dict)
    assert not analyze(plan, traffic.evidence, now=86_400.0).faults
    assert analyze(plan, traffic.evidence, now=10 * 86_400.0).faults
