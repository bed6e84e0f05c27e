from dataclasses import replace
from itertools import product

import pytest

from flipback.latch import Latch
from flipback.rollout import (
    RULES,
    By,
    Move,
    MoveRefused,
    Phase,
    RolloutRecord,
    moved,
    phase_of,
    refusal,
)


FREE = Latch(route="r")
RECORD = RolloutRecord(
    route="r",
    revision=7,
    attempt=2,
    stage=1,
    trip=3,
    split={"a": 1},
    since=50.0,
    started=10.0,
    actor="ada",
    why="because",
    plan="{}",
    version="v",
    tries=2,
)


def standing(phase: Phase) -> RolloutRecord:
    return replace(RECORD, phase=phase)


def move(
    phase: Phase,
    what: Move,
    by: By,
    to: Phase,
    *,
    stage: int = 1,
    latch: Latch = FREE,
) -> RolloutRecord:
    return moved(
        standing(phase),
        latch,
        what,
        by=by,
        to=to,
        stage=stage,
        actor="bob",
        why="so",
        now=99.0,
    )


def reachable(*, by: frozenset[By], start: Phase = Phase.IDLE) -> set[Phase]:
    """Return the phases that these may come to from here, one move after another."""
    seen, ahead = {start}, [start]
    while ahead:
        phase = ahead.pop()
        for rule in RULES[phase].values():
            fresh = rule.to - seen if rule.by & by else frozenset[Phase]()
            seen |= fresh
            ahead += fresh
    return seen


def test_the_table_has_a_row_for_every_phase() -> None:
    assert set(RULES) == set(Phase)
    assert {each for rules in RULES.values() for each in rules} == set(Move)


def test_every_phase_is_reached_from_idle() -> None:
    assert reachable(by=frozenset(By)) == set(Phase)


@pytest.mark.parametrize("phase", sorted(reachable(by=frozenset(By))))
def test_a_person_reaches_control_in_one_move_from_everywhere(phase: Phase) -> None:
    rule = RULES[phase][Move.ROLL_BACK]
    assert By.PERSON in rule.by
    assert rule.to == {Phase.ROLLED_BACK}
    assert not Phase.ROLLED_BACK.shows_candidate


@pytest.mark.parametrize("phase", [p for p in Phase if p.shows_candidate])
def test_whoever_may_see_the_candidate_can_be_rolled_back(phase: Phase) -> None:
    assert refusal(phase, Move.ROLL_BACK, By.PERSON) == ""
    guarded = refusal(phase, Move.ROLL_BACK, By.EVALUATOR) == ""
    assert guarded is (phase is not Phase.FINISHED)


@pytest.mark.parametrize("phase", Phase)
def test_the_plan_never_rolls_back_and_the_evaluator_never_goes_on(
    phase: Phase,
) -> None:
    assert refusal(phase, Move.ROLL_BACK, By.PLAN)
    for what in set(Move) - {Move.ROLL_BACK, Move.PAUSE}:
        assert refusal(phase, what, By.EVALUATOR)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("what", [Move.START, Move.RESUME, Move.FINISH])
def test_nobody_but_a_person_starts_resumes_or_finishes(
    phase: Phase, what: Move
) -> None:
    assert refusal(phase, what, By.PLAN)
    assert refusal(phase, what, By.EVALUATOR)


@pytest.mark.parametrize("start", [Phase.ROLLED_BACK, Phase.PAUSED, Phase.FINISHED])
def test_what_has_stopped_is_not_set_going_without_a_person(start: Phase) -> None:
    machines = frozenset({By.EVALUATOR, By.PLAN})
    assert not {p for p in reachable(by=machines, start=start) if p.runs}


@pytest.mark.parametrize("phase", Phase)
def test_no_phase_is_a_dead_end(phase: Phase) -> None:
    people = frozenset({By.PERSON})
    assert reachable(by=people, start=phase) >= set(Phase) - {Phase.IDLE}
    assert [rule for rule in RULES[phase].values() if rule.to - {phase}]


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("what", Move)
def test_exactly_what_the_table_has_is_done(phase: Phase, what: Move) -> None:
    rule = RULES[phase].get(what)
    for by, to in product(By, Phase):
        if rule is not None and by in rule.by and to in rule.to:
            assert move(phase, what, by, to).phase is to
        else:
            with pytest.raises(MoveRefused):
                move(phase, what, by, to)


def test_a_move_is_the_next_revision_and_begins_its_stage() -> None:
    after = move(Phase.CANARY, Move.ADVANCE, By.PLAN, Phase.CANARY, stage=2)
    assert after == replace(
        standing(Phase.CANARY),
        revision=8,
        stage=2,
        since=99.0,
        actor="bob",
        why="so",
        renewals=1,
        renewed_at=99.0,
    )


