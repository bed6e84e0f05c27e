"""Cohorts that are served control already say nothing to the others."""

from math import log

import pytest
from tests.sdk.analysis._booked import Book, plan_of

from flipback.analysis import PeakKey, analyze, gate
from flipback.verdict import Action, Verdict


ERRORS = {"metric": "error", "fails_on": "increase", "tolerance": 0.2}
OLD, NEW = "segment=old", "segment=new"
PLAN = plan_of({**ERRORS, "scope": "cohort"}, segments=["old", "new"])


def book_of(*, new: int, old: int, exposed: int = 3_000) -> Book:
    """Return evidence with so many errors of the candidate in each cohort."""
    book = Book()
    for cohort, errors in ((NEW, new), (OLD, old)):
        book.events("control", 30, exposed, cohort=cohort)
        book.events("candidate", errors, exposed, cohort=cohort)
    return book


HARMED = book_of(new=75, old=0).evidence


def test_a_cohort_that_is_left_out_finds_nothing_and_asks_for_nothing() -> None:
    whole = analyze(PLAN, HARMED)
    assert (whole.action, whole.cohorts) == (Action.ROLL_BACK, (NEW,))
    rest = analyze(PLAN, HARMED, without=(NEW,))
    assert NEW not in {finding.cohort for finding in rest.findings}
    assert (rest.action, rest.broken, rest.cohorts) == (Action.HOLD, (), ())
    assert rest.log_g < log(1 / PLAN.alpha) < whole.log_g


@pytest.mark.parametrize("new", [20, 30, 60, 120])
def test_the_others_keep_their_weights_so_g_is_never_more(new: int) -> None:
    evidence = book_of(new=new, old=30).evidence
    whole, rest = analyze(PLAN, evidence), analyze(PLAN, evidence, without={NEW})
    assert rest.log_g <= whole.log_g
    kept = [finding for finding in whole.findings if finding.cohort != NEW]
    assert list(rest.findings) == kept


def test_another_cohort_is_still_guarded() -> None:
    evidence = book_of(new=120, old=150).evidence
    assert analyze(PLAN, evidence).cohorts == ()
    rest = analyze(plan_of(ERRORS, segments=["old", "new"]), evidence, without=(NEW,))
    assert rest.action is Action.ROLL_BACK
    assert OLD in {finding.cohort for finding in rest.broken}


def test_nobody_can_leave_out_everybody() -> None:
    assert analyze(PLAN, HARMED, without=("",)) == analyze(PLAN, HARMED)
    assert gate(PLAN, HARMED, weight=5, without=("",)) == gate(PLAN, HARMED, weight=5)


def test_a_cohort_that_pauses_asks_for_no_pause_once_it_is_left_out() -> None:
    plan = plan_of({**ERRORS, "on_fail": "pause"}, segments=["old", "new"])
    assert analyze(plan, HARMED).action is Action.PAUSE
    rest = analyze(plan, HARMED, without=(NEW,))
    assert NEW not in {finding.cohort for finding in rest.paused}


def test_its_maximum_is_kept_and_no_other_that_was_not_asked_for() -> None:
    peaks = analyze(PLAN, HARMED).peaks
    rest = analyze(PLAN, HARMED, peaks=peaks, without=(NEW,))
    assert rest.peaks == peaks
    again = analyze(PLAN, Book().evidence, peaks=rest.peaks)
    assert NEW in {finding.cohort for finding in again.broken}
    stray = {PeakKey(7, NEW): 1.0, PeakKey(7, OLD): 1.0}
    assert analyze(PLAN, HARMED, peaks=stray).peaks == peaks


def test_a_stage_is_left_without_it() -> None:
    evidence = book_of(new=120, old=5, exposed=40_000).evidence
    plan = plan_of(
        ERRORS,
        segments=["old", "new"],
        stages=[{"weight": 5, "min_exposures": 50_000}, {"weight": 50}],
    )
    assert gate(plan, evidence, weight=5).verdict is Verdict.FAIL
    rest = gate(plan, evidence, weight=5, without=(NEW,))
    assert {finding.cohort for finding in rest.findings} == {"", OLD}
    assert not any(NEW in wait for wait in rest.waits)


def test_an_analysis_of_all_is_taken_without_it_too() -> None:
    look = analyze(PLAN, HARMED)
    found = gate(PLAN, HARMED, weight=5, analysis=look, without=(NEW,))
    assert NEW not in {finding.cohort for finding in found.findings}
