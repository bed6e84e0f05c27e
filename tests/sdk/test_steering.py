from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from flipback.plan import OnDeadline
from flipback.rollout import RULES, By, Move, Phase
from flipback.steering import (
    ALL,
    EDITED,
    NextMove,
    accepted_alone,
    elapsed,
    first,
    next_move,
    onward,
    resumed,
    shadow_share,
    stage_of,
    weight_of,
)
from flipback.verdict import Action, Verdict
from situations import (
    DAY,
    LATE,
    OTHER,
    PASSES,
    PLAN,
    SPLIT,
    asks,
    gate_of,
    plan_of,
    record_in,
    situation,
)


def test_mostly_nothing_is_asked_for() -> None:
    asked = next_move(situation())
    assert asked == NextMove(
        move=None, by=By.PLAN, to=Phase.CANARY, stage=1, weight=None, why=""
    )


@pytest.mark.parametrize("phase", [p for p in Phase if not p.runs])
def test_what_does_not_run_is_never_moved(phase: Phase) -> None:
    urgent = situation(
        record=record_in(phase),
        phase=phase,
        split=OTHER,
        analysis=asks(Action.PAUSE),
        gate=PASSES,
        loosened=("less",),
        plan=LATE,
    )
    assert next_move(urgent).move is None


def test_an_edit_of_the_split_pauses_and_says_what_became_of_it() -> None:
    asked = next_move(situation(split=OTHER))
    assert (asked.move, asked.by, asked.to) == (Move.PAUSE, By.PLAN, Phase.PAUSED)
    assert (asked.stage, asked.weight) == (1, None)
    assert asked.why == f"{EDITED}: v1 99 %, v2 1 % became v1 50 %, v2 50 %"


def test_an_edit_is_told_in_percent_whatever_weights_a_person_writes() -> None:
    asked = next_move(situation(split={"v1": 3, "v2": 1, "v3": 0}))
    assert asked.why.endswith("became v1 75 %, v2 25 %")
    assert next_move(situation(split={})).why.endswith("became no split")


def test_a_variant_that_nobody_gets_is_no_edit() -> None:
    assert next_move(situation(split={**SPLIT, "v3": 0})).move is None


def test_before_a_split_was_acknowledged_none_can_have_been_edited() -> None:
    asked = next_move(situation(record=record_in(Phase.CANARY, split={}), split=OTHER))
    assert asked.move is None


def test_a_plan_that_promises_less_pauses() -> None:
    asked = next_move(situation(loosened=("`alpha` is 0.1", "`holdback` is 0")))
    assert (asked.move, asked.by) == (Move.PAUSE, By.PLAN)
    assert asked.why == "the plan was loosened: `alpha` is 0.1; `holdback` is 0"


def test_an_analysis_that_asks_people_to_look_pauses() -> None:
    waiting = gate_of(Verdict.INCONCLUSIVE, "people must look at cost", "wait")
    asked = next_move(situation(analysis=asks(Action.PAUSE), gate=waiting))
    assert (asked.move, asked.by) == (Move.PAUSE, By.EVALUATOR)
    assert asked.why == "people must look at cost; wait"
    alone = next_move(situation(analysis=asks(Action.PAUSE)))
    assert alone.why == "people must look"


@pytest.mark.parametrize("action", [Action.FREEZE, Action.ROLL_BACK])
def test_data_that_cannot_be_trusted_or_proves_harm_moves_nothing_on(
    action: Action,
) -> None:
    """Whoever proves harm rolls back at once, and does not ask for a next move."""
    asked = next_move(situation(analysis=asks(action), gate=PASSES, plan=LATE))
    assert asked.move is None


def test_a_gate_that_passes_goes_on_to_the_next_weight() -> None:
    asked = next_move(situation(gate=PASSES))
    assert (asked.move, asked.by, asked.to) == (Move.ADVANCE, By.PLAN, Phase.CANARY)
    assert (asked.stage, asked.weight, asked.why) == (2, 25.0, "the gate passes")


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.FAIL])
def test_nothing_goes_on_by_a_doubt(verdict: Verdict) -> None:
    assert next_move(situation(gate=gate_of(verdict))).move is None


def test_after_the_last_stage_it_is_promoted_but_for_the_holdback() -> None:
    last = record_in(Phase.CANARY, stage=3)
    asked = next_move(situation(record=last, gate=PASSES))
    assert (asked.move, asked.to, asked.weight) == (Move.PROMOTE, Phase.WATCH, 95.0)
    assert asked.stage == 3


def test_what_is_promoted_is_watched_and_not_moved_on() -> None:
    late = situation(
        plan=LATE, record=record_in(Phase.WATCH), phase=Phase.WATCH, gate=PASSES
    )
    assert next_move(late).move is None
    doubt = replace(late, analysis=asks(Action.PAUSE))
    assert next_move(doubt).move is Move.PAUSE


def test_an_attempt_that_is_late_pauses() -> None:
    asked = next_move(situation(plan=LATE, gate=PASSES))
    assert (asked.move, asked.by) == (Move.PAUSE, By.PLAN)
    assert asked.why == "not promoted within 12h, its deadline"
    assert asked.weight is None


def test_an_attempt_that_is_late_is_rolled_back_where_the_plan_says_so() -> None:
    late = LATE.model_copy(update={"on_deadline": OnDeadline.ROLL_BACK})
    asked = next_move(situation(plan=late, gate=PASSES))
    assert (asked.move, asked.to) == (Move.ROLL_BACK, Phase.ROLLED_BACK)
    assert (asked.by, asked.stage, asked.weight) == (By.EVALUATOR, 1, None)
    assert asked.why == "not promoted within 12h, its deadline"


