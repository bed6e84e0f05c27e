"""What a person has heard, and gone on with, pauses no more."""

from dataclasses import replace

import pytest

from flipback.analysis import Analysis
from flipback.rollout import Move, Phase
from flipback.signals import Measure
from flipback.steering import DEADLINE, Situation, doubts_of, next_move
from flipback.verdict import (
    Action,
    Finding,
    Hoped,
    HypothesisFinding,
    Verdict,
)
from situations import LATE, PASSES, asks, record_in, situation


def finding(metric: str, cohort: str = "") -> Finding:
    return Finding(
        metric=metric,
        measure=Measure.VALUE,
        cohort=cohort,
        verdict=Verdict.FAIL,
        log_e=9.0,
        peak_log_e=9.0,
        weight=1.0,
        engine="rate engine",
    )


def hoped(verdict: Hoped) -> HypothesisFinding:
    return HypothesisFinding(metric="clicks", hoped=0.05, verdict=verdict)


def doubting(*findings: Finding, hope: Hoped | None = None) -> Analysis:
    hypothesis = None if hope is None else hoped(hope)
    return replace(asks(Action.PAUSE), paused=findings, hypothesis=hypothesis)


COST = "cost value of everybody"
BOTH = doubting(finding("cost"), finding("score", "plan=free"))


def after(*overruled: str, **changes: object) -> Situation:
    record = record_in(Phase.CANARY, overruled=overruled)
    return situation(analysis=doubting(finding("cost")), record=record, **changes)


def test_each_doubt_has_a_name_of_its_own() -> None:
    assert doubts_of(BOTH) == (COST, "score value of plan=free")
    assert doubts_of(doubting(finding("cost"), finding("cost"))) == (COST,)
    assert doubts_of(asks(Action.HOLD)) == ()


@pytest.mark.parametrize("verdict", Hoped)
def test_a_hope_that_is_contradicted_is_a_doubt_and_no_other_is(verdict: Hoped) -> None:
    named = doubts_of(doubting(hope=verdict))
    wanted = ("what was hoped of clicks",) if verdict is Hoped.CONTRADICTED else ()
    assert named == wanted


def test_a_doubt_that_nobody_has_heard_pauses() -> None:
    assert next_move(after()).move is Move.PAUSE
    assert next_move(after("something else")).move is Move.PAUSE


def test_a_doubt_that_was_heard_pauses_no_more_and_the_plan_goes_on() -> None:
    assert next_move(after(COST)).move is None
    assert next_move(after(COST, "more")).move is None
    assert next_move(after(COST, gate=PASSES)).move is Move.ADVANCE


def test_one_new_doubt_among_those_that_were_heard_pauses() -> None:
    now = replace(after(COST), analysis=BOTH)
    assert next_move(now).move is Move.PAUSE


def test_a_doubt_without_a_name_is_never_heard() -> None:
    now = replace(after(COST), analysis=asks(Action.PAUSE))
    assert next_move(now).move is Move.PAUSE


def test_a_deadline_that_was_heard_pauses_no_more() -> None:
    late = situation(plan=LATE)
    assert next_move(late).move is Move.PAUSE
    heard = replace(late, record=record_in(Phase.CANARY, overruled=(DEADLINE,)))
    assert next_move(heard).move is None


def test_a_split_where_none_was_is_an_edit_of_an_attempt_that_has_begun() -> None:
    none = record_in(Phase.CANARY, split={}, started=1.0)
    assert next_move(situation(record=none)).move is Move.PAUSE
    never = record_in(Phase.CANARY, split={}, started=0.0)
    assert next_move(situation(record=never)).move is None
