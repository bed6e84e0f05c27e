from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from flipback.plan import (
    MAX_COHORTS,
    Duration,
    FailsOn,
    Guardrail,
    OnDeadline,
    PlanRejected,
    RolloutPlan,
    Stage,
    Until,
    Written,
    parse_duration,
)


GATED = {"gated": True}


def table(**changes: object) -> dict[str, object]:
    return {
        "route": "summarizer",
        "flag": "summarizer-model",
        "control": "v1",
        "candidate": "v2",
        "cohorts": {"plan": ["free", "enterprise"]},
        "stages": [{"weight": 1}, {"weight": 25}],
        "guardrails": [
            {"metric": "error", "fails_on": "increase", "tolerance": 0.2},
        ],
        **changes,
    }


def guardrail(**changes: object) -> dict[str, object]:
    written = {"metric": "unfaithful", "fails_on": "increase", "tolerance": 0.05}
    return {**written, **changes}


def refusal(written: dict[str, object]) -> str:
    with pytest.raises(ValidationError) as caught:
        RolloutPlan.model_validate(written, context=GATED)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("0.5s", timedelta(milliseconds=500)),
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(weeks=1)),
        (" 2 s ", timedelta(seconds=2)),
        (timedelta(seconds=3), timedelta(seconds=3)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: object, span: timedelta) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text", ["", "7", "7y", "-1s", "1.s", "1e3s", 12, 1.5, None, True]
)
def test_anything_else_is_no_duration(text: object) -> None:
    with pytest.raises(PlanRejected, match="is no duration: write a number and a unit"):
        parse_duration(text)


def test_a_duration_longer_than_time_itself_is_no_crash() -> None:
    with pytest.raises(PlanRejected, match="is too long"):
        parse_duration("999999999999d")


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10_000)))
def test_a_duration_survives_being_written_and_read(span: timedelta) -> None:
    adapter = TypeAdapter[timedelta](Duration)
    assert adapter.validate_json(adapter.dump_json(span)) == span


def test_a_plan_survives_being_written_and_read() -> None:
    plan = RolloutPlan.model_validate(table(stages=[{"weight": 1, "window": "0.5s"}]))
    again = RolloutPlan.model_validate_json(plan.model_dump_json())
    assert again == plan
    assert again.digest == plan.digest


def test_control_is_no_candidate() -> None:
    assert "control and candidate are both 'v1'" in refusal(table(candidate="v1"))


@given(st.lists(st.integers(0, 100), min_size=1, max_size=8))
def test_exactly_the_rising_weights_are_a_rollout(weights: list[int]) -> None:
    written = table(stages=[{"weight": weight} for weight in weights])
    if weights == sorted(set(weights)):
        RolloutPlan.model_validate(written)
    else:
        assert "does not rise above" in refusal(written)


def test_a_falling_weight_is_told_with_both_stages_and_weights() -> None:
    written = table(stages=[{"weight": 25}, {"shadow": 1.0}, {"weight": 5}])
    told = refusal(written)
    assert "weight 5 of stages[3] does not rise above weight 25 of stages[1]" in told


def test_shadow_comes_before_the_candidate_serves() -> None:
    RolloutPlan.model_validate(table(stages=[{"shadow": 0.5}, {"weight": 1}]))
    told = refusal(table(stages=[{"weight": 1}, {"shadow": 0.5}]))
    assert "stages[2] is a shadow stage" in told


@pytest.mark.parametrize("stage", [{}, {"weight": 1, "shadow": 0.5}])
def test_a_stage_is_a_weight_or_a_shadow(stage: dict[str, object]) -> None:
    assert "either `weight` or `shadow`" in refusal(table(stages=[stage]))


@pytest.mark.parametrize(
    "goal", [{}, {"rises_by": 0.1, "falls_by": 0.1}, {"rises_by": -0.1}]
)
def test_a_hypothesis_has_one_direction(goal: dict[str, object]) -> None:
    assert "hypothesis" in refusal(table(hypothesis={"metric": "clicks", **goal}))


@pytest.mark.parametrize("number", [True, "1", float("nan"), float("inf")])
def test_a_number_is_a_number(number: object) -> None:
    assert "weight" in refusal(table(stages=[{"weight": number}]))
    assert "tolerance" in refusal(table(guardrails=[guardrail(tolerance=number)]))


def test_the_same_promise_twice_is_a_mistake() -> None:
    told = refusal(table(guardrails=[guardrail(), guardrail(tolerance=0.5)]))
    assert "guardrails[1] promises the same of `unfaithful`" in told


