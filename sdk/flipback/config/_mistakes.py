"""Turn what pydantic found into sentences for the person who wrote the file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from flipback.errors import Mistake
from flipback.plan import PlanRejected, Problem, Written, did_you_mean, nearest


Place = tuple[str | int, ...]
UNKNOWN_KEY = "unknown key"
IS_MISSING = "is missing"
THE_TABLE = "the table"
TABLE_ARRAYS = frozenset({"stages", "guardrails", "notify"})
_NAME_OF_TABLE = "[key]"


def mistakes_in(
    error: ValidationError, *, file: str, model: type[Written]
) -> Iterator[Mistake]:
    """Yield one mistake for each thing that is wrong in the file."""
    details = error.errors(include_url=False)
    for detail in details:
        if not _follows_from_another(detail, details):
            for found in _problems(detail, model):
                place = (*_place_in_file(detail["loc"]), *found.at)
                whole = _is_table(place, model)
                yield _mistake(place, found, file=file, whole=whole)


def _place_in_file(loc: Place) -> Place:
    """Return where a person finds it; a wrong name of a table is the table's."""
    return loc[:-1] if loc and loc[-1] == _NAME_OF_TABLE else loc


def without_echoes(found: Sequence[Mistake]) -> Iterator[Mistake]:
    """Yield mistakes except those that only follow from a misspelled key."""
    unknown = [mistake for mistake in found if mistake.problem == UNKNOWN_KEY]
    for mistake in found:
        if not any(_echoes(mistake, misspelled) for misspelled in unknown):
            yield mistake


def _echoes(mistake: Mistake, misspelled: Mistake) -> bool:
    if mistake.problem == IS_MISSING:
        meant = misspelled.remedy == did_you_mean(mistake.key)
        return meant and mistake.table == misspelled.table
    return mistake.key == THE_TABLE and mistake.table == misspelled.table


def known_keys(model: type[Written], place: Place) -> Sequence[str]:
    """Return the keys of the table at `place`, empty where any key is allowed."""
    here: type[Written] | None = model
    awaits_name = False
    for step in place:
        if awaits_name:
            awaits_name = False
        elif isinstance(step, str) and here is not None:
            field = here.model_fields.get(step)
            here = None if field is None else _table_in(field.annotation)
            awaits_name = field is not None and get_origin(field.annotation) is dict
    return () if here is None or awaits_name else tuple(here.model_fields)


def _table_in(annotation: object) -> type[Written] | None:
    if isinstance(annotation, type) and issubclass(annotation, Written):
        return annotation
    return next(filter(None, map(_table_in, get_args(annotation))), None)


def _follows_from_another(
    detail: ErrorDetails, details: Sequence[ErrorDetails]
) -> bool:
    """Return whether a list only seems empty because its items are wrong."""
    place = detail["loc"]
    return detail["type"] == "too_short" and any(
        other["loc"][: len(place)] == place and len(other["loc"]) > len(place)
        for other in details
    )


def _mistake(place: Place, found: Problem, *, file: str, whole: bool) -> Mistake:
    """Return the mistake with its table spelled as in the file, counted from 1."""
    names: list[str] = []
    for step in place:
        if isinstance(step, str):
            names.append(step)
        elif names:
            names[-1] += f"[{step + 1}]"
    return Mistake(
        file=file,
        table=".".join(names if whole else names[:-1]),
        key=THE_TABLE if whole else "".join(names[-1:]),
        problem=found.problem,
        remedy=found.remedy,
    )


def _is_table(place: Place, model: type[Written]) -> bool:
    listed = len(place) == 1 and place[0] in TABLE_ARRAYS
    return not listed and bool(known_keys(model, place))


def _problems(detail: ErrorDetails, model: type[Written]) -> Sequence[Problem]:
    context = detail.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, PlanRejected):
        return cause.problems
    if detail["type"] == "extra_forbidden":
        return [_unknown(detail["loc"], model)]
    say = _SENTENCES.get(detail["type"], _as_it_is)
    return [say(detail, context)]


