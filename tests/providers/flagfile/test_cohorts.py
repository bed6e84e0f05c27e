from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext

from cohort_flags import (
    GOLD,
    Served,
    Value,
    flag,
    unhurried,
)
from flagfiles import INTENT, REF
from flipback.errors import FlagProblem, FlagWriteError
from flipback_providers.flagfile import FlagFileWriter
from flipback_providers.flagfile._document import Json, JsonObject


def spelled(value: Value) -> str:
    """Spell a value as decisions do to name its cohort."""
    return str(value).lower() if isinstance(value, bool) else str(value)


leaves = st.sampled_from(["v1", "v2", "v3", None, {"$ref": "half"}, {"$ref": "pin"}])
conditions: st.SearchStrategy[Json] = st.sampled_from(
    [GOLD, {">": [{"var": "n"}, 2]}, {"==": [{"var": "targetingKey"}, "user-1"]}]
)


def _split(entries: list[list[Json]]) -> Json:
    return {"fractional": list(entries)}


def _if(parts: tuple[list[tuple[Json, Json]], list[Json], str]) -> Json:
    branches, last, operator = parts
    return {operator: [part for branch in branches for part in branch] + last}


trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(
            st.tuples(inner, st.integers(1, 99)).map(list), min_size=1, max_size=3
        ).map(_split),
        st.tuples(
            st.lists(st.tuples(conditions, inner), min_size=1, max_size=3),
            st.lists(inner, max_size=1),
            st.sampled_from(["if", "?:"]),
        ).map(_if),
    ),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))
flags = st.builds(
    lambda targeting, default, state: flag(
        targeting, defaultVariant=default, state=state
    ),
    st.one_of(trees, st.just({}), st.none()),
    st.sampled_from(["v1", "v2", None]),
    st.sampled_from(["ENABLED", "ENABLED", "ENABLED", "DISABLED"]),
)
numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from([10**16, 10**15, 1e16, 1e15, -1e16, 1e22, 10**22, 0.1, -0.0]),
    st.integers(-3, 3).map(float),
    st.floats(),
)
values: st.SearchStrategy[Value] = st.one_of(
    st.sampled_from(["gold", "GOLD", "free", "", "3", "3.0", "1", "true", "True"]),
    st.booleans(),
    numbers,
    numbers.map(str),
    st.text(max_size=3),
    st.just(datetime(2026, 1, 1)),  # noqa: DTZ001 - the kind that is hard to compare
    st.just(["a"]),
)
contexts = st.builds(
    lambda key, plan, n: EvaluationContext(
        key, {k: v for k, v in (("plan", plan), ("n", n)) if v is not None}
    ),
    st.sampled_from([None, "user-1", "user-2", "user-3", "user-4"]),
    st.one_of(values, st.none()),
    st.one_of(values, st.none()),
)


def in_cohort(user: EvaluationContext, cohort: str) -> bool:
    name, _, value = cohort.partition("=")
    if name == "targetingKey":
        return user.targeting_key == value
    held = user.attributes.get(name)
    return held is not None and spelled(held) == value  # type: ignore[arg-type]  # of Value


@unhurried
@given(flags, st.data())
def test_a_cohort_gets_control_and_everybody_else_what_they_had(
    served: Served, written: JsonObject, data: st.DataObject
) -> None:
    users = data.draw(st.lists(contexts, min_size=3, max_size=8))
    named = data.draw(st.sampled_from(users))
    name = data.draw(st.sampled_from(["plan", "n", "targetingKey"]))
    value = (
        named.targeting_key if name == "targetingKey" else named.attributes.get(name)
    )
    assume(value is not None)
    cohort = f"{name}={spelled(value)}"  # type: ignore[arg-type]  # of Value
    served.write(written)
    before = [served.to(user) for user in users]
    try:
        served.kill(cohort)
    except FlagWriteError:  # for the whole flag to be killed
        assert [served.to(user) for user in users] == before
        return
    assert not served.kill(cohort)
    for user, had in zip(users, before, strict=True):
        off = written["state"] == "DISABLED"
        control = had if off else ("one", "v1")
        assert served.to(user) == (control if in_cohort(user, cohort) else had)


@pytest.mark.parametrize(
    ("value", "alike"),
    [
        ("enterprise", ["enterprise"]),
        ("", [""]),
        ("3", ["3", 3]),
        ("-7", ["-7", -7]),
        ("3.0", ["3.0", 3.0]),
        ("0", ["0", 0]),
        ("0.0", ["0.0", 0.0]),
        ("-0.0", ["-0.0", -0.0]),
        ("1", ["1", 1]),
        ("0.1", ["0.1", 0.1]),
        ("1e+16", ["1e+16", 1e16]),
        ("10000000000000000", ["10000000000000000", 10**16]),
        ("true", ["true", True]),
        ("false", ["false", False]),
        ("True", ["True"]),
    ],
)
def test_a_value_is_compared_as_decisions_spell_it(
    served: Served, value: str, alike: list[Value]
) -> None:
    served.write(flag({"fractional": [["v2", 1]]}))
    served.kill(f"n={value}")
    all_values: list[Value | None] = [
        *(
            "enterprise",
            "Enterprise",
            "",
            " 3",
            "3",
            3,
            3.0,
            "3.0",
            "03",
            -7,
            -7.0,
            "-7",
        ),
        *("0", 0, 0.0, "0.0", -0.0, "-0.0", "1", 1, 1.0, True, "true", "True", "TRUE"),
        *(False, "false", "False", 0.1, "0.1", 1e16, 10**16, "1e+16", str(10**16)),
        *(["a"], ["3"], [3], datetime(2026, 1, 1), None, float("nan"), float("inf")),  # noqa: DTZ001 - see above
    ]
    got = [
        each
        for each in all_values
        if served.to(EvaluationContext("u", {} if each is None else {"n": each}))
        == ("one", "v1")
    ]
    assert list(map(repr, got)) == [
        repr(v) for v in all_values if v is not None and spelled(v) == value
    ]
    assert sorted(map(repr, got)) == sorted(map(repr, alike))


@pytest.mark.parametrize(
    "cohort",
    [
        *("enterprise", "=x", "user.plan=gold", "$flagd=x"),
        *("plan=other", "plan=(none)", "n=nan", "n=inf", "n=-inf"),
        *("n=['a']", "n={}", "n=2026-01-01 00:00:00"),
    ],
)
def test_a_cohort_that_no_rule_can_name_is_refused(
    path: Path, writer: FlagFileWriter, cohort: str
) -> None:
    before = path.read_bytes()
    with pytest.raises(FlagWriteError) as caught:
        writer.kill(REF, control="v1", intent=INTENT, cohort=cohort)
    assert caught.value.kind is FlagProblem.INVALID_WRITE
    assert path.read_bytes() == before
