"""What is wrong with a flag, in words for the person who wrote it.

flagd accepts most of these mistakes and then serves the caller's default to some
subjects, or to all; here the flag's last good definition stays in force instead.
A flag without targeting needs no more than a default variant that exists, so
that a kill is always accepted.
"""

from collections.abc import Iterator, Mapping

from flipback.errors import Mistake
from flipback_providers.flagfile._document import (
    REF,
    Document,
    Json,
    JsonObject,
    expand,
)
from flipback_providers.flagfile._targeting import (
    Fractional,
    Place,
    fractional,
    operation,
    places,
    variant_name,
    weight,
)


_OPERATORS = """
    if ?: and or filter reduce map all some none == != === !== < > <= >= ! !! + * - / %
    in min max cat log var substr merge missing missing_some fractional starts_with
    ends_with sem_ver
"""
OPERATORS = frozenset(_OPERATORS.split())
"""What flagd's evaluator knows."""

_MAX_WEIGHT = 2**31 - 1  # flagd's limit for the sum
_Problem = tuple[str, str]


def mistakes(document: Document) -> tuple[Mistake, ...]:
    """Return the first mistake of each flag; empty for a good file."""
    found = (flag_mistake(document, key) for key in document.flags)
    return tuple(mistake for mistake in found if mistake is not None)


def flag_mistake(document: Document, key: str) -> Mistake | None:
    """Return the first mistake of one flag of the file, None if it is good."""
    try:
        problem = next(_problems(document.flags[key], document.evaluators), None)
    except RecursionError:
        problem = ("targeting is nested too deeply", "simplify it")
    if problem is None:
        return None
    what, remedy = problem
    return Mistake(
        file=document.file, table="flags", key=key, problem=what, remedy=remedy
    )


def _problems(flag: Json, evaluators: Mapping[str, Json]) -> Iterator[_Problem]:
    if not isinstance(flag, dict):
        yield "is no JSON object", 'write {"state": ..., "variants": ...}'
        return
    if flag.get("state") not in {"ENABLED", "DISABLED"}:
        yield "`state` is wrong", 'write "ENABLED" or "DISABLED"'
    variants = flag.get("variants")
    if not isinstance(variants, dict) or not variants:
        yield "`variants` is no JSON object with members", "name at least one variant"
        return
    yield from _default_problems(flag, variants)
    if flag.get("targeting"):
        yield from _type_problems(variants)
        yield from _targeting_problems(expand(flag["targeting"], evaluators), variants)


def _default_problems(flag: JsonObject, variants: JsonObject) -> Iterator[_Problem]:
    default = flag.get("defaultVariant")
    if default is None or default == "":
        return
    if not isinstance(default, str | bool) or variant_name(default) not in variants:
        yield f"`defaultVariant` {default!r} is no variant", _one_of(variants)


def _type_problems(variants: JsonObject) -> Iterator[_Problem]:
    kinds = {_kind(value): name for name, value in variants.items()}
    if len(kinds) > 1:
        listed = ", ".join(f"{name!r} is {kind}" for kind, name in kinds.items())
        yield f"variants are of mixed type: {listed}", "give all of them one type"


def _kind(value: Json) -> str:
    match value:
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case None:
            return "null"
        case dict() | list():
            return "an object"


def _targeting_problems(targeting: Json, variants: JsonObject) -> Iterator[_Problem]:
    if not isinstance(targeting, dict):
        yield "`targeting` is no JSON object", "write a JsonLogic rule"
        return
    for name in _operators(targeting):
        if name == REF:
            remedy = "define it there, without a circle"
            yield "`$ref` names nothing in `$evaluators`", remedy
        elif name not in OPERATORS:
            yield f"targeting uses the unknown operator {name!r}", "see flagd's list"
    for place in places([targeting]):
        yield from _place_problems(place, variants)


def _operators(node: Json) -> Iterator[str]:
    found = operation(node)
    if found is not None:
        yield found[0]
        node = found[1]
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from _operators(value)


def _place_problems(place: Place, variants: JsonObject) -> Iterator[_Problem]:
    split = fractional(place.node)
    if split is not None:
        yield from _split_problems(place, split, variants)
        return
    if place.node is None or operation(place.node) is not None:
        return  # null is the default variant; what is computed is known later
    name = variant_name(place.node)
    if name is None or name not in variants:
        what = f"rule {place.label} returns {place.node!r}, which is no variant"
        yield what, _one_of(variants)


def _split_problems(
    place: Place, split: Fractional, variants: JsonObject
) -> Iterator[_Problem]:
    rule = f"`fractional` of rule {place.label}"
    entries = split.well_formed
    if not entries or len(entries) < len(split.entries):
        yield f"{rule} has an entry that is no split", 'write ["variant", weight]'
    for entry in entries:
        if weight(entry) is None and operation(entry[-1]) is None:
            what = f"{rule} has the weight {entry[-1]!r}, which is no integer"
            yield what, "scale the weights up to integers"
        for inner in places(entry, 0, place.label, place.condition):
            yield from _place_problems(inner, variants)
    weights = [weight(entry) for entry in entries]
    known = [value for value in weights if value is not None]
    if (not any(known) and len(known) == len(weights)) or sum(known) > _MAX_WEIGHT:
        what = f"{rule} has weights that sum to {sum(known)}"
        yield what, f"let them sum to 1..{_MAX_WEIGHT}"


def _one_of(variants: JsonObject) -> str:
    return f"name one of {', '.join(map(repr, variants))}"
