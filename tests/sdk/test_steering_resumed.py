"""Where a paused rollout goes on, whatever a person has done to the split meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.plan import RolloutPlan
from flipback.rollout import By, Move, Phase, RolloutRecord
from flipback.steering import NextMove, resumed, stage_reached, weight_of


def plan_of(*stages: dict[str, object]) -> RolloutPlan:
    return RolloutPlan.model_validate(
        {
            "route": "answer",
            "flag": "answer-model",
            "control": "v1",
            "candidate": "v2",
            "stages": list(stages),
            "guardrails": [{"metric": "error", "fails_on": "increase"}],
        }
    )


PLAN = plan_of({"shadow": 0.5}, {"weight": 1}, {"weight": 25}, {"weight": 100})


def paused(resumes: Phase | None, stage: int) -> RolloutRecord:
    return RolloutRecord(
        route="answer", phase=Phase.PAUSED, resumes=resumes, stage=stage
    )


@pytest.mark.parametrize("weight", [None, 25.0, 25.0004, 24.9996])
def test_a_split_that_nobody_changed_goes_on_where_it_was(
    weight: float | None,
) -> None:
    assert resumed(PLAN, paused(Phase.CANARY, 2), weight) == NextMove(
        move=Move.RESUME, by=By.PERSON, to=Phase.CANARY, stage=2, weight=None, why=""
    )


def test_a_weight_that_is_rounded_when_it_is_written_is_reached() -> None:
    plan = plan_of({"weight": 1}, {"weight": 33.3333}, {"weight": 50})
    assert resumed(plan, paused(Phase.CANARY, 1), 33.333).stage == 1
    assert resumed(plan, paused(Phase.CANARY, 0), 33.333).stage == 1


def test_of_two_stages_that_the_holdback_makes_one_the_paused_one_goes_on() -> None:
    plan = plan_of({"weight": 50}, {"weight": 97}, {"weight": 100})
    assert resumed(plan, paused(Phase.CANARY, 1), 95.0).stage == 1
    assert resumed(plan, paused(Phase.CANARY, 0), 95.0).stage == 2


def test_a_shadow_that_nobody_touched_goes_on_unseen() -> None:
    again = resumed(PLAN, paused(Phase.SHADOW, 0), 0.0)
    assert (again.to, again.stage) == (Phase.SHADOW, 0)


@pytest.mark.parametrize(
    ("weight", "to", "stage"),
    [
        (0.0, Phase.SHADOW, 0),
        (0.5, Phase.CANARY, 0),
        (10.0, Phase.CANARY, 1),
        (94.0, Phase.CANARY, 2),
        (95.0, Phase.WATCH, 3),
        (100.0, Phase.WATCH, 3),
    ],
)
def test_who_is_promoted_and_taken_back_by_hand_is_a_canary_again(
    weight: float, to: Phase, stage: int
) -> None:
    again = resumed(PLAN, paused(Phase.WATCH, 3), weight)
    assert (again.to, again.stage) == (to, stage)


def test_where_it_was_going_is_not_known_it_is_a_canary() -> None:
    assert resumed(PLAN, paused(None, 2), None).to is Phase.CANARY


def test_without_shadow_stages_the_first_weight_is_next_below_it() -> None:
    plan = plan_of({"weight": 5}, {"weight": 50})
    assert stage_reached(plan, 1.0) == 0
    again = resumed(plan, paused(Phase.CANARY, 1), 0.0)
    assert (again.to, again.stage) == (Phase.CANARY, 0)


@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=5, unique=True).map(sorted),
    st.integers(0, 2),
    st.floats(0, 100, allow_nan=False).map(lambda weight: round(weight, 3)),
    st.integers(0, 6),
)
def test_after_a_persons_ramp_the_stage_is_the_last_whose_weight_is_reached(
    weights: list[int], shadows: int, weight: float, before: int
) -> None:
    stages = [{"shadow": 0.5}] * shadows + [{"weight": each} for each in weights]
    plan = plan_of(*stages)
    stage = min(before, len(stages) - 1)
    was = Phase.SHADOW if stage < shadows else Phase.CANARY
    again = resumed(plan, paused(was, stage), weight)
    if abs(weight - weight_of(plan, stage)) < 0.0005:
        assert (again.stage, again.to) == (stage, was)
        return
    offered = [min(each, 95) for each in weights]
    reached = [i for i, each in enumerate(offered) if each <= weight]
    if reached:
        assert (again.stage, again.to) == (shadows + reached[-1], Phase.CANARY)
    elif shadows:
        assert again.stage == shadows - 1
        assert (again.to is Phase.SHADOW) is (weight == 0)
    else:
        assert (again.stage, again.to) == (0, Phase.CANARY)
