"""Times in UTC, and where an axis marks them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from flipback.plan import lasting


_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 5, 10, 20, 50, 100, 200, 400)),
)
_MOST_TICKS = 7
_MONTHS = [
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
]


class Tick(NamedTuple):
    """A place on a time axis: the label, and the date where it is a new one."""

    at: float
    label: str
    date: str


def at_utc(at: float) -> datetime:
    """Return a time in UTC; one that no calendar has becomes its nearest."""
    bounded = min(max(at, 0.0), 253_402_300_799.0)
    return datetime.fromtimestamp(bounded, tz=UTC)


def clock_time(at: float, *, seconds: bool = False) -> str:
    """Return date and time for people: `2026-11-20 14:02 UTC`."""
    return at_utc(at).strftime(
        "%Y-%m-%d %H:%M:%S UTC" if seconds else "%Y-%m-%d %H:%M UTC"
    )


def span_text(seconds: float) -> str:
    """Return how long something lasted, in two units."""
    return lasting(timedelta(seconds=max(0.0, float(round(seconds)))))


def ticks(start: float, end: float) -> Sequence[Tick]:
    """Return some 7 round times between two, each in UTC."""
    step = next((s for s in _STEPS if (end - start) / s <= _MOST_TICKS), _STEPS[-1])
    found: list[Tick] = []
    day = None
    at = -(-start // step) * step
    while at <= end:
        here = at_utc(at)
        date = f"{here.day} {_MONTHS[here.month - 1]}"
        if step >= _DAY:
            found.append(Tick(at, date, ""))
        else:
            form = "%H:%M" if step >= _MINUTE else "%H:%M:%S"
            found.append(
                Tick(at, here.strftime(form), date if here.date() != day else "")
            )
        day = here.date()
        at += step
    return found