@pytest.mark.parametrize(
    ("passed", "late"), [(DAY / 2 - 1, False), (DAY / 2, True), (DAY, True)]
)
def test_a_deadline_is_counted_from_the_start_of_the_attempt(
    passed: float, *, late: bool
) -> None:
    begun = record_in(Phase.CANARY, started=3 * DAY, since=3 * DAY + 7)
    asked = next_move(situation(plan=LATE, record=begun, now=3 * DAY + passed))
    assert (asked.move is Move.PAUSE) is late


def test_the_most_urgent_reason_is_told() -> None:
    """What a person did, then what the files say, the evidence, and the time."""
    everything = situation(
        split=OTHER,
        loosened=("less",),
        analysis=asks(Action.PAUSE),
        gate=PASSES,
        plan=LATE,
    )
    assert next_move(everything).why.startswith(EDITED)
    unedited = replace(everything, split=SPLIT)
    assert next_move(unedited).why == "the plan was loosened: less"
    unloosened = replace(unedited, loosened=())
    assert next_move(unloosened).why == "people must look"
    undoubted = replace(unloosened, analysis=asks(Action.HOLD))
    assert next_move(undoubted).why == "not promoted within 12h, its deadline"
    in_time = replace(undoubted, plan=PLAN)
    assert next_move(in_time).why == "the gate passes"


@pytest.mark.parametrize("phase", [p for p in Phase if p.runs])
@pytest.mark.parametrize("on_deadline", OnDeadline)
def test_whatever_is_asked_for_is_a_legal_move(
    phase: Phase, on_deadline: OnDeadline
) -> None:
    plan = LATE.model_copy(update={"on_deadline": on_deadline})
    record = record_in(phase, stage=0 if phase is Phase.SHADOW else 3)
    decides = product(Action, Verdict, (SPLIT, OTHER), (0.0, DAY))
    for action, verdict, split, now in decides:
        asked = next_move(
            situation(
                plan=plan,
                record=record,
                phase=phase,
                analysis=asks(action),
                gate=gate_of(verdict),
                split=split,
                now=now,
            )
        )
        if asked.move is not None:
            rule = RULES[phase][asked.move]
            assert asked.by in rule.by
            assert asked.to in rule.to


def test_an_attempt_starts_in_the_first_stage() -> None:
    assert first(PLAN) == NextMove(
        move=Move.START, by=By.PERSON, to=Phase.SHADOW, stage=0, weight=0.0, why=""
    )
    seen = first(plan_of({"weight": 5}))
    assert (seen.to, seen.weight) == (Phase.CANARY, 5.0)


def test_a_shadow_stage_is_left_for_a_shadow_stage_or_a_weight() -> None:
    plan = plan_of({"shadow": 0.1}, {"shadow": 1.0}, {"weight": 5})
    steps = [
        onward(plan, record_in(Phase.SHADOW, stage=stage), by=By.PERSON, why="go")
        for stage in range(3)
    ]
    assert [step.to for step in steps] == [Phase.SHADOW, Phase.CANARY, Phase.WATCH]
    assert [step.weight for step in steps] == [0.0, 5.0, 95.0]
    assert {(step.by, step.why) for step in steps} == {(By.PERSON, "go")}


@pytest.mark.parametrize("holdback", [1.0, 5.0, 50.0])
def test_no_stage_takes_the_holdback(holdback: float) -> None:
    plan = plan_of({"weight": 20}, {"weight": 97}, {"weight": 100}, holdback=holdback)
    weights = [weight_of(plan, stage) for stage in range(3)]
    assert weights == [min(w, ALL - holdback) for w in (20, 97, 100)]
    promoted = onward(plan, record_in(Phase.CANARY, stage=2), by=By.PLAN, why="")
    assert promoted.weight == ALL - holdback


def test_a_plan_with_fewer_stages_than_were_left_has_the_last_in_force() -> None:
    short = plan_of({"weight": 5})
    behind = record_in(Phase.PAUSED, stage=3, resumes=Phase.CANARY)
    assert stage_of(short, behind) is short.stages[0]
    for stage in range(4):
        assert (
            stage_of(PLAN, record_in(Phase.CANARY, stage=stage)) is PLAN.stages[stage]
        )
    assert onward(short, behind, by=By.PLAN, why="").move is Move.PROMOTE
    assert resumed(short, behind, None).stage == 0
    assert resumed(short, behind, 5.0).stage == 0


@pytest.mark.parametrize(
    ("phase", "resumes", "share"),
    [
        (Phase.SHADOW, None, 0.5),
        (Phase.PAUSED, Phase.SHADOW, 0.5),
        (Phase.PAUSED, Phase.CANARY, 0.0),
        (Phase.PAUSED, None, 0.0),
        (Phase.CANARY, None, 0.0),
        (Phase.ROLLED_BACK, Phase.SHADOW, 0.0),
    ],
)
def test_the_candidate_answers_unseen_in_shadow_stages_only(
    phase: Phase, resumes: Phase | None, share: float
) -> None:
    record = record_in(phase, stage=0, resumes=resumes)
    assert shadow_share(PLAN, record, phase) == share
    assert shadow_share(PLAN, replace(record, stage=1), phase) == 0.0


def test_a_stage_lasts_no_less_than_nothing() -> None:
    begun = record_in(Phase.CANARY, since=100.0)
    assert elapsed(begun, 160.0) == timedelta(minutes=1)
    assert elapsed(begun, 40.0) == timedelta(0)


def test_cohorts_that_nobody_asked_about_are_told() -> None:
    asking = gate_of(Verdict.INCONCLUSIVE, asks=("plan=free",))
    assert accepted_alone(asking, ("plan=free",)) == ()
    assert accepted_alone(asking, ("c=z", "plan=free", "a=b")) == ("a=b", "c=z")
