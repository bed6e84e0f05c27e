"""When people are to be reminded of a kill that is still held."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import floor

from flipback.latch import Latch
from flipback.ports import Clock


@dataclass(slots=True, kw_only=True)
class _Held:
    """A held latch as this process has seen it."""

    trip: int
    since: float
    turn: int | None = None


class Reminder:
    """Tells once per period which latches have been held for longer than that.

    The turns are counted by the time of the kill, so that all processes come to the
    same ones. That time may be garbage and the wall clock may jump; who is held by this
    process's own seconds for that long is reminded of as well.
    """

    def __init__(self, period: timedelta, clock: Clock) -> None:
        self.period = period
        self._clock = clock
        self._held: dict[str, _Held] = {}

    def due(self, held: Sequence[Latch]) -> Sequence[tuple[Latch, int]]:
        """Return the latches to remind of now, each with the number of the turn."""
        seen = {latch.route: self._seen(latch) for latch in held}
        self._held = seen
        return [
            (latch, turn)
            for latch in held
            if (turn := self._turn(latch, seen[latch.route])) is not None
        ]

    def _seen(self, latch: Latch) -> _Held:
        known = self._held.get(latch.route)
        if known is not None and known.trip == latch.trip:
            return known
        return _Held(trip=latch.trip, since=self._clock.monotonic())

    def _turn(self, latch: Latch, seen: _Held) -> int | None:
        now, began = self._clock.now().timestamp(), _unix(latch.at)
        period_s = self.period.total_seconds()
        age = 0.0 if began is None else now - began
        if max(age, self._clock.monotonic() - seen.since) < period_s:
            return None
        turn = floor((now - (began or 0.0)) / period_s)
        if turn == seen.turn:
            return None
        seen.turn = turn
        return turn


def _unix(at: str) -> float | None:
    """Return the time in Unix seconds, None where the text is no time."""
    with suppress(ValueError, OverflowError, TypeError):
        when = datetime.fromisoformat(at)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return None