def test_two_promises_about_one_metric_are_none() -> None:
    slo = guardrail(tolerance=None, limit=0.1)
    both = [guardrail(), slo, guardrail(fails_on="decrease")]
    RolloutPlan.model_validate(table(guardrails=both), context=GATED)


@pytest.mark.parametrize(
    ("cohort", "remedy"),
    [
        ("plan=enterprize", "did you mean `plan=enterprise`?"),
        ("country=DE", "declare it there"),
        ("enterprise", "plan=enterprise"),
        ("", "declare it there"),
    ],
)
def test_a_guardrail_watches_declared_cohorts_only(cohort: str, remedy: str) -> None:
    told = refusal(table(guardrails=[guardrail(cohorts=[cohort])]))
    assert f"{cohort!r} is not declared in [cohorts]" in told
    assert remedy in told


def test_a_cohort_is_watched_once() -> None:
    twice = guardrail(cohorts=["plan=free", "plan=free"])
    assert "listed 2 times" in refusal(table(guardrails=[twice]))


def test_acting_on_a_cohort_needs_one() -> None:
    scoped = [guardrail(scope="cohort")]
    RolloutPlan.model_validate(table(guardrails=scoped), context=GATED)
    assert "needs a cohort" in refusal(table(cohorts={}, guardrails=scoped))
    assert "needs a cohort" in refusal(
        table(guardrails=[guardrail(scope="cohort", cohorts=[])])
    )


@pytest.mark.parametrize("pool", ["other", "(none)"])
def test_the_names_of_pools_cannot_be_declared(pool: str) -> None:
    assert "is the pool of all values" in refusal(table(cohorts={"plan": [pool]}))


@pytest.mark.parametrize(
    ("cohorts", "problem"),
    [
        ({"plan": []}, "no value is watched"),
        ({"plan": ["free", "free"]}, "'free' is listed 2 times"),
        ({"a=b": ["c"]}, "`=` in its name"),
    ],
)
def test_a_cohort_can_be_told_from_every_other(
    cohorts: dict[str, object], problem: str
) -> None:
    assert problem in refusal(table(cohorts=cohorts))


def test_cohorts_are_few_enough_to_be_decided() -> None:
    most = [str(number) for number in range(MAX_COHORTS)]
    RolloutPlan.model_validate(table(cohorts={"tenant": most}))
    told = refusal(table(cohorts={"tenant": most, "plan": ["free"]}))
    assert "201 values are watched, at most 200 can be" in told


def test_mapped_values_mean_control_and_candidate_at_least() -> None:
    whole = {"true": "v2", "false": "v1", "maybe": "v3"}
    RolloutPlan.model_validate(table(values=whole))
    told = refusal(table(values={"true": "v2"}))
    assert "no value of the flag means 'v1', the control" in told


@pytest.mark.parametrize("on_fail", ["roll back", "pause"])
def test_a_reviewed_guardrail_that_acts_says_how_much_is_too_much(on_fail: str) -> None:
    told = refusal(table(guardrails=[guardrail(tolerance=None, on_fail=on_fail)]))
    assert "neither `tolerance` nor `limit`" in told


@pytest.mark.parametrize(
    "bound", [{"tolerance": 0}, {"tolerance": None, "limit": 0.02}]
)
def test_no_tolerance_at_all_and_an_absolute_limit_are_bounds(
    bound: dict[str, object],
) -> None:
    RolloutPlan.model_validate(table(guardrails=[guardrail(**bound)]), context=GATED)


def test_a_bound_is_relative_or_absolute() -> None:
    told = refusal(table(guardrails=[guardrail(tolerance=0.05, limit=0.02)]))
    assert "`unfaithful` has a `limit` too" in told


def test_a_warning_needs_no_bound() -> None:
    warning = guardrail(tolerance=None, on_fail="warn")
    RolloutPlan.model_validate(table(guardrails=[warning]), context=GATED)


def test_a_guardrail_in_code_needs_no_bound() -> None:
    promise = Guardrail(metric="error", fails_on=FailsOn.INCREASE)
    plan = RolloutPlan(
        route="r",
        flag="f",
        control="v1",
        candidate="v2",
        stages=(Stage(weight=1),),
        guardrails=(promise,),
    )
    assert plan.guardrails == (promise,)


@pytest.mark.parametrize("limit", [-0.1, 0, 1, 30])
def test_the_limit_of_an_event_is_a_share(limit: float) -> None:
    event = guardrail(kind="event", limit=limit)
    assert "is no share of subjects" in refusal(table(guardrails=[event]))
    RolloutPlan.model_validate(table(guardrails=[guardrail(limit=limit)]))


def test_latency_is_no_event() -> None:
    slow = guardrail(metric="latency_s", kind="event")
    assert "not an event" in refusal(table(guardrails=[slow]))