def _unknown(place: Place, model: type[Written]) -> Problem:
    known = known_keys(model, place[:-1])
    remove = f"remove it; known keys: {', '.join(known)}"
    return Problem(
        problem=UNKNOWN_KEY,
        remedy=nearest(str(place[-1]), known, otherwise=remove),
    )


Context = Mapping[str, object]


def _missing(detail: ErrorDetails, _: Context) -> Problem:
    key = detail["loc"][-1]
    add = f"a table [[{key}]]" if key in TABLE_ARRAYS else f"`{key} = ...`"
    return Problem(problem=IS_MISSING, remedy=f"add {add}")


def _empty(detail: ErrorDetails, _: Context) -> Problem:
    one = "a name" if detail["type"] == "string_too_short" else "at least one"
    return Problem(problem="is empty", remedy=f"write {one}")


def _too_long(detail: ErrorDetails, context: Context) -> Problem:
    return Problem(
        problem=f"has {len(str(detail['input']))} characters",
        remedy=f"write at most {context.get('max_length')}",
    )


def _no_address(detail: ErrorDetails, _: Context) -> Problem:
    return Problem(
        problem=f"{detail['input']!r} names no kind of service",
        remedy="write `kind:location`, such as "
        '"flagfile:flags.flagd.json" or "sqlite:flipback.db"',
    )


def _not_one_of(detail: ErrorDetails, context: Context) -> Problem:
    choices = str(context.get("expected", ""))
    words = choices.replace(" or ", ", ").replace("'", "").split(", ")
    return Problem(
        problem=f"{_shown(detail['input'])} is not known here",
        remedy=nearest(
            str(detail["input"]), words, otherwise=f"write one of: {', '.join(words)}"
        ),
    )


def _neither(detail: ErrorDetails, _: Context) -> Problem:
    return Problem(
        problem=f"{_shown(detail['input'])} is neither true nor false",
        remedy="write true or false, without quotes",
    )


def _out_of_bounds(words: str, bound: str) -> Callable[..., Problem]:
    def say(detail: ErrorDetails, context: Context) -> Problem:
        return Problem(
            problem=f"{detail['input']} is out of range",
            remedy=f"write a value {words} {_plain(context.get(bound))}",
        )

    return say


def _wrong_type(wanted: str, remedy: str) -> Callable[..., Problem]:
    def say(detail: ErrorDetails, _: Context) -> Problem:
        return Problem(
            problem=f"{_shown(detail['input'])} is no {wanted}", remedy=remedy
        )

    return say


def _as_it_is(detail: ErrorDetails, _: Context) -> Problem:
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return Problem(problem=message, remedy=f"{_shown(detail['input'])} cannot be used")


def _plain(bound: object) -> str:
    return f"{bound:g}" if isinstance(bound, int | float) else str(bound)


def _shown(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value)
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return str(value)


_TEXT = _wrong_type("text", 'write text in quotes, such as "one"')
_NUMBER = _wrong_type("number", "write a number without quotes, such as 0.05")
_WHOLE = _wrong_type("whole number", "write a whole number without quotes, such as 25")
_LIST = _wrong_type("list", 'write a list, such as ["one", "two"]')
_TABLE = _wrong_type("table", "write it as a table of keys and values")

_SENTENCES: Mapping[str, Callable[[ErrorDetails, Context], Problem]] = {
    "bool_type": _neither,
    "dict_type": _TABLE,
    "enum": _not_one_of,
    "finite_number": _NUMBER,
    "float_type": _NUMBER,
    "greater_than": _out_of_bounds("above", "gt"),
    "greater_than_equal": _out_of_bounds("of at least", "ge"),
    "int_from_float": _WHOLE,
    "int_type": _WHOLE,
    "less_than": _out_of_bounds("below", "lt"),
    "less_than_equal": _out_of_bounds("of at most", "le"),
    "literal_error": _not_one_of,
    "missing": _missing,
    "model_type": _TABLE,
    "string_pattern_mismatch": _no_address,
    "string_too_long": _too_long,
    "string_too_short": _empty,
    "string_type": _TEXT,
    "too_short": _empty,
    "tuple_type": _LIST,
}
