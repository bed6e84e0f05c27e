import pytest
from tests.sdk.analysis._booked import Traffic, plan_of

from flipback.analysis import analyze
from flipback.stats import mcnemar
from flipback.verdict import Finding, Verdict


SCORE = {"metric": "score", "fails_on": "decrease"}
ERRORS = {"metric": "error", "fails_on": "increase"}


def shadow(traffic: Traffic, count: int, *, by: float, alike: float = 0.95) -> None:
    """Pair scores about 10 that correlate, the candidate's lower by so much."""
    own = (1 - alike * alike) ** 0.5
    for _ in range(count):
        shared = traffic.rng.gauss(0, 1)
        control = 10 + alike * shared + own * traffic.rng.gauss(0, 1)
        candidate = 10 + alike * shared + own * traffic.rng.gauss(0, 1) - by
        traffic.tally.pair(traffic.seen("control"), "score", control, candidate)


def only(findings: tuple[Finding, ...]) -> Finding:
    (finding,) = findings
    return finding


def test_pairs_alone_prove_what_they_show_within_a_call() -> None:
    plan = plan_of(SCORE)
    traffic = Traffic(plan)
    shadow(traffic, 150, by=0.3)
    finding = only(analyze(plan, traffic.evidence).findings)
    assert finding.verdict is Verdict.FAIL
    assert (finding.candidate_n, finding.pairs) == (0, 150)
    assert finding.interval is not None
    assert finding.interval.low < -0.3 < finding.interval.high < 0


def test_pairs_add_to_the_evidence_of_a_split() -> None:
    plan = plan_of(SCORE)
    traffic = Traffic(plan)
    traffic.calls("control", 300, lambda: {"score": traffic.rng.gauss(10, 1)})
    traffic.calls("candidate", 100, lambda: {"score": traffic.rng.gauss(9.8, 1)})
    alone = only(analyze(plan, traffic.evidence).findings)
    shadow(traffic, 80, by=0.2)
    both = only(analyze(plan, traffic.evidence).findings)
    assert both.log_e > alone.log_e
    assert (both.strata, both.pairs) == (2, 80)


def test_few_pairs_say_how_many_are_missing() -> None:
    plan = plan_of(SCORE)
    traffic = Traffic(plan)
    shadow(traffic, 24, by=1)
    finding = only(analyze(plan, traffic.evidence).findings)
    assert finding.note == "needs 6 more pairs (24 of 30)"


def errors(traffic: Traffic, *, candidate_only: int, control_only: int) -> None:
    pairs = [(0, 1)] * candidate_only + [(1, 0)] * control_only + [(0, 0)] * 500
    for control, candidate in pairs:
        traffic.tally.pair(traffic.seen("control"), "error", control, candidate)


def test_pairs_that_disagree_prove_that_errors_are_more() -> None:
    plan = plan_of(ERRORS)
    traffic = Traffic(plan)
    errors(traffic, candidate_only=20, control_only=1)
    finding = only(analyze(plan, traffic.evidence).findings)
    assert finding.engine == "McNemar's engine"
    assert finding.verdict is Verdict.FAIL
    k, n = 20 / finding.deff, 1 / finding.deff
    assert finding.log_e == pytest.approx(mcnemar(k, n, 0))
    assert finding.interval is not None
    assert finding.interval.low > 0


def test_log_e_of_errors_is_the_sum_of_split_and_pairs() -> None:
    plan = plan_of(ERRORS)
    traffic = Traffic(plan)
    errors(traffic, candidate_only=9, control_only=1)
    pairs = only(analyze(plan, traffic.evidence).findings).log_e
    apart = Traffic(plan)
    for each in (apart, traffic):
        each.calls("control", 500, lambda: {"error": 0.0})
        each.calls("candidate", 4, lambda: {"error": 1.0})
    split = only(analyze(plan, apart.evidence).findings).log_e
    both = only(analyze(plan, traffic.evidence).findings)
    assert both.log_e == pytest.approx(split + pairs)
    assert both.engine == "rate and McNemar's engines"


def test_the_candidate_breaches_a_limit_in_shadow_already() -> None:
    plan = plan_of({**ERRORS, "limit": 0.02})
    traffic = Traffic(plan)
    errors(traffic, candidate_only=60, control_only=0)
    assert analyze(plan, traffic.evidence).verdict is Verdict.FAIL