@pytest.mark.parametrize("part", [RolloutPlan, Stage, Guardrail])
def test_unknown_keys_are_refused_everywhere(part: type[Written]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        part.model_validate({"tolerence": 1})


def test_every_problem_of_a_table_is_told() -> None:
    told = refusal(
        table(
            candidate="v1",
            cohorts={"plan": ["other"]},
            stages=[{"weight": 5}, {"weight": 1}],
            guardrails=[guardrail(), guardrail(), guardrail(limit=2, kind="event")],
        )
    )
    for problem in ("are both 'v1'", "is the pool", "not rise", "same of", "no share"):
        assert problem in told


def test_a_change_is_tolerated_up_to_a_point_and_has_no_limit() -> None:
    changed = guardrail(fails_on="change", tolerance=0.2)
    RolloutPlan.model_validate(table(guardrails=[changed]), context=GATED)
    told = refusal(table(guardrails=[{**changed, "tolerance": 0}]))
    assert "no evidence can show that nothing has changed at all" in told
    told = refusal(table(guardrails=[{**changed, "tolerance": None}]))
    assert "neither `tolerance` nor `limit`" in told
    told = refusal(table(guardrails=[{**changed, "tolerance": None, "limit": 0.1}]))
    assert "a limit is crossed in one direction" in told
    warned = {**changed, "tolerance": None, "on_fail": "warn"}
    RolloutPlan.model_validate(table(guardrails=[warned]), context=GATED)


@pytest.mark.parametrize("fails_on", ["decrease", "change"])
def test_a_fall_by_everything_is_not_tolerated(fails_on: str) -> None:
    told = refusal(table(guardrails=[guardrail(fails_on=fails_on, tolerance=1)]))
    assert "a fall by 100% leaves nothing to guard" in told
    RolloutPlan.model_validate(table(guardrails=[guardrail(tolerance=1)]))


def test_a_hypothesis_is_written_as_a_share() -> None:
    percent = {"metric": "missed", "falls_by": 5}
    assert "write less than 1: 0.05 is five" in refusal(table(hypothesis=percent))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gate", "loose"),
        ("undecided", "pass"),
        ("max_ramp_margin", 0),
        ("max_ramp_margin", float("inf")),
        ("hypothesis", {"metric": "m", "rises_by": 1, "required": 1}),
    ],
)
def test_the_gate_is_told_in_words_that_it_knows(key: str, value: object) -> None:
    assert key in refusal(table(**{key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("holdback", -1),
        ("holdback", 51),
        ("watch", "7"),
        ("deadline", 30),
        ("on_deadline", "promote"),
        ("max_attempts", 0),
        ("max_attempts", 2.0),
        ("cool_down", "soon"),
        ("rule", ""),
        ("stages", [{"shadow": 0.5, "until": "warm"}]),
    ],
)
def test_what_a_rollout_may_do_is_told_in_words_that_it_knows(
    key: str, value: object
) -> None:
    assert key in refusal(table(**{key: value}))


def test_a_rollout_is_held_back_watched_and_tried_again_unless_told_otherwise() -> None:
    plan = RolloutPlan.model_validate(table())
    assert (plan.holdback, plan.watch) == (5, timedelta(days=7))
    assert (plan.deadline, plan.on_deadline) == (None, OnDeadline.PAUSE)
    assert (plan.max_attempts, plan.cool_down) == (3, timedelta(minutes=10))
    assert plan.rule is None


def test_without_a_holdback_there_must_be_a_limit_to_compare_with() -> None:
    assert "no control is left to compare with" in refusal(table(holdback=0))
    slo = guardrail(tolerance=None, limit=0.1)
    both = table(holdback=0, guardrails=[guardrail(), slo])
    assert RolloutPlan.model_validate(both, context=GATED).holdback == 0


def test_a_route_with_a_bracket_would_look_like_one_of_its_cohorts() -> None:
    assert "by which a cohort of a route is named" in refusal(table(route="a[b=c]"))


def test_only_a_shadow_stage_waits_for_a_stable_latency() -> None:
    warm = {"shadow": 0.5, "until": "stable latency"}
    plan = RolloutPlan.model_validate(table(stages=[warm, {"weight": 100}]))
    assert [stage.until for stage in plan.stages] == [Until.WARM, Until.PROOF]
    told = refusal(table(stages=[{"weight": 5, "until": "stable latency"}]))
    assert "only a shadow stage can wait for a stable latency" in told


def test_a_warm_up_counts_its_answers_by_itself() -> None:
    with pytest.raises(ValidationError, match="counts for itself"):
        Stage.model_validate(
            {"shadow": 0.2, "until": "stable latency", "min_exposures": 5}
        )
