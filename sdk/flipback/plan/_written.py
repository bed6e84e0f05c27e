"""What everything that a person writes is made of."""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer


_UNITS = {
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
}
_HOW_LONG = "write a number and a unit of ms, s, m, h or d, such as '90m'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong inside a value: where below it, what, and what to do."""

    problem: str
    remedy: str
    at: tuple[str | int, ...] = ()


class PlanRejected(ValueError):  # noqa: N818 - says what happened to the plan
    """A value breaks a rule; carries every problem that was found in it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{p.problem}: {p.remedy}" for p in problems))
        self.problems = problems


def reject(problems: Iterable[Problem]) -> None:
    """Raise `PlanRejected` with all problems, if there are any."""
    if found := tuple(problems):
        raise PlanRejected(*found)


def below(step: str | int, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield problems of a part as problems of the whole."""
    for found in problems:
        yield Problem(problem=found.problem, remedy=found.remedy, at=(step, *found.at))


def did_you_mean(word: str) -> str:
    """Return the question that proposes a word."""
    return f"did you mean `{word}`?"


def nearest(word: str, known: Iterable[str], *, otherwise: str) -> str:
    """Propose the word that was nearly written, else `otherwise`."""
    match difflib.get_close_matches(word, list(known), n=1):
        case [best]:
            return did_you_mean(best)
        case _:
            return otherwise


def parse_duration(text: object) -> timedelta:
    """Return the duration that a person wrote, such as `90m`; a timedelta as it is.

    Raises:
        PlanRejected: The text is no duration; a bare number has no unit.
    """
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|[smhd])", str(text).strip())
    if match is None:
        raise PlanRejected(
            Problem(problem=f"{text!r} is no duration", remedy=_HOW_LONG)
        )
    try:
        return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError as error:
        raise PlanRejected(
            Problem(problem=f"{text!r} is too long", remedy="write a shorter duration")
        ) from error


def lasting(span: timedelta) -> str:
    """Return a duration in words that a plan takes, cut off after the second unit.

    >>> lasting(timedelta(hours=30, minutes=5))
    '1d 6h'
    """
    left, words = span, list[str]()
    for unit, name in reversed(_UNITS.items()):
        count, left = divmod(left, timedelta(**{name: 1}))
        if count or words:
            words.append(f"{count}{unit}" if count else "")
    return " ".join(filter(None, words[:2])) or "0s"


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(_seconds, return_type=str),
]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True)]


class Written(BaseModel):
    """Base of everything a person writes: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
