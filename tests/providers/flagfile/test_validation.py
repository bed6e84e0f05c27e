import json

import pytest

from flipback.errors import ConfigError
from flipback_providers.flagfile._document import parse
from flipback_providers.flagfile._validation import mistakes


def found(evaluators: object = None, **parts: object) -> list[str]:
    flag = {
        "state": "ENABLED",
        "variants": {"v1": "one", "v2": "two"},
        "defaultVariant": "v1",
        **parts,
    }
    good = {"state": "ENABLED", "variants": {"v1": "one"}}
    root = {"flags": {"good": good, "route": flag}}
    content = json.dumps({**root, "$evaluators": evaluators or {}}).encode()
    return [str(mistake) for mistake in mistakes(parse(content, file="f.json"))]


@pytest.mark.parametrize(
    "parts",
    [
        {"targeting": None},
        {"defaultVariant": None},
        {"defaultVariant": ""},
        {"targeting": {"if": [{"var": "a"}, "v2", None]}},
        {"targeting": {"var": "computed"}},
        {"targeting": {"fractional": [["v1"], ["v2", -5]]}},
        {"targeting": {"fractional": [["v1", {"var": "weight"}]]}},
        {"targeting": {"fractional": [{"var": "tenant"}, [{"var": "name"}, 1]]}},
        {"targeting": {"$ref": "half"}},
        {"variants": {"v1": 1, "v2": 2.5}, "targeting": {"var": "x"}},
        {"variants": {"v1": 1, "v2": "odd, but never served"}},
    ],
)
def test_what_flagd_serves_as_written_is_no_mistake(parts: dict[str, object]) -> None:
    assert found({"half": {"fractional": [["v1"], ["v2"]]}}, **parts) == []


SPLIT = "`fractional` of rule default has"


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"state": "ON"}, "`state` is wrong"),
        ({"variants": {}}, "`variants` is no JSON object with members"),
        ({"defaultVariant": "v9"}, "`defaultVariant` 'v9' is no variant"),
        (
            {"variants": {"v1": "one", "v2": 2}, "targeting": {"var": "x"}},
            "variants are of mixed type: 'v1' is a string, 'v2' is a number",
        ),
        ({"targeting": ["v1"]}, "`targeting` is no JSON object"),
        ({"targeting": {"iff": [1]}}, "targeting uses the unknown operator 'iff'"),
        (
            {"targeting": {"if": [{"$ref": "no"}, "v1"]}},
            "`$ref` names nothing in `$evaluators`",
        ),
        ({"targeting": {"$ref": "self"}}, "`$ref` names nothing in `$evaluators`"),
        (
            {"targeting": {"if": [{"var": "a"}, "v2", "v3"]}},
            "rule default returns 'v3', which is no variant; name one of 'v1', 'v2'",
        ),
        (
            {"targeting": {"if": [{"var": "a"}, {}]}},
            "rule 1 returns {}, which is no variant",
        ),
        (
            {"targeting": {"fractional": [["v1", 1], ["v9", 1]]}},
            "rule default returns 'v9', which is no variant",
        ),
        (
            {"targeting": {"fractional": [["v1", 99.5], ["v2", 0.5]]}},
            f"{SPLIT} the weight 99.5, which is no integer",
        ),
        (
            {"targeting": {"fractional": [["v1", "90"], ["v2", 10]]}},
            f"{SPLIT} the weight '90', which is no integer",
        ),
        (
            {"targeting": {"fractional": [["v1", 0], ["v2", 0]]}},
            f"{SPLIT} weights that sum to 0",
        ),
        (
            {"targeting": {"fractional": [["v1", 2**31]]}},
            f"{SPLIT} weights that sum to 2147483648",
        ),
        (
            {"targeting": {"fractional": [["v1", 1, 2]]}},
            f"{SPLIT} an entry that is no split",
        ),
        ({"targeting": {"fractional": []}}, f"{SPLIT} an entry that is no split"),
    ],
)
def test_a_mistake_names_file_flag_and_what_to_do(
    parts: dict[str, object], problem: str
) -> None:
    [mistake] = found({"self": {"$ref": "self"}}, **parts)
    place, remedy = mistake.split(problem)
    assert place == "f.json: [flags] route: "
    assert "; " in remedy or "; " in problem


def test_targeting_that_is_nested_without_end_is_a_mistake() -> None:
    targeting: object = "v1"
    for _ in range(400):
        targeting = {"if": [True, targeting]}
    [mistake] = found(targeting=targeting)
    assert "nested too deeply" in mistake


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{\n"flags": {,', r"f\.json: line 2, column 11: is no JSON"),
        (b"\xff\xfe", r"f\.json: content: cannot be decoded"),
        (b"[" * 100_000, r"f\.json: content: cannot be decoded"),
        (b"1", r"f\.json: content: is no JSON object"),
        (b'{"flags": []}', r"f\.json: flags: is no JSON object"),
        (b'{"$evaluators": 1}', r"f\.json: \$evaluators: is no JSON object"),
    ],
)
def test_a_broken_file_says_where(content: bytes, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem + ".*; repair it"):
        parse(content, file="f.json")


def test_a_file_of_nothing_and_one_with_a_byte_order_mark_are_good() -> None:
    assert mistakes(parse(b"{}", file="f")) == ()
    assert parse(b'\xef\xbb\xbf{"flags": {"a": 1}}', file="f").flags == {"a": 1}


def test_text_that_is_no_unicode_is_written_as_it_was() -> None:
    document = parse(b'{"a": "\\ud800", "b": "\\u00e9"}', file="f")
    assert json.loads(document.render()) == document.root
