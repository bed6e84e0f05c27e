"""What was observed: additive cells, the batches that carry them, late outcomes.

Everything in here merges by addition or set union, so the order in which
processes flush, and how the stream was divided among them, does not matter.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self

from flipback.assignment import EVERYBODY, Cohort
from flipback.histogram import Histogram, Threshold, Thresholds
from flipback.signals import EXPOSURE


BUCKETS = 64
"""Hash buckets of subjects per cell; their scatter gives the design effect."""

MAX_VALUE = 1e100
"""Largest size of a value that can be weighed, far from where squares overflow."""

_SLACK = 10
_LARGEST_MEAN = _SLACK * MAX_VALUE
_LARGEST_SQUARE = _LARGEST_MEAN * _LARGEST_MEAN

__all__ = [
    "BUCKETS",
    "EXPOSURE",
    "MAX_VALUE",
    "Batch",
    "Cell",
    "CellKey",
    "Decided",
    "Entry",
    "Epoch",
    "Evidence",
    "LateOutcome",
]


class CellKey(NamedTuple):
    """Where an observation is booked.

    Attributes:
        slice: Number of the time slice of its exposure; 0 for what counts at once.
        metric: `Signal.name`: a metric, or a measure of one.
    """

    route: str
    attempt: int
    epoch: str
    rule: str
    slice: int
    metric: str
    cohort: Cohort
    variant: str


class Entry(NamedTuple):
    """One addition to the cells of a subject's cohorts.

    Attributes:
        metric: `Signal.name`.
        slice: See `CellKey.slice`.
        value: What is added, finite.
        counts: Whether the subject is to be counted as a distinct one.
    """

    metric: str
    slice: int
    value: float
    counts: bool


class Cell:
    """Sums of one metric over 64 buckets of subjects, about an origin.

    The origin is the first value seen (0 for values within -1..1), so a mean of
    1e8 with deviation 1 keeps all its digits. Cells with different origins add
    exactly as if they had one.

    Attributes:
        origin: What is subtracted from each value before it is summed.
        n: Observations per bucket, shape (64,).
        x: Sum of (value - origin) per bucket, shape (64,).
        xx: Sum of (value - origin) squared over all buckets.
    """

    __slots__ = ("n", "origin", "x", "xx")

    def __init__(self, origin: float = 0.0) -> None:
        self.origin = origin
        self.n = array("q", bytes(8 * BUCKETS))
        self.x = array("d", bytes(8 * BUCKETS))
        self.xx = 0.0

    @classmethod
    def starting_at(cls, value: float) -> "Cell":
        """Return an empty cell whose origin suits this first value."""
        return cls(0.0 if -1.0 <= value <= 1.0 else value)

    def add(self, bucket: int, value: float) -> None:
        """Book one finite value of a subject in this bucket."""
        centred = value - self.origin
        self.n[bucket] += 1
        self.x[bucket] += centred
        self.xx += centred * centred

    def merge(self, other: "Cell") -> None:
        """Add the observations of another cell, whatever its origin."""
        shift = other.origin - self.origin
        for bucket in range(BUCKETS):
            if count := other.n[bucket]:
                self.n[bucket] += count
                self.x[bucket] += other.x[bucket] + count * shift
        total = other.total_n
        self.xx += other.xx + 2 * shift * sum(other.x) + total * shift * shift

    @property
    def total_n(self) -> int:
        """Return the number of observations."""
        return sum(self.n)

    @property
    def mean(self) -> float:
        """Return the mean in the metric's unit; the origin while empty."""
        count = self.total_n
        return self.origin + (sum(self.x) / count if count else 0.0)

    @property
    def variance(self) -> float:
        """Return the population variance of the values, 0 while empty."""
        count = self.total_n
        if not count:
            return 0.0
        centred_mean = sum(self.x) / count
        return max(0.0, self.xx / count - centred_mean * centred_mean)

    @property
    def is_weighable(self) -> bool:
        """Return whether the sums are finite and no value was beyond `MAX_VALUE`.

        As far as the sums tell: one value that is a little too large among many is
        not seen, and does no harm. A sum that is not a number fails every bound.
        """
        count = max(1, self.total_n)
        furthest = count * _LARGEST_MEAN
        return (
            abs(self.origin) <= MAX_VALUE
            and abs(self.xx) <= count * _LARGEST_SQUARE
            and abs(sum(self.x)) <= furthest
            and max(map(abs, self.x)) <= furthest
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """An epoch as the store remembers it: a digest and what went into it.

    Attributes:
        comparison: Digest of what is compared: plan, provider and the versions of
            both models. Epochs of one comparison are strata of one analysis, as
            while a split is ramped; those of another never enter it.
        flag_version: The provider's word for the version of the flag, empty where it
            has none.
        shares: The candidate's share among subjects of both arms, by rule, as the
            flag service had it for this version; empty where it is not known.
        thresholds: Percentiles of control that were frozen before this epoch.
    """

    digest: str
    route: str
    attempt: int
    trip: int
    described: str
    comparison: str = ""
    flag_version: str = ""
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    thresholds: Thresholds = field(default_factory=dict[str, Threshold])


class Decided(Protocol):
    """What is left of a decision whose call is over: a receipt, or a crash's mark."""

    @property
    def route(self) -> str:
        """Return the route that was called."""
        ...

    @property
    def decision_id(self) -> str:
        """Return the name of the decision."""
        ...

    @property
    def variant(self) -> str:
        """Return who served."""
        ...

    @property
    def epoch(self) -> str:
        """Return the digest of the epoch."""
        ...

    @property
    def attempt(self) -> int:
        """Return the attempt, from 1."""
        ...

    @property
    def rule(self) -> str:
        """Return the rule that split, empty where the provider names none."""
        ...

    @property
    def cohorts(self) -> tuple[Cohort, ...]:
        """Return the cohorts of the subject."""
        ...

    @property
    def subject(self) -> int:
        """Return the keyed hash of the subject."""
        ...

    @property
    def at(self) -> float:
        """Return when it was decided, Unix seconds; 0 if no outcome is delayed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LateOutcome:
    """An outcome that named its decision by receipt: counted once, ever.

    Attributes:
        decision_id: The decision it belongs to.
        metric: With the decision, the key under which it is counted once.
        expires_at: Unix seconds after which the store may forget that key.
        entries: What to add where, aggregate and cohorts.
        subject: Keyed hash of the subject; its bucket is the remainder by 64.
        distributed: The value as control's histogram is to count it, and where; None
            for what has none.
    """

    decision_id: str
    metric: str
    expires_at: float
    entries: tuple[tuple[CellKey, Entry], ...]
    subject: int
    distributed: tuple[CellKey, float] | None = None

    @classmethod
    def of(
        cls,
        decided: Decided,
        metric: str,
        entries: Iterable[Entry],
        *,
        expires_at: float,
        distributed: float | None = None,
    ) -> Self:
        """Return an outcome of this decision, for the aggregate and its cohorts.

        Args:
            decided: What is left of the decision.
            metric: The metric's name.
            entries: What is kept of its value, as `Booking.outcome` returns it.
            expires_at: Unix seconds; see the attribute.
            distributed: The value, where control's histogram is to count it.
        """
        where = decided.route, decided.attempt, decided.epoch, decided.rule
        plain = CellKey(*where, 0, metric, EVERYBODY, decided.variant)
        return cls(
            decision_id=decided.decision_id,
            metric=metric,
            expires_at=expires_at,
            entries=tuple(
                (
                    CellKey(*where, entry.slice, entry.metric, cohort, decided.variant),
                    entry,
                )
                for entry in entries
                for cohort in (EVERYBODY, *decided.cohorts)
            ),
            subject=decided.subject,
            distributed=None if distributed is None else (plain, distributed),
        )


@dataclass(slots=True, kw_only=True)
class Batch:
    """Everything one process observed since its last flush.

    A batch is identified by (writer, sequence); the store applies each exactly
    once, so a flush may be repeated until it is known to have happened.
    """

    writer: str
    sequence: int
    epochs: dict[str, Epoch] = field(default_factory=dict[str, Epoch])
    cells: dict[CellKey, Cell] = field(default_factory=dict[CellKey, Cell])
    subjects: dict[CellKey, set[int]] = field(default_factory=dict[CellKey, set[int]])
    histograms: dict[CellKey, Histogram] = field(
        default_factory=dict[CellKey, Histogram]
    )
    late: list[LateOutcome] = field(default_factory=list[LateOutcome])
    excluded: dict[tuple[str, str], int] = field(
        default_factory=dict[tuple[str, str], int]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All evidence of one comparison in one attempt and trip, as read at a look.

    Attributes:
        cells: Sums per key.
        subjects: Distinct subjects per key. Of too many exposed subjects, or too many
            with an event, those below a threshold that is common to all keys.
        excluded: Exposures and outcomes that are not compared, by reason.
        sampled: Share of all exposed subjects that `subjects` counts, 1 before any
            thinning.
        events_sampled: Likewise of the subjects with an event, who are fewer.
        shares: The candidate's share among subjects of both arms, by epoch and rule,
            where the flag service was asked; see `Epoch.shares`.
        histograms: Distribution of control's values, by metric, of those metrics
            that need frozen percentiles.
        comparison: `Epoch.comparison` of what was read; empty where nothing was.
        opened: When each epoch became known, Unix seconds; empty where nobody asks
            for what was seen since a stage began.
    """

    cells: Mapping[CellKey, Cell]
    subjects: Mapping[CellKey, int]
    excluded: Mapping[str, int]
    sampled: float = 1.0
    events_sampled: float = 1.0
    shares: Mapping[tuple[str, str], float] = field(
        default_factory=dict[tuple[str, str], float]
    )
    histograms: Mapping[str, Histogram] = field(default_factory=dict[str, Histogram])
    comparison: str = ""
    opened: Mapping[str, float] = field(default_factory=dict[str, float])