@pytest.mark.parametrize(
    ("phase", "what", "to", "renews"),
    [
        (Phase.SHADOW, Move.ADVANCE, Phase.CANARY, True),
        (Phase.CANARY, Move.PROMOTE, Phase.WATCH, True),
        (Phase.CANARY, Move.PAUSE, Phase.PAUSED, False),
        (Phase.PAUSED, Move.RESUME, Phase.CANARY, False),
        (Phase.WATCH, Move.FINISH, Phase.FINISHED, False),
        (Phase.ROLLED_BACK, Move.START, Phase.CANARY, False),
    ],
)
def test_what_leads_to_another_split_renews_the_stage(
    phase: Phase, what: Move, to: Phase, *, renews: bool
) -> None:
    after = move(phase, what, By.PERSON, to)
    assert (after.renewals, after.renewed_at) == ((1, 99.0) if renews else (0, 0.0))


def test_a_pause_keeps_when_the_stage_began_and_what_it_goes_back_to() -> None:
    after = move(Phase.WATCH, Move.PAUSE, By.PERSON, Phase.PAUSED)
    assert after == replace(
        standing(Phase.PAUSED),
        revision=8,
        resumes=Phase.WATCH,
        actor="bob",
        why="so",
    )
    again = moved(
        after,
        FREE,
        Move.RESUME,
        by=By.PERSON,
        to=Phase.WATCH,
        stage=1,
        actor="bob",
        why="so",
        now=100.0,
    )
    assert (again.phase, again.resumes, again.since) == (Phase.WATCH, None, 100.0)


@pytest.mark.parametrize("phase", Phase)
def test_a_held_latch_is_rolled_back_whatever_the_record_says(phase: Phase) -> None:
    held = Latch(route="r", trip=1, held=True)
    assert phase_of(standing(phase), held) is Phase.ROLLED_BACK


@pytest.mark.parametrize("phase", Phase)
def test_the_kill_that_an_attempt_has_not_seen_has_ended_it(phase: Phase) -> None:
    """A record that is written late, by a leader that was asleep, revives nothing."""
    freed = Latch(route="r", trip=RECORD.trip + 1)
    ended = Phase.IDLE if phase is Phase.IDLE else Phase.ROLLED_BACK
    assert phase_of(standing(phase), freed) is ended
    seen = Latch(route="r", trip=RECORD.trip)
    assert phase_of(standing(phase), seen) is phase


def test_after_a_kill_only_a_person_goes_on_and_only_by_starting() -> None:
    killed = Latch(route="r", trip=RECORD.trip + 1)
    with pytest.raises(
        MoveRefused, match="rolled back cannot advance; it can: nothing"
    ):
        move(Phase.CANARY, Move.ADVANCE, By.PLAN, Phase.CANARY, latch=killed)
    started = move(Phase.CANARY, Move.START, By.PERSON, Phase.SHADOW, latch=killed)
    assert started.phase is Phase.SHADOW


def test_a_refusal_says_what_is_possible_and_who_may() -> None:
    assert refusal(Phase.WATCH, Move.RESUME, By.PERSON) == (
        "a rollout that is watch cannot resume; it can: pause, finish, roll back"
    )
    assert refusal(Phase.WATCH, Move.FINISH, By.PLAN) == (
        "finish is for: person; not for: rollout plan"
    )
    assert refusal(Phase.CANARY, Move.ADVANCE, By.EVALUATOR) == (
        "advance is for: person or rollout plan; not for: guardrail evaluator"
    )
    with pytest.raises(MoveRefused, match="advance does not lead from canary to watch"):
        move(Phase.CANARY, Move.ADVANCE, By.PERSON, Phase.WATCH)


@pytest.mark.parametrize(
    ("phase", "shows", "runs", "is_open"),
    [
        (Phase.IDLE, True, False, False),
        (Phase.SHADOW, False, True, True),
        (Phase.CANARY, True, True, True),
        (Phase.WATCH, True, True, True),
        (Phase.PAUSED, True, False, True),
        (Phase.ROLLED_BACK, False, False, False),
        (Phase.FINISHED, True, False, False),
    ],
)
def test_phases_tell_who_sees_what_and_whether_they_go_on(
    phase: Phase, *, shows: bool, runs: bool, is_open: bool
) -> None:
    assert (phase.shows_candidate, phase.runs, phase.is_open) == (shows, runs, is_open)


def test_a_killed_route_is_started_by_nobody() -> None:
    held = Latch(route="support").killed(reason="", actor="", intent="i", at="")
    with pytest.raises(MoveRefused, match="release"):
        moved(
            RolloutRecord(route="support"),
            held,
            Move.START,
            by=By.PERSON,
            to=Phase.CANARY,
            stage=0,
            actor="ada",
            why="",
            now=0.0,
        )
