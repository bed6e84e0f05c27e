"""flagd with marks serves exactly what flagd serves without."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.contrib.tools.flagd.core.targeting.targeting import (
    OPERATORS as FLAGD_OPERATORS,
)
from openfeature.evaluation_context import EvaluationContext

from flipback_providers.flagfile._document import parse
from flipback_providers.flagfile._flags import Flags, load
from flipback_providers.flagfile._validation import OPERATORS


unhurried = settings(deadline=None)  # machines that run tests are busy
NAMES = ("v1", "v2", "v3", "true", "false", "1")
GOLDEN = Path(__file__).with_name("golden_assignments.json")

leaves = st.sampled_from([*NAMES, True, False, 1, None])
conditions = st.sampled_from(
    [
        True,
        {"==": [{"var": "plan"}, "gold"]},
        {"in": ["7", {"var": "targetingKey"}]},
        {"$ref": "beta"},
        {"!": {"var": "age"}},
    ]
)
buckets = st.sampled_from(
    [
        [],
        [{"var": "targetingKey"}],
        [{"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]}],
        [{"var": "plan"}],
        ["constant"],
    ]
)
weights = st.one_of(st.integers(0, 100_000), st.just({"if": [{"var": "age"}, 30, 70]}))


def splits(nodes: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    entry = st.one_of(
        st.tuples(nodes, weights).map(list), nodes.map(lambda node: [node])
    )
    entries = st.lists(entry, min_size=1, max_size=4)
    return st.builds(lambda b, e: {"fractional": [*b, *e]}, buckets, entries)


def branchings(nodes: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    pairs = st.lists(st.tuples(conditions, nodes), min_size=1, max_size=3)
    rest = st.lists(nodes, max_size=1)
    return st.builds(
        lambda name, p, r: {name: [part for pair in p for part in pair] + r},
        st.sampled_from(["if", "?:"]),
        pairs,
        rest,
    )


nodes = st.recursive(
    st.one_of(leaves, st.just({"var": "wish"}), st.just({"$ref": "shared"})),
    lambda inner: splits(inner) | branchings(inner),
    max_leaves=12,
)
targetings = st.one_of(splits(nodes), branchings(nodes))
users = st.builds(
    EvaluationContext,
    st.text(min_size=1),
    st.fixed_dictionaries(
        {"wish": st.sampled_from(["v1", "v2"])},
        optional={
            "plan": st.sampled_from(["gold", "free"]),
            "age": st.integers(0, 99),
            "beta": st.booleans(),
        },
    ),
)


def served(core: FlagdCore, user: EvaluationContext) -> tuple[object, str | None]:
    found = core.resolve_string_value("route", "mine", user)
    return found.value, found.variant


@unhurried
@given(targetings, st.lists(users, min_size=1, max_size=20))
def test_marks_change_nobodys_assignment(
    targeting: object, subjects: list[EvaluationContext]
) -> None:
    content = json.dumps(
        {
            "flags": {
                "route": {
                    "state": "ENABLED",
                    "variants": {name: f"value of {name}" for name in NAMES},
                    "defaultVariant": "v1",
                    "targeting": targeting,
                }
            },
            "$evaluators": {
                "beta": {"var": "beta"},
                "shared": {"fractional": [["v2", 1], ["v3", 3]]},
            },
        }
    )
    plain = FlagdCore()
    plain.set_flags(content)
    flags, mistakes = load(parse(content.encode(), file="f"), before=Flags())
    if mistakes:  # only weights that sum to 0 can be wrong here
        assert "sum to" in str(mistakes[0])
        return
    for user in subjects:
        raw = flags.core.resolve_string_value("route", "mine", user)
        marked = flags.read("route", raw)
        assert (marked.value, marked.variant) == served(plain, user)


def test_nobody_is_bucketed_anew_by_an_upgrade() -> None:
    golden = json.loads(GOLDEN.read_text())
    content = json.dumps(golden["document"]).encode()
    flags, _ = load(parse(content, file=str(GOLDEN)), before=Flags())
    moved = []
    for key, variant in golden["assignments"].items():
        raw = flags.core.resolve_string_value("route", "", EvaluationContext(key))
        if flags.read("route", raw).variant != variant:
            moved.append(key)
    assert len(golden["assignments"]) == 1000
    assert not moved, (
        f"an upgrade re-buckets users: {len(moved)} of 1000 get another variant of a"
        " running split; pin openfeature-flagd-core, or finish all rollouts first"
    )


def test_the_operators_known_to_validation_are_flagds() -> None:
    lazy = {"if", "?:", "and", "or", "filter", "reduce", "map", "all", "some", "none"}
    assert lazy | set(FLAGD_OPERATORS) == OPERATORS
