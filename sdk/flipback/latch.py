"""The kill latch: a register that only ever grows.

    trip   the number of the kill, raised by every kill and automatic roll back
    held   control serves until a person releases exactly this trip

Rules, as an order on (trip, released):

    (0, released) < (1, held) < (1, released) < (2, held) < ...

Two copies of a latch (ledger, store, memory, another process) merge by taking
the greater one, so copies may arrive late, twice or in any order. A release
names its trip: releasing trip 3 cannot free trip 4, which is greater.

Two hosts that cannot see each other may both make trip 3, by different intents. A
release of the one does not free the other: where they meet, that is trip 4.

A kill of one cohort is a latch of its own, kept under the name of route and cohort.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from flipback.assignment import EVERYBODY, Cohort


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """The kill state of one route, or with `scoped` of one cohort in it.

    A route never killed has trip 0, released.
    """

    route: str
    trip: int = 0
    held: bool = False
    reason: str = ""
    actor: str = ""
    intent: str = ""
    at: str = ""

    @property
    def order(self) -> tuple[int, bool]:
        """Return the place in the order: later trips first, released after held."""
        return (self.trip, not self.held)

    def merge(self, other: Self) -> Self:
        """Return the greater of two copies, of equals the one that spoke later.

        A kill is freed by the release of its own intent alone: one that meets the
        release of another kill with the same number comes after it.
        """
        if self._is_of_another_kill(other):
            held, released = (self, other) if self.held else (other, self)
            return replace(held, trip=released.trip + 1)
        return other if other._rank > self._rank else self

    def _is_of_another_kill(self, other: Self) -> bool:
        """Return whether one is held and the other released, for unlike kills."""
        same_trip = self.trip == other.trip and self.held is not other.held
        intents = {self.intent, other.intent}
        return same_trip and "" not in intents and len(intents) > 1

    def killed(self, *, reason: str, actor: str, intent: str, at: str) -> "Latch":
        """Return the latch after one more kill; the same intent again is no new trip.

        A latch that is held already gets a new trip too: the kill of a person
        outlives the release of the automatic one before it. Without an intent there
        is nothing to recognise, and it is always a new kill.
        """
        if intent and self.trip and self.intent == intent:
            return self
        return Latch(
            route=self.route,
            trip=self.trip + 1,
            held=True,
            reason=reason,
            actor=actor,
            intent=intent,
            at=at,
        )

    def released(self, trip: int, *, reason: str, actor: str, at: str) -> "Latch":
        """Return the latch with this trip released; any other trip changes nothing."""
        if trip != self.trip or not self.held:
            return self
        return Latch(
            route=self.route,
            trip=trip,
            held=False,
            reason=reason,
            actor=actor,
            intent=self.intent,
            at=at,
        )

    @property
    def _rank(self) -> tuple[int, bool, str, str, str, str]:
        """Return a total order, so that copies agree on the words as well."""
        return (*self.order, self.at, self.intent, self.actor, self.reason)


def merge_all(route: str, copies: Iterable[Latch]) -> Latch:
    """Merge all copies of one route's latch; without any, it was never killed."""
    merged = Latch(route=route)
    for copy in copies:
        merged = merged.merge(copy)
    return merged


class Scope(NamedTuple):
    """Whom a latch is about."""

    route: str
    cohort: Cohort


def scoped(route: str, cohort: Cohort) -> str:
    """Return the name of a cohort's latch, of the route's own for everybody."""
    return route if cohort == EVERYBODY else f"{route}[{cohort}]"


def scope_of(name: str) -> Scope:
    """Return whom the latch of this name is about.

    No route has a bracket in its name, so one that is not closed names no cohort.
    """
    route, bracket, cohort = name.partition("[")
    if not bracket or not cohort.endswith("]"):
        return Scope(name, EVERYBODY)
    return Scope(route, cohort[:-1])
