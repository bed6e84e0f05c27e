import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import (
    FlagNotFoundError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, Reason

from flipback_providers.flagfile import FlagFileProvider, open_service


Open = Callable[..., FlagFileProvider]
Flag = dict[str, object]
SPLIT = {"fractional": [["v1", 50], ["v2", 50]]}
USERS = [EvaluationContext(f"user-{number}") for number in range(300)]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open a provider on a file with these flags; `route` is the one to evaluate."""
    providers: list[FlagFileProvider] = []

    def write_and_open(route: Flag, **others: object) -> FlagFileProvider:
        path = tmp_path / "flags.json"
        path.write_text(json.dumps({"flags": {"route": route}, **others}))
        provider = FlagFileProvider(path, wait=lambda stop, _: stop.wait())
        provider.initialize(EvaluationContext())
        providers.append(provider)
        return provider

    yield write_and_open
    for provider in providers:
        provider.shutdown()


def flag(targeting: object = None, **parts: object) -> Flag:
    variants = {"v1": "one", "v2": "two", "v3": "three"}
    start: Flag = {"state": "ENABLED", "variants": variants, "defaultVariant": "v1"}
    return {**start, "targeting": targeting or {}, **parts}


def answer(
    provider: FlagFileProvider, key: str | None = "user-1", **attributes: str
) -> FlagResolutionDetails[str]:
    context = EvaluationContext(key, attributes)
    return provider.resolve_string_details("route", "mine", context)


def rule(details: FlagResolutionDetails[str]) -> object:
    return details.flag_metadata.get("rule")


def test_a_split_says_so_and_hands_out_real_names(opened: Open) -> None:
    provider = opened(flag(SPLIT))
    answers = [provider.resolve_string_details("route", "", user) for user in USERS]
    assert {(a.variant, a.value) for a in answers} == {("v1", "one"), ("v2", "two")}
    assert {(a.reason, rule(a)) for a in answers} == {(Reason.SPLIT, "default")}


def test_every_branch_is_named_and_a_chain_goes_on_counting(opened: Open) -> None:
    def is_plan(name: str) -> Flag:
        return {"==": [{"var": "plan"}, name]}

    inner = {"if": [is_plan("c"), {"if": [{"var": "beta"}, "v2", SPLIT]}, SPLIT]}
    provider = opened(flag({"if": [is_plan("a"), "v2", is_plan("b"), SPLIT, inner]}))
    named = {
        name: (rule(found), found.reason)
        for name in "abcd"
        for found in [answer(provider, plan=name)]
    }
    assert named == {
        "a": ("1", Reason.TARGETING_MATCH),
        "b": ("2", Reason.SPLIT),
        "c": ("3.default", Reason.SPLIT),
        "d": ("default", Reason.SPLIT),
    }
    assert rule(answer(provider, plan="c", beta="yes")) == "3.1"


@pytest.mark.parametrize(
    "targeting",
    [
        {"fractional": [["v1", 0], ["v2", 100]]},
        {"fractional": [["v2"]]},
        {"fractional": [["v2", 50], ["v2", 50]]},
        {"fractional": ["the same for all", ["v2", 50], ["v3", 50]]},
        {"fractional": [["v2", {"if": [{"var": "plan"}, 50, 0]}], ["v3", 50]]},
    ],
)
def test_a_split_without_a_choice_that_is_comparable_is_a_match(
    opened: Open, targeting: object
) -> None:
    assert answer(opened(flag(targeting))).reason is Reason.TARGETING_MATCH


def test_a_choice_inside_a_split_is_told_from_its_neighbours(opened: Open) -> None:
    choice = {"if": [{"var": "beta"}, "v2", "v3"]}
    provider = opened(flag({"fractional": [["v1", 50], [choice, 50]]}))
    answers = [provider.resolve_string_details("route", "", user) for user in USERS]
    assert {(a.variant, rule(a)) for a in answers} == {
        ("v1", "default"),
        ("v3", "default.default"),
    }


def test_a_flag_without_targeting_is_static_and_names_no_rule(opened: Open) -> None:
    found = answer(opened(flag()))
    assert (found.value, found.reason, rule(found)) == ("one", Reason.STATIC, None)


def test_a_computed_variant_is_served_and_names_no_rule(opened: Open) -> None:
    found = answer(opened(flag({"var": "wish"})), wish="v3")
    assert (found.value, rule(found)) == ("three", None)
    assert found.reason is Reason.TARGETING_MATCH


def test_a_split_in_an_evaluator_is_seen_through(opened: Open) -> None:
    split: Flag = {"fractional": [{"$ref": "unit"}, ["v1"], ["v2"]]}
    evaluators: Flag = {"half": split, "unit": {"var": "tenant"}}
    provider = opened(flag({"$ref": "half"}), **{"$evaluators": evaluators})
    assert answer(provider, key=None, tenant="acme").reason is Reason.SPLIT


def test_a_disabled_flag_and_a_null_default_hand_out_the_callers(opened: Open) -> None:
    disabled = answer(opened(flag(state="DISABLED")))
    assert (disabled.value, disabled.reason) == ("mine", Reason.DISABLED)
    null = answer(opened(flag(defaultVariant=None)))
    assert (null.value, null.reason) == ("mine", Reason.DEFAULT)
    unmatched = answer(opened(flag({"if": [{"var": "beta"}, "v2"]})))
    assert (unmatched.value, unmatched.reason) == ("one", Reason.DEFAULT)


@pytest.mark.parametrize(
    "bucket", [[], [{"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]}]]
)
@pytest.mark.parametrize("key", [None, ""])
def test_a_split_reached_without_a_targeting_key_is_an_error(
    opened: Open,
    caplog: pytest.LogCaptureFixture,
    bucket: list[object],
    key: str | None,
) -> None:
    split = {"fractional": [*bucket, ["v1", 50], ["v2", 50]]}
    provider = opened(flag({"if": [{"var": "beta"}, "v2", split]}))
    with pytest.raises(TargetingKeyMissingError):
        answer(provider, key)
    assert answer(provider, key, beta="yes").value == "two"
    assert not caplog.records


def test_metadata_of_file_and_flag_is_merged_below_our_own(opened: Open) -> None:
    provider = opened(
        flag(SPLIT, metadata={"owner": "flag", "version": "theirs", "odd": None}),
        metadata={"owner": "file", "team": "ranking"},
    )
    metadata = dict(answer(provider).flag_metadata)
    assert len(str(metadata.pop("version"))) == 16
    assert metadata == {"owner": "flag", "team": "ranking", "rule": "default"}


def test_the_version_is_of_this_flag_and_its_evaluators_alone(opened: Open) -> None:
    def version(route: Flag, other: int = 0, **evaluators: object) -> object:
        provider = opened(route, metadata={"n": other}, **{"$evaluators": evaluators})
        return answer(provider).flag_metadata["version"]

    uses_a = flag({"if": [{"$ref": "a"}, "v2", "v1"]})
    assert version(flag()) == version(flag(), 1, a=True)
    assert version(uses_a, a={"$ref": "b"}, b=1) == version(
        uses_a, a={"$ref": "b"}, b=1, c=1
    )
    assert version(uses_a, a={"$ref": "b"}, b=1) != version(
        uses_a, a={"$ref": "b"}, b=2
    )
    assert version(flag()) != version(flag(defaultVariant="v2"))


def split_of(first: object, second: object) -> Flag:
    return flag(SPLIT, variants={"v1": first, "v2": second})


def test_every_type_is_served_and_no_other(opened: Open) -> None:
    user = USERS[0]
    boolean = opened(split_of(first=True, second=False))
    assert boolean.resolve_boolean_details("route", False, user).reason is Reason.SPLIT  # noqa: FBT003 - OpenFeature's signature
    integer = opened(split_of(1, 2))
    assert integer.resolve_integer_details("route", 0, user).value in {1, 2}
    number = opened(split_of(1, 2.5)).resolve_float_details("route", 0.0, user)
    assert (type(number.value), number.reason) == (float, Reason.SPLIT)
    with pytest.raises(TypeMismatchError):
        integer.resolve_string_details("route", "", user)


def test_a_changed_object_is_the_callers_alone(opened: Open) -> None:
    provider = opened(split_of({"models": ["a"]}, {"models": ["a"]}))
    for _ in range(2):
        value = provider.resolve_object_details("route", {}, USERS[0]).value
        assert value == {"models": ["a"]}
        assert isinstance(value, dict)
        value["models"].append("mine")
    mine: list[str] = []
    assert (
        opened(flag(state="DISABLED")).resolve_object_details("route", mine).value
        is mine
    )


def test_boolean_leaves_name_the_variants_true_and_false(opened: Open) -> None:
    variants = {"true": "on", "false": "off"}
    targeting = {"if": [{"var": "beta"}, True, False]}
    provider = opened(flag(targeting, variants=variants, defaultVariant=False))
    assert answer(provider).variant == "false"
    assert answer(provider, beta="yes").value == "on"


def test_an_unknown_flag_is_not_found(opened: Open) -> None:
    with pytest.raises(FlagNotFoundError):
        opened(flag()).resolve_string_details("absent", "")


def test_a_service_opens_below_its_base_and_can_do_everything(tmp_path: Path) -> None:
    (tmp_path / "flags.json").write_text('{"flags": {}}')
    service = open_service("flags.json", base=str(tmp_path))
    service.provider.initialize(EvaluationContext())
    service.provider.shutdown()
    assert service.writer is not None
    assert service.version == "2.0.0+1"
