import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext

from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import SCALE
from flipback_providers.flagfile import _edits
from flipback_providers.flagfile._document import Json, JsonObject, parse
from flipback_providers.flagfile._flags import Flags, load


unhurried = settings(deadline=None)  # machines that run tests are busy
EVALUATORS: JsonObject = {
    "half": {"fractional": [["v1", 50], ["v2", 50]]},
    "pin": "v2",
    "control": {"if": [{"var": "beta"}, "v1", "v1"]},
}
GOLD: Json = {"==": [{"var": "plan"}, "gold"]}


def flag(targeting: Json, **parts: Json) -> JsonObject:
    variants: JsonObject = {"v1": "one", "v2": "two", "v3": "three"}
    start: JsonObject = {"state": "ENABLED", "variants": variants}
    return {**start, "defaultVariant": "v1", "targeting": targeting, **parts}


def split(*weights: int) -> Json:
    return {"fractional": [[f"v{n}", weight] for n, weight in enumerate(weights, 1)]}


def served(edited: JsonObject, users: int = 100) -> list[str | None]:
    root = {"flags": {"route": edited}, "$evaluators": EVALUATORS}
    document = parse(json.dumps(root).encode(), file="f")
    flags, mistakes = load(document, before=Flags())
    assert not mistakes
    answers: list[str | None] = []
    for number in range(users):
        attributes = {"plan": ("gold", "free")[number % 2], "beta": number % 3 == 0}
        user = EvaluationContext(f"user-{number}", attributes)
        raw = flags.core.resolve_string_value("route", "", user)
        answers.append(flags.read("route", raw).variant)
    return answers


@pytest.mark.parametrize(
    ("targeting", "rule"),
    [
        (split(75, 25), None),
        ({"if": [GOLD, "v2", split(75, 25)]}, None),
        ({"if": [GOLD, split(1, 1), split(75, 25)]}, "default"),
        ({"if": [GOLD, split(75, 25), split(1, 1)]}, "1"),
        ({"if": [GOLD, split(75, 25)]}, None),
        ({"if": [GOLD, "v1", {"if": [{"var": "beta"}, "v2", split(75, 25)]}]}, None),
        ({"if": [GOLD, {"if": [{"var": "a"}, split(75, 25)]}, "v1"]}, "1.1"),
    ],
)
def test_the_managed_split_is_the_last_branchs_or_the_named_rules(
    targeting: Json, rule: str | None
) -> None:
    edited = flag(targeting)
    assert _edits.split_of(edited, rule) == {"v1": 75_000, "v2": 25_000}
    _edits.put_split(edited, rule, {"v1": 60_000, "v2": 40_000})
    assert _edits.split_of(edited, rule) == {"v1": 60_000, "v2": 40_000}
    assert json.dumps(edited).count("40000") == 1


@pytest.mark.parametrize(
    ("targeting", "rule", "problem"),
    [
        ({}, None, "no split"),
        (split(1, 1), "3", "no rule '3'"),
        ({"if": [GOLD, split(1, 1), "v1"]}, None, 'rule default returns "v1"'),
        ({"if": [GOLD, "v1", {"$ref": "half"}]}, None, "shared with other flags"),
        ({"fractional": [["v1", {"var": "w"}], ["v2", 1]]}, None, "is computed"),
        ({"fractional": [[GOLD, 1], ["v2", 1]]}, None, "is computed"),
        (split(0, 0), None, "no positive weight"),
        ({"fractional": [["v1"], ["v2"], ["v1"]]}, None, "names a variant twice"),
    ],
)
def test_a_flag_without_one_place_to_write_says_why(
    targeting: Json, rule: str | None, problem: str
) -> None:
    with pytest.raises(FlagWriteError, match=problem) as caught:
        _edits.split_of(flag(targeting), rule)
    assert caught.value.kind is FlagProblem.INVALID_WRITE


@unhurried
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6).filter(any))
def test_weights_are_scaled_to_sum_to_scale_and_keep_their_shares(
    weights: list[int],
) -> None:
    names = [f"v{number}" for number in range(len(weights))]
    entries: list[Json] = [[n, w] for n, w in zip(names, weights, strict=True)]
    scaled = _edits.split_of(flag({"fractional": entries}), None)
    assert sum(scaled.values()) == SCALE
    for name, weight in zip(names, weights, strict=True):
        assert abs(scaled[name] - SCALE * weight / sum(weights)) < 1


def test_a_new_variant_is_appended_and_an_unnamed_one_gets_nothing() -> None:
    edited = flag({"fractional": [{"var": "tenant"}, ["v1"], ["v2", 1]]})
    _edits.put_split(edited, None, {"v1": 90_000, "v3": 10_000})
    bucket: Json = {"var": "tenant"}
    assert edited["targeting"] == {
        "fractional": [bucket, ["v1", 90_000], ["v2", 0], ["v3", 10_000]]
    }


def test_reading_leaves_the_flag_as_it_was_written() -> None:
    written = flag({"if": [{"!": {"var": "beta"}}, "v2", {"fractional": [["v1"]]}]})
    before = copy.deepcopy(written)
    _edits.split_of(written, None)
    _edits.exceptions(written, None)
    assert written == before


