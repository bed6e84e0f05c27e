from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.plan import RolloutPlan, loosened


Table = Mapping[str, object]

ERRORS = {"metric": "error", "fails_on": "increase", "tolerance": 0.2}
SCORE = {"metric": "score", "fails_on": "decrease", "limit": 0.8}
STAGES = [
    {"shadow": 0.5, "window": "1d", "min_exposures": 100},
    {"weight": 5, "window": "1d", "min_exposures": 100},
    {"weight": 50, "window": "2d"},
]
HOPE = {"metric": "clicks", "rises_by": 0.05, "required": True}


def table(**changes: object) -> dict[str, object]:
    return {
        "route": "summarizer",
        "flag": "summarizer-model",
        "control": "v1",
        "candidate": "v2",
        "cohorts": {"plan": ["free", "enterprise"]},
        "stages": STAGES,
        "guardrails": [ERRORS, SCORE],
        "hypothesis": HOPE,
        "deadline": "30d",
        **changes,
    }


def plan(**changes: object) -> RolloutPlan:
    return RolloutPlan.model_validate(table(**changes))


def guarded(*guardrails: Table, **changes: object) -> RolloutPlan:
    return plan(guardrails=list(guardrails), **changes)


def staged(*stages: Table) -> RolloutPlan:
    return plan(stages=list(stages))


ONE_WAY: dict[str, tuple[RolloutPlan, RolloutPlan, str]] = {
    "guardrail gone": (plan(), guarded(SCORE), "`error` (increase) is guarded no more"),
    "tolerance": (
        plan(),
        guarded({**ERRORS, "tolerance": 0.3}, SCORE),
        "tolerance is 0.3 instead of 0.2",
    ),
    "lower limit": (
        plan(),
        guarded(ERRORS, {**SCORE, "limit": 0.7}),
        "limit is 0.7 instead of 0.8",
    ),
    "upper limit": (
        guarded({**SCORE, "fails_on": "increase"}),
        guarded({**SCORE, "fails_on": "increase", "limit": 0.9}),
        "limit is 0.9 instead of 0.8",
    ),
    "any change": (
        guarded({**ERRORS, "metric": "m", "fails_on": "change"}),
        guarded({**ERRORS, "metric": "m"}),
        "`m` (change) is guarded no more",
    ),
    "pause": (
        plan(),
        guarded({**ERRORS, "on_fail": "pause"}, SCORE),
        "on_fail is pause instead of roll back",
    ),
    "warn": (
        guarded({**ERRORS, "on_fail": "pause"}),
        guarded({**ERRORS, "on_fail": "warn"}),
        "on_fail is warn instead of pause",
    ),
    "scope": (
        plan(),
        guarded({**ERRORS, "scope": "cohort"}, SCORE),
        "rolls back the cohort alone",
    ),
    "a cohort of a guardrail": (
        plan(),
        guarded({**ERRORS, "cohorts": ["plan=free"]}, SCORE),
        "`error` (increase): `plan=enterprise` is watched no more",
    ),
    "a declared cohort": (
        plan(),
        plan(cohorts={"plan": ["free"]}),
        "`plan=enterprise` is no declared cohort",
    ),
    "smallest harm": (
        plan(),
        guarded({**ERRORS, "smallest_harm": 0.25}, SCORE),
        "a larger harm is the smallest",
    ),
    "smallest harm of cohorts": (
        guarded({**ERRORS, "smallest_harm": 0.1}),
        guarded(ERRORS),
        "a larger harm is the smallest",
    ),
    "gate": (plan(gate="strict"), plan(), "`gate` is scaled instead of strict"),
    "ramp margin": (
        plan(),
        plan(max_ramp_margin=1.5),
        "`max_ramp_margin` is 1.5 instead of 1",
    ),
    "undecided": (plan(), plan(undecided="ask"), "`undecided` is ask"),
    "holdback": (plan(), plan(holdback=1), "`holdback` is 1 instead of 5"),
    "hope gone": (plan(), plan(hypothesis=None), "nothing is hoped of `clicks`"),
    "hope not required": (
        plan(),
        plan(hypothesis={**HOPE, "required": False}),
        "is not required any more",
    ),
    "less hope": (
        plan(),
        plan(hypothesis={**HOPE, "rises_by": 0.01}),
        "less is hoped of `clicks`: 0.01 instead of 0.05",
    ),
    "stage gone": (
        plan(),
        staged(STAGES[0], STAGES[2]),
        "the stage of weight 5 is gone",
    ),
    "shadow gone": (plan(), staged(*STAGES[1:]), "the stage of shadow 0.5 is gone"),
    "shadow share": (
        plan(),
        staged({**STAGES[0], "shadow": 0.1}, *STAGES[1:]),
        "the stage of shadow 0.5: the share is 0.1",
    ),
    "window": (
        plan(),
        staged(*STAGES[:2], {"weight": 50, "window": "12h"}),
        "the stage of weight 50 lasts 12h instead of 2d",
    ),
    "min_exposures": (
        plan(),
        staged(STAGES[0], {**STAGES[1], "min_exposures": 99}, STAGES[2]),
        "the stage of weight 5 asks for 99 subjects instead of 100",
    ),
    "until": (
        plan(),
        staged({"shadow": 0.5, "window": "1d", "until": "stable latency"}, *STAGES[1:]),
        "asks for a stable latency instead of proof",
    ),
    "watch": (plan(), plan(watch="1d"), "`watch` is 1d instead of 7d"),
    "attempts": (plan(), plan(max_attempts=4), "`max_attempts` is 4 instead of 3"),
    "cool down": (plan(), plan(cool_down="1m"), "`cool_down` is 1m instead of 10m"),
    "deadline": (plan(), plan(deadline="31d"), "`deadline` is 31d instead of 30d"),
    "deadline gone": (plan(), plan(deadline=None), "there is no `deadline`"),
    "on_deadline": (
        plan(on_deadline="roll back"),
        plan(),
        "`on_deadline` pauses instead of rolling back",
    ),
    "on_error": (plan(), plan(on_error="raise"), "callers get the candidate's"),
    "missing": (
        plan(metrics={"score": {"matures_after": "1d", "missing": "bad"}}),
        plan(metrics={"score": {"matures_after": "1d"}}),
        "`score`: missing is 'exclude' instead of 'bad'",
    ),
}


