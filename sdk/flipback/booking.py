"""What is booked of an exposure, an outcome, or a pair of answers under one plan.

The same rules serve a running application and a log that is replayed, so that both
come to the same sums.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite, log
from typing import NamedTuple, Self

from flipback.exposure import EXPOSURE, Entry
from flipback.histogram import Threshold, Thresholds
from flipback.plan import MetricKind, RolloutPlan
from flipback.signals import WARM_UP, Measure, Part, Signal, warm_slice


LATE = "outcome_late"
NOT_POSITIVE = "outcome_not_positive"

_MEASURES = {
    MetricKind.EVENT: (Measure.VALUE,),
    MetricKind.MEAN: (Measure.VALUE,),
    MetricKind.HEAVY_TAIL: (Measure.VALUE, Measure.CAPPED),
    MetricKind.LATENCY: (Measure.VALUE, Measure.LOG, Measure.TAIL),
}
_OF_PERCENTILES = frozenset({Measure.TAIL, Measure.CAPPED})


class Booked(NamedTuple):
    """What is kept of one outcome.

    Attributes:
        entries: What to add to the subject's cells; may be nothing.
        excluded: Why something was left out, to be counted; may be nothing.
    """

    entries: tuple[Entry, ...]
    excluded: tuple[str, ...]


class BookedPair(NamedTuple):
    """What is kept of a metric of one call that both arms answered."""

    control: tuple[Entry, ...]
    candidate: tuple[Entry, ...]


_Take = Callable[[float, Threshold | None], float | None]
"""Returns the measure of a value; None where it has none."""


class _Kept(NamedTuple):
    """A signal, its name, and what is known of it before any value comes.

    Attributes:
        counts: Whether subjects of nonzero values are counted.
        take: Takes its measure.
    """

    signal: Signal
    name: str
    counts: bool
    take: _Take

    @classmethod
    def of(cls, plan: RolloutPlan, signal: Signal) -> Self:
        counts = _counts_subjects(plan, signal)
        return cls(signal, signal.name, counts, _TAKES[signal.measure])


class Booking:
    """What one plan keeps of what it observes."""

    def __init__(self, plan: RolloutPlan) -> None:
        self._kept = {
            name: tuple(_Kept.of(plan, signal) for signal in _kept(plan, name))
            for name in plan.recorded
        }
        delays = {
            each.signal.matures_after_s for kept in self._kept.values() for each in kept
        }
        self._exposures = tuple(
            Signal(EXPOSURE, matures_after_s=delay) for delay in sorted(delays | {0})
        )
        self._exposed_at_once = tuple(
            Entry(signal.name, 0, 1.0, counts=True) for signal in self._exposures
        )
        self.needs_time = bool(delays - {0})
        self.freezes = frozenset(
            name
            for name, kept in self._kept.items()
            if any(each.signal.measure in _OF_PERCENTILES for each in kept)
        )

    def exposure(self, at: float) -> tuple[Entry, ...]:
        """Return what one exposure adds.

        Args:
            at: When it was decided, Unix seconds.
        """
        if not self.needs_time:
            return self._exposed_at_once
        return tuple(
            Entry(signal.name, signal.slice_at(at), 1.0, counts=True)
            for signal in self._exposures
        )

    def outcome(
        self,
        metric: str,
        value: float,
        *,
        at: float,
        now: float,
        thresholds: Thresholds,
    ) -> Booked:
        """Return what one outcome adds.

        Args:
            metric: Its name; one that the plan does not know adds nothing.
            value: Finite.
            at: When its exposure was decided, Unix seconds.
            now: When the outcome came.
            thresholds: The frozen percentiles of the exposure's epoch.
        """
        entries: list[Entry] = []
        excluded: list[str] = []
        frozen = thresholds.get(metric) if thresholds else None
        for signal, name, counts, take in self._kept.get(metric, ()):
            piece = signal.slice_at(at) if self.needs_time else 0
            taken = take(value, frozen)
            if self.needs_time and signal.is_late(piece, now=now):
                excluded.append(LATE)
            elif taken is not None:
                entries.append(Entry(name, piece, taken, counts and bool(taken)))
            elif signal.measure is Measure.LOG:
                excluded.append(NOT_POSITIVE)
        return Booked(tuple(entries), tuple(excluded))

    def pair(
        self,
        metric: str,
        control: float,
        candidate: float,
        *,
        at: float,
        thresholds: Thresholds,
    ) -> BookedPair:
        """Return what a metric of one call adds that both arms answered."""
        of_control: list[Entry] = []
        of_candidate: list[Entry] = []
        frozen = thresholds.get(metric)
        for signal, _, _, take in self._kept.get(metric, ()):
            left, right = take(control, frozen), take(candidate, frozen)
            if left is None or right is None:
                continue
            piece = signal.slice_at(at)
            both = signal._replace(part=Part.PAIRED).name
            between = signal._replace(part=Part.DIFFERENCE).name
            of_control.append(Entry(both, piece, left, counts=False))
            of_candidate.append(Entry(both, piece, right, counts=False))
            of_candidate.append(Entry(between, piece, right - left, counts=False))
        return BookedPair(tuple(of_control), tuple(of_candidate))

    def warm(self, latency_s: float, *, at: float) -> tuple[Entry, ...]:
        """Return what a shadow answer adds to whether the candidate has warmed up.

        To be booked for everybody, under the candidate; no guardrail looks at it.

        Args:
            latency_s: How long the candidate took; nothing is added unless it is a
                number above 0.
            at: When it answered, Unix seconds.
        """
        if not (latency_s > 0 and isfinite(latency_s)):
            return ()
        return (Entry(WARM_UP, warm_slice(at), log(latency_s), counts=False),)


def signals_of(plan: RolloutPlan, metric: str) -> tuple[Signal, ...]:
    """Return what is kept for a guarded metric: of itself, or of its components."""
    described = plan.metric(metric)
    delay = int(described.matures_after.total_seconds())
    names = described.components or (metric,)
    return tuple(
        Signal(name, measure, delay)
        for name in names
        for measure in _MEASURES[plan.kind_of(name)]
    )


def _kept(plan: RolloutPlan, recorded: str) -> Iterator[Signal]:
    """Yield every way in which a recorded metric is kept, each once."""
    found = [s for name in plan.judged for s in signals_of(plan, name)]
    mine = [signal for signal in found if signal.metric == recorded]
    yield from dict.fromkeys(mine) if mine else _at_once(plan, recorded)


def _at_once(plan: RolloutPlan, recorded: str) -> Iterable[Signal]:
    """Return how a metric is kept that nothing is said of: to be shown."""
    return (Signal(recorded, m) for m in _MEASURES[plan.kind_of(recorded)][:1])


def _counts_subjects(plan: RolloutPlan, signal: Signal) -> bool:
    event = plan.kind_of(signal.metric) is MetricKind.EVENT
    return event or signal.measure is Measure.TAIL


def _itself(value: float, _: Threshold | None) -> float | None:
    return value


def _log(value: float, _: Threshold | None) -> float | None:
    return log(value) if value > 0 else None


def _exceeds(value: float, frozen: Threshold | None) -> float | None:
    return None if frozen is None else float(value > frozen.tail)


def _capped(value: float, frozen: Threshold | None) -> float | None:
    return None if frozen is None else min(value, frozen.cap)


_TAKES: Mapping[Measure, _Take] = {
    Measure.VALUE: _itself,
    Measure.LOG: _log,
    Measure.TAIL: _exceeds,
    Measure.CAPPED: _capped,
}