def test_exceptions_describe_what_does_not_follow_the_split() -> None:
    targeting: Json = {"if": [GOLD, "v2", {"var": "b"}, split(1, 2), split(9, 1)]}
    assert _edits.exceptions(flag(targeting), None) == (
        'rule 1 where {"==": [{"var": "plan"}, "gold"]} serves "v2"',
        'rule 2 where {"var": "b"} splits ["v1", 1], ["v2", 2]',
    )


def test_a_kill_takes_a_value_that_names_one_variant_and_no_two() -> None:
    assert _edits.killed(flag({}), "one")["defaultVariant"] == "v1"
    twins: JsonObject = {"v1": "same", "v2": "same"}
    with pytest.raises(FlagWriteError, match="'v1', 'v2'"):
        _edits.killed(flag({}, variants=twins), "same")


def test_a_killed_flag_is_left_as_it_is() -> None:
    empty: JsonObject = {}
    for written in (flag(empty), flag(None)):
        assert _edits.killed(written, "v1") == written
    boolean = flag({}, variants={"true": True, "false": False}, defaultVariant=False)
    assert _edits.killed(boolean, "false") == boolean


leaves = st.sampled_from(
    ["v1", "v2", "v3", None, {"$ref": "half"}, {"$ref": "pin"}, {"$ref": "control"}]
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(st.tuples(inner, st.integers(1, 99)).map(list), min_size=1).map(
            lambda entries: {"fractional": entries}
        ),
        st.lists(inner, min_size=2, max_size=3).map(
            lambda nodes: {
                "if": [part for n in nodes[:-1] for part in (GOLD, n)] + nodes[-1:]
            }
        ),
    ),
    max_leaves=10,
).filter(lambda tree: isinstance(tree, dict) and tree != {"$ref": "pin"})


@unhurried
@given(trees, st.sampled_from(["v1", "v2"]))
def test_a_variant_that_is_taken_out_is_served_to_nobody(
    targeting: JsonObject, default: str
) -> None:
    written = flag(targeting, defaultVariant=default)
    before = copy.deepcopy(written)
    edited = _edits.without(written, "v2", stand_in="v1", evaluators=EVALUATORS)
    assert "v2" not in served(edited)
    assert written == before


def test_whoever_had_another_variant_keeps_it() -> None:
    targeting: Json = {"if": [GOLD, {"$ref": "half"}, split(40, 20, 40)]}
    written = flag(targeting)
    edited = _edits.without(written, "v2", stand_in="v1", evaluators=EVALUATORS)
    expected = ["v1" if each == "v2" else each for each in served(written)]
    assert served(edited) == expected


def test_evaluators_without_the_variant_stay_references() -> None:
    written = flag({"if": [GOLD, {"$ref": "control"}, {"$ref": "half"}]})
    edited = _edits.without(written, "v2", stand_in="v1", evaluators=EVALUATORS)
    halved: Json = {"fractional": [["v1", 100], ["v2", 0]]}
    assert edited["targeting"] == {"if": [GOLD, {"$ref": "control"}, halved]}


@pytest.mark.parametrize(
    ("targeting", "problem"),
    [
        ({"if": [GOLD, {"var": "wish"}]}, "computes its variant"),
        ({"fractional": [["v1", {"var": "w"}], ["v2", 1]]}, "is computed"),
        ({"$ref": "absent"}, "refers to no evaluator"),
    ],
)
def test_a_variant_that_may_come_back_is_not_called_out(
    targeting: Json, problem: str
) -> None:
    with pytest.raises(FlagWriteError, match=problem):
        _edits.without(flag(targeting), "v2", stand_in="v1", evaluators=EVALUATORS)


def test_every_split_is_told_by_the_rule_that_evaluations_name() -> None:
    targeting: Json = {
        "if": [
            {"==": [{"var": "plan"}, "free"]},
            {"fractional": [["v1", 1], ["v2", 1]]},
            {"==": [{"var": "plan"}, "pro"]},
            "v2",
            {"$ref": "everybody"},
        ]
    }
    shared: JsonObject = {
        "everybody": {"fractional": [["v1", 90], ["v2", 10], ["v1", 100]]}
    }
    assert _edits.splits_of(flag(targeting), shared) == {
        "1": {"v1": 50_000, "v2": 50_000},
        "default": {"v1": 95_000, "v2": 5_000},
    }


@pytest.mark.parametrize(
    "targeting",
    [
        {},
        None,
        "v1",
        {"fractional": [["v1", 100]]},
        {"fractional": [["v1", 100], ["v2", 0]]},
        {"fractional": ["a constant", ["v1", 50], ["v2", 50]]},
        {"fractional": [["v1", {"var": "weight"}], ["v2", 50]]},
        {"fractional": [[{"if": [{"var": "a"}, "v1", "v2"]}, 50], ["v2", 50]]},
    ],
)
def test_what_has_no_share_of_its_own_tells_none(targeting: Json) -> None:
    assert _edits.splits_of({"targeting": targeting}, {}) == {}