@pytest.mark.parametrize("change", ONE_WAY)
def test_what_is_promised_less_is_told_and_the_other_way_is_stricter(
    change: str,
) -> None:
    strict, loose, said = ONE_WAY[change]
    assert any(said in sentence for sentence in loosened(strict, loose))
    assert loosened(loose, strict) == ()


def metric(**keys: object) -> RolloutPlan:
    return plan(metrics={"score": keys} if keys else {})


HEAVY = {**ERRORS, "importance": 100.0}
EITHER_WAY: dict[str, tuple[RolloutPlan, RolloutPlan, str]] = {
    "limit and tolerance": (
        plan(),
        guarded(ERRORS, {**SCORE, "limit": None, "tolerance": 0.0}),
        "`score` (decrease) is guarded no more",
    ),
    "smallest harm of everybody and of cohorts": (
        plan(),
        guarded({**ERRORS, "smallest_harm": 0.15}, SCORE),
        "a larger harm is the smallest",
    ),
    "alpha": (plan(), plan(alpha=0.1), "`alpha` is 0.1 instead of 0.05"),
    "candidate": (plan(), plan(candidate="v3"), "`candidate` is 'v3' instead of 'v2'"),
    "control": (plan(), plan(control="v0"), "`control` is 'v0' instead of 'v1'"),
    "unit": (plan(), plan(unit="tenant"), "`unit` is 'tenant'"),
    "kind": (metric(), metric(kind="heavy tail"), "is weighed as heavy tail instead"),
    "maturity": (metric(), metric(matures_after="2d"), "matures after 2d instead"),
    "sum": (metric(), metric(sum={"a": 1, "b": 2}), "is made of other metrics"),
    "missing": (
        metric(matures_after="1d", missing=1),
        metric(matures_after="1d", missing=2),
        "missing is",
    ),
    "hope": (
        plan(),
        plan(hypothesis={**HOPE, "metric": "views"}),
        "something else is hoped for",
    ),
    "direction of hope": (
        plan(),
        plan(hypothesis={"metric": "clicks", "falls_by": 0.05, "required": True}),
        "something else is hoped for",
    ),
    "direction of harm": (
        plan(),
        guarded({**ERRORS, "fails_on": "decrease"}, SCORE),
        "is guarded no more",
    ),
    "importance": (plan(), guarded(HEAVY, SCORE), "`score` (decrease): weighs less"),
}


@pytest.mark.parametrize("change", EITHER_WAY)
def test_what_cannot_be_compared_is_for_a_person(change: str) -> None:
    one, other, said = EITHER_WAY[change]
    assert any(said in sentence for sentence in loosened(one, other))
    assert loosened(other, one) != ()


