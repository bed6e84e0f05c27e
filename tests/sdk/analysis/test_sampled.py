from dataclasses import replace
from math import log

import pytest
from tests.sdk.analysis._booked import Book, plan_of

from flipback.analysis import Analysis, analyze, gate
from flipback.exposure import EXPOSURE, Evidence
from flipback.verdict import Verdict


PLAN = plan_of({"metric": "error", "fails_on": "increase", "tolerance": 0.05})
WHERE = ("e1", "")


def booked(harm: float = 1.0) -> Evidence:
    """Return a million subjects of each arm, 2 % of control's with an error."""
    book = Book()
    book.events("control", 20_000, 1_000_000)
    book.events("candidate", round(20_000 * harm), 1_000_000)
    return book.evidence


def thinned(evidence: Evidence, *, share: float | None) -> Evidence:
    """Return it as a store hands it out that kept an eighth of those exposed."""
    return replace(
        evidence,
        subjects={
            key: count // 8 if key.metric == EXPOSURE else count
            for key, count in evidence.subjects.items()
        },
        sampled=1 / 8,
        shares={} if share is None else {WHERE: share},
    )


def log_e(analysis: Analysis) -> float:
    return analysis.findings[0].log_e


@pytest.mark.parametrize("harm", [0.9, 1.0, 1.08, 1.2])
def test_a_known_share_makes_up_for_those_exposed_who_are_not_kept(
    harm: float,
) -> None:
    whole = booked(harm)
    sampled = thinned(whole, share=0.5)
    # The whole knows how many were exposed, and gains the events' smaller variance.
    wanted = pytest.approx(log_e(analyze(PLAN, whole)), rel=0.03, abs=0.2)
    assert log_e(analyze(PLAN, sampled)) == wanted
    verdicts = [gate(PLAN, each, weight=100).verdict for each in (whole, sampled)]
    assert verdicts[0] is verdicts[1]


def test_without_a_known_share_events_count_down_to_the_sample() -> None:
    sampled = thinned(booked(1.2), share=None)
    eighth = Book()
    eighth.events("control", 2_500, 125_000)
    eighth.events("candidate", 3_000, 125_000)
    assert log_e(analyze(PLAN, sampled)) == log_e(analyze(PLAN, eighth.evidence))


def test_a_sample_shows_rates_and_users_of_all() -> None:
    finding = analyze(PLAN, thinned(booked(1.2), share=0.5)).findings[0]
    assert finding.control_value == pytest.approx(0.02)
    assert finding.candidate_value == pytest.approx(0.024)
    assert (finding.control_users, finding.candidate_users) == (1_000_000, 1_000_000)
    assert finding.verdict is Verdict.FAIL
    assert finding.log_e > log(20)


def test_a_share_of_all_or_nothing_compares_nothing() -> None:
    for share in (0.0, 1.0):
        assert analyze(PLAN, thinned(booked(), share=share)).findings[0].strata == 1
