"""What drills have shown."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flipback.control import Delivered


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Some durations in milliseconds; all None where nothing was measured."""

    measured: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    longest_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one process saw of one drill, in milliseconds after the kill began.

    Attributes:
        process: Its id.
        armed: It had seen every subject get the candidate.
        ended: It ended meanwhile, so that nothing could be measured.
        control_ms: When every subject got control, None if not in time.
        latch_ms: When every subject got it because of the kill.
        flag_ms: When the flag itself gave it to every subject.
    """

    process: str
    armed: bool
    ended: bool = False
    control_ms: float | None = None
    latch_ms: float | None = None
    flag_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRound:
    """One drill.

    Attributes:
        drill: Its id, as ledger and flag service have it.
        sightings: What each process saw that ran when it began.
        armed_ms: How long it took until they had seen the candidate.
        durable_ms: When the ledger had the kill on disk, None where it had not.
        written_ms: When the flag service had taken it, None where it had not.
        flag: How far the kill came in the flag service; None where nothing was
            killed, as nobody saw the candidate.
        trip: Number of the kill, 0 for none.
        problem: What of the kill was missing, for people; empty if nothing.
    """

    drill: str
    sightings: tuple[Sighting, ...]
    armed_ms: float
    durable_ms: float | None = None
    written_ms: float | None = None
    flag: Delivered | None = None
    trip: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillReport:
    """What became of drills that a person asked for.

    Attributes:
        flag: The drill flag, empty where none is configured.
        within_s: Seconds in which every process had to come to control.
        rounds: The drills that were made.
        refused: Why none was made; empty where some were.
        remedy: What to do about that.
        cleaned: What was left of a drill that had broken off, and is in order now.
        left: What could not be put in order; no further drill was made.
        strangers: Processes that run without the drill flag, and took no part.
    """

    flag: str
    within_s: float = 0.0
    rounds: tuple[DrillRound, ...] = ()
    refused: str = ""
    remedy: str = ""
    cleaned: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    strangers: int = 0

    @property
    def sightings(self) -> Iterator[Sighting]:
        """Yield what processes saw, but for those that ended meanwhile."""
        for made in self.rounds:
            yield from (each for each in made.sightings if not each.ended)

    @property
    def on_time(self) -> int:
        """Return in how many drills every process came to control in time.

        Control that was seen before the kill proves nothing, and is not in time.
        """
        return sum(self._is_on_time(made) for made in self.rounds)

    @property
    def control(self) -> Times:
        """Return how long processes took to come to control."""
        return times_of([each.control_ms for each in self.sightings])

    @property
    def latch(self) -> Times:
        """Return how long processes took to obey the kill."""
        return times_of([each.latch_ms for each in self.sightings])

    @property
    def by_flag(self) -> Times:
        """Return how long it took until the flag itself gave control everywhere."""
        return times_of([each.flag_ms for each in self.sightings])

    @property
    def durable(self) -> Times:
        """Return how long it took until the ledger had the kill on disk."""
        return times_of([made.durable_ms for made in self.rounds])

    @property
    def written(self) -> Times:
        """Return how long it took until the flag service had taken the kill."""
        return times_of([made.written_ms for made in self.rounds])

    def of(self, process: str) -> Times:
        """Return how long one process took to come to control."""
        seen = [each for each in self.sightings if each.process == process]
        return times_of([each.control_ms for each in seen])

    @property
    def processes(self) -> tuple[str, ...]:
        """Return the ids of all processes that took part."""
        return tuple(dict.fromkeys(each.process for each in self.sightings))

    def _is_on_time(self, made: DrillRound) -> bool:
        seen = [each for each in made.sightings if not each.ended]
        limit_ms = 1000 * self.within_s
        return bool(seen) and all(
            each.control_ms is not None and 0 <= each.control_ms <= limit_ms
            for each in seen
        )


def times_of(measured: Sequence[float | None]) -> Times:
    """Return the percentiles by nearest rank; what is None was not measured."""
    ordered = sorted(each for each in measured if each is not None)
    if not ordered:
        return Times(measured=0)
    return Times(
        measured=len(ordered),
        p50_ms=_ranked(ordered, 50),
        p99_ms=_ranked(ordered, 99),
        longest_ms=ordered[-1],
    )


def _ranked(ordered: Sequence[float], percent: int) -> float:
    return ordered[math.ceil(percent * len(ordered) / 100) - 1]