def test_a_weight_that_drowns_the_other_guardrails_loosens_them() -> None:
    loud = {"metric": "noise", "fails_on": "increase", "importance": 1e9}
    assert len(loosened(plan(), guarded(ERRORS, SCORE, loud))) == 2
    quiet = {**loud, "importance": 1.0}
    assert loosened(plan(), guarded(ERRORS, SCORE, quiet)) == ()


def test_importances_that_all_change_alike_change_nothing() -> None:
    twice = [{**each, "importance": 2.0} for each in (ERRORS, SCORE)]
    assert loosened(plan(), guarded(*twice)) == ()


def test_the_margin_of_a_ramp_does_not_matter_where_the_gate_is_strict() -> None:
    strict = plan(gate="strict", max_ramp_margin=9.0)
    assert loosened(plan(gate="strict"), strict) == ()
    assert loosened(plan(), strict) == ()


def test_one_of_two_limits_may_stand_for_both() -> None:
    loose = {**SCORE, "limit": 0.5}
    both = guarded(SCORE, loose)
    assert loosened(both, guarded(SCORE)) == ()
    assert len(loosened(both, guarded(loose))) == 1


def test_another_shadow_stage_before_or_behind_is_stricter() -> None:
    short = {"shadow": 0.1}
    assert loosened(plan(), staged(short, *STAGES)) == ()
    assert loosened(plan(), staged(STAGES[0], short, *STAGES[1:])) == ()


def test_a_finer_ramp_is_stricter_and_a_coarser_one_is_not() -> None:
    finer = staged(*STAGES[:2], {"weight": 20}, STAGES[2])
    assert loosened(plan(), finer) == ()
    assert loosened(finer, plan()) == ("the stage of weight 20 is gone",)


def test_every_loosened_promise_is_told() -> None:
    assert len(loosened(plan(), plan(holdback=1, watch="1d", undecided="ask"))) == 3


PLANS = st.sampled_from(
    [
        each
        for strict, loose, _ in (ONE_WAY | EITHER_WAY).values()
        for each in (strict, loose)
    ]
)


@given(PLANS)
def test_a_plan_is_no_looser_than_itself(any_plan: RolloutPlan) -> None:
    assert loosened(any_plan, any_plan) == ()
    again = RolloutPlan.model_validate_json(any_plan.model_dump_json())
    assert loosened(any_plan, again) == ()


def _tighter_guardrail(table: dict[str, object], number: int) -> dict[str, object]:
    first, *rest = table["guardrails"]  # type: ignore[misc] # of a table
    edits = (
        {"tolerance": first["tolerance"] / 2},
        {"smallest_harm": (first.get("smallest_harm") or 0.1) / 2},
        {"cohorts": None},
    )
    added = {"metric": f"m{len(rest)}", "fails_on": "decrease", "tolerance": 0.1}
    if number < len(edits):
        return {**table, "guardrails": [{**first, **edits[number]}, *rest]}
    return {**table, "guardrails": [first, *rest, added]}


def _tighter_stage(table: dict[str, object], number: int) -> dict[str, object]:
    stages: list[dict[str, object]] = list(table["stages"])  # type: ignore[call-overload] # of a table
    last = stages[-1]
    edits = (
        [*stages[:-1], {**last, "min_exposures": last.get("min_exposures", 0) + 7}],  # type: ignore[operator] # a count
        [{"shadow": 0.3}, *stages],
        [*stages, {**last, "weight": (last["weight"] + 100) / 2}],  # type: ignore[operator] # a weight
    )
    return {**table, "stages": edits[number % len(edits)]}


def _tighter_time(table: dict[str, object], number: int) -> dict[str, object]:
    edits = (
        {"watch": "30d", "cool_down": "2h", "max_attempts": 1},
        {"deadline": "2d", "on_deadline": "roll back"},
        {"gate": "strict"},
        {"holdback": 10, "max_ramp_margin": 0.5},
    )
    return {**table, **edits[number % len(edits)]}


STEPS = st.tuples(
    st.sampled_from([_tighter_guardrail, _tighter_stage, _tighter_time]),
    st.integers(0, 3),
)


@given(st.lists(STEPS, max_size=6))
def test_no_chain_of_stricter_plans_is_ever_called_looser(steps: list[object]) -> None:
    start = table(guardrails=[{**ERRORS, "cohorts": ["plan=free"]}])
    tables = [start]
    for edit, number in steps:  # type: ignore[misc] # a step
        tables.append(edit(tables[-1], number))
    plans = [RolloutPlan.model_validate(each) for each in tables]
    assert loosened(plans[0], plans[-1]) == ()
    for before, after in pairwise(plans):
        assert loosened(before, after) == ()
