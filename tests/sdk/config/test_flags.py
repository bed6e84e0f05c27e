from collections.abc import Mapping

import pytest

from flipback.config import check_flag, flag_variant, variant_named_by
from flipback.plan import FailsOn, Guardrail, RolloutPlan, Stage
from flipback.ports import FlagRef, FlagState, PreflightIssue, Version


def plan(**changes: object) -> RolloutPlan:
    written = RolloutPlan(
        route="summarizer",
        flag="summarizer-model",
        control="v1",
        candidate="v2",
        stages=(Stage(weight=1),),
        guardrails=(Guardrail(metric="error", fails_on=FailsOn.INCREASE),),
    )
    return written.model_copy(update=changes)


def flag(variants: Mapping[str, object]) -> FlagState:
    return FlagState(
        ref=FlagRef(key="summarizer-model"),
        enabled=True,
        variants=variants,
        split={},
        default_variant=None,
        version=Version(token="1", scope="flag"),  # noqa: S106 - no password
    )


def told(written: RolloutPlan, variants: Mapping[str, object]) -> list[str]:
    return [str(found) for found in check_flag(written, "p.toml", flag(variants), ())]


def test_a_flag_whose_values_name_the_variants_fits() -> None:
    assert told(plan(), {"a": "v1", "b": "v2", "c": "v3"}) == []


def test_a_missing_flag_is_told_what_it_needs() -> None:
    (mistake,) = check_flag(plan(), "p.toml", None, ())
    assert str(mistake) == (
        "p.toml: flag: the flag service has no flag 'summarizer-model'; "
        "create it with variants for 'v1' and 'v2', or correct `flag`"
    )


def test_a_control_that_is_no_variant_is_told_with_the_nearest() -> None:
    assert told(plan(control="v11"), {"v1": "v1", "v2": "v2"}) == [
        (
            "p.toml: control: 'v11' is no variant of flag 'summarizer-model'; "
            "did you mean `v1`?"
        )
    ]


def test_control_and_candidate_are_both_told() -> None:
    problems = told(plan(control="old", candidate="new"), {"v1": "v1"})
    assert [problem.split(":")[1].strip() for problem in problems] == [
        "control",
        "candidate",
    ]
    assert "the flag has: v1" in problems[0]


def test_a_variant_whose_value_is_something_else_is_told_how_to_map_it() -> None:
    problems = told(plan(), {"v1": False, "v2": True})
    assert (
        'its value there is false: write `values = { "false" = "v1" }`' in problems[0]
    )
    assert 'its value there is true: write `values = { "true" = "v2" }`' in problems[1]


@pytest.mark.parametrize(
    ("value", "spelled"),
    [(True, "true"), (3, "3"), (0.5, "0.5"), (2.0, "2"), ("b", "b")],
)
def test_a_mapped_value_names_its_variant(value: object, spelled: str) -> None:
    mapped = plan(values={spelled: "v2", "else": "v1"})
    assert variant_named_by(mapped, value) == "v2"
    assert told(mapped, {"on": value, "off": "else"}) == []


def test_an_object_names_its_variant_at_the_key() -> None:
    keyed = plan(variant_key="model")
    assert variant_named_by(keyed, {"model": "v2", "other": 1}) == "v2"
    assert variant_named_by(keyed, {"name": "v2"}) is None
    assert variant_named_by(keyed, "v2") is None
    assert told(keyed, {"a": {"model": "v1"}, "b": {"model": "v2"}}) == []
    assert len(told(keyed, {"v1": "v1", "v2": "v2"})) == 2


def test_a_flag_without_a_value_names_nothing() -> None:
    assert variant_named_by(plan(), None) is None
    assert "the flag names no variant" in told(plan(), {})[0]


def test_the_flags_own_name_of_control_is_found() -> None:
    mapped = plan(values={"true": "v2", "false": "v1"})
    state = flag({"on": True, "off": False})
    assert flag_variant(mapped, state, "v1") == "off"
    assert flag_variant(mapped, state, "v9") is None


def test_only_what_blocks_a_kill_is_a_mistake() -> None:
    issues = [
        PreflightIssue(problem="a user is pinned to v2", remedy="remove the pin"),
        PreflightIssue(problem="no comments", remedy="none", blocks=False),
    ]
    found = check_flag(plan(), "p.toml", flag({"a": "v1", "b": "v2"}), issues)
    assert [str(mistake) for mistake in found] == [
        "p.toml: flag: 'summarizer-model': a user is pinned to v2; remove the pin"
    ]
