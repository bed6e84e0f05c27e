"""The rule that serves control to one cohort: how it is spelled and recognised.

A cohort `attribute=value` is everybody whose attribute, as Python spells it (with
booleans in lower case), is the value. JsonLogic's `==` converts and fails on dates,
and its `===` takes True for 1 and 3.0 for 3, so that

    plan=enterprise   {"===": [plan, "enterprise"]}
    n=3               ... or === 3, spelled "3", and staying whole next to 10^16

of which the last clause tells whole numbers from floats: 1e+16 has an `e`.
"""

import math
from collections.abc import Sequence
from datetime import datetime

from flipback.assignment import NO_VALUE, OTHER_VALUE, Cohort
from flipback.errors import FlagProblem, FlagWriteError
from flipback_providers.flagfile._document import Json, JsonObject
from flipback_providers.flagfile._targeting import (
    branching,
    operation,
    variant_name,
)


_BEYOND_DIGITS = 10**16  # floats next to it are spelled with an exponent
_HIDDEN = "$flagd"  # flagd puts its own there


def condition(cohort: Cohort) -> JsonObject:
    """Return the condition that holds for exactly the subjects of a cohort.

    Raises:
        FlagWriteError: No condition can name them.
    """
    name, equals, value = cohort.partition("=")
    if not equals or not name:
        raise _invalid(f"{cohort!r} is no cohort; write `attribute=value`")
    if "." in name or name == _HIDDEN:
        raise _unnamed(cohort, f"flagd's rules cannot read an attribute {name!r}")
    if value in {OTHER_VALUE, NO_VALUE}:
        raise _unnamed(cohort, "that is who is in no declared cohort")
    if _is_inexpressible(value):
        raise _unnamed(cohort, f"flagd's rules cannot compare with {value!r}")
    read: JsonObject = {"var": name}
    as_text: JsonObject = {"===": [read, value]}
    others = _as_boolean(read, value) or _as_number(read, value)
    return {"or": [as_text, others]} if others else as_text


def cohort_of(written: Json) -> Cohort | None:
    """Return the cohort that a condition names, None if it was spelled otherwise."""
    found = operation(written)
    if found is not None and found[0] == "or":
        found = operation(found[1][0]) if found[1] else None
    match found:
        case "===", [{"var": str(name)}, str(value)]:
            cohort = f"{name}={value}"
        case _:
            return None
    try:
        return cohort if condition(cohort) == written else None
    except FlagWriteError:
        return None


def put_first(targeting: Json, rule: JsonObject, variant: str) -> JsonObject:
    """Return targeting that serves a variant where a condition holds, else as before.

    Rules that there are already move on by one.
    """
    before: Sequence[Json] = [targeting] if targeting else []
    return {"if": [rule, variant, *(branching(targeting) or before)]}


def is_put_first(targeting: Json, rule: JsonObject, variant: str) -> bool:
    """Return whether that rule is there, with none but rules of cohorts before it."""
    branches = branching(targeting) or []
    for index in range(0, len(branches) - 1, 2):
        if cohort_of(branches[index]) is None or branches[index + 1] != variant:
            return False
        if branches[index] == rule:
            return True
    return False


def taken_out(targeting: Json, cohort: Cohort, variant: str) -> Json:
    """Return targeting without the rule that a kill of the cohort put first.

    Only among the rules of cohorts that come before all others is it looked for.
    Targeting comes back as it is where the rule is not there.
    """
    branches = branching(targeting) or []
    for index in range(0, len(branches) - 1, 2):
        named = cohort_of(branches[index])
        if named is None or branches[index + 1] != variant:
            return targeting
        if named == cohort:
            return _rejoined([*branches[:index], *branches[index + 2 :]])
    return targeting


def put_first_before(targeting: Json) -> str | None:
    """Return the variant of the foremost rule of a cohort, None without one."""
    match branching(targeting):
        case [named, leaf, *_] if cohort_of(named) is not None:
            return variant_name(leaf)
        case _:
            return None


def _rejoined(branches: list[Json]) -> Json:
    """Return branches as targeting, a lone default as it was before it had rules."""
    if not branches:
        return {}
    return branches[0] if len(branches) == 1 else {"if": branches}


def _as_boolean(read: JsonObject, value: str) -> JsonObject | None:
    if value not in {"true", "false"}:
        return None
    spelled: list[Json] = [value, value.capitalize()]  # as engines spell booleans
    return {"and": [{"===": [read, value == "true"]}, {"in": [{"cat": read}, spelled]}]}


def _as_number(read: JsonObject, value: str) -> JsonObject | None:
    whole, number = _whole(value), _float(value)
    if whole is not None:
        return _alike(read, whole, spelled=value, beyond=_BEYOND_DIGITS * _sign(whole))
    if number is not None:
        beyond = _BEYOND_DIGITS * _sign(number)
        return _alike(read, number, spelled=f"{number:.15g}", beyond=beyond)
    return None


def _alike(read: JsonObject, number: float, *, spelled: str, beyond: int) -> JsonObject:
    """Return the condition for a number of the same value, spelling and kind."""
    is_float: Json = {"in": ["e", {"cat": [{"+": [read, beyond]}]}]}
    kind: Json = {"!": [is_float]} if isinstance(number, int) else is_float
    return {
        "and": [{"===": [read, number]}, {"===": [{"cat": read}, spelled]}, kind],
    }


def _sign(number: float) -> int:
    return 1 if number >= 0 else -1


def _whole(value: str) -> int | None:
    try:
        number = int(value)
        return number if str(number) == value else None
    except ValueError:  # no number, or one of thousands of digits
        return None


def _float(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if str(number) == value else None


def _is_inexpressible(value: str) -> bool:
    """Return whether an attribute that no rule can compare may be spelled so."""
    number = _float(value)
    if number is not None:
        return not math.isfinite(number)
    if value[:1] in {"[", "{", "("}:
        return True
    try:
        return str(datetime.fromisoformat(value)) == value
    except ValueError:
        return False


def _unnamed(cohort: Cohort, why: str) -> FlagWriteError:
    return _invalid(
        f"no rule of the flag file can serve control to {cohort} alone: {why}; kill"
        " the whole flag"
    )


def _invalid(message: str) -> FlagWriteError:
    return FlagWriteError(message, kind=FlagProblem.INVALID_WRITE)
