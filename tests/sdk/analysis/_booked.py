"""Evidence for analyses: sums booked by hand, and traffic as a store adds it up."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from tests.simulations._book import plan_of, seeded

from flipback.assignment import EVERYBODY, Cohort
from flipback.exposure import BUCKETS, EXPOSURE, Cell, CellKey, Evidence
from flipback.plan import RolloutPlan
from flipback.tally import Seen, Tally


__all__ = ["Book", "Traffic", "plan_of", "seeded"]


class _Where(NamedTuple):
    variant: str
    metric: str
    cohort: Cohort
    epoch: str
    rule: str

    @property
    def keys(self) -> Iterator[CellKey]:
        """Yield the keys to book under: the aggregate's and the cohort's."""
        variant, metric, cohort, epoch, rule = self
        for where in {EVERYBODY, cohort}:
            yield CellKey("answer", 1, epoch, rule, 0, metric, where, variant)


class Book:
    """Evidence that grows; subjects are distinct unless their bucket is named."""

    def __init__(self) -> None:
        self.cells: dict[CellKey, Cell] = {}
        self.subjects: dict[CellKey, int] = {}
        self._open: dict[_Where, list[Cell]] = {}
        self._next_bucket = 0

    @property
    def evidence(self) -> Evidence:
        """Return what was booked so far; a view, not a copy."""
        return Evidence(cells=self.cells, subjects=self.subjects, excluded={})

    def value(
        self,
        variant: str,
        metric: str,
        value: float,
        *,
        bucket: int | None = None,
        cohort: Cohort = EVERYBODY,
        epoch: str = "e1",
        rule: str = "",
    ) -> None:
        """Book one value in the aggregate and, if one is named, in a cohort."""
        if bucket is None:
            bucket = self._next_bucket = (self._next_bucket + 1) % BUCKETS
        where = _Where(variant, metric, cohort, epoch, rule)
        cells = self._open.get(where)
        if cells is None:
            cells = self._open[where] = [
                self.cells.setdefault(key, Cell.starting_at(value))
                for key in where.keys
            ]
        for cell in cells:
            cell.add(bucket, value)

    def values(
        self, variant: str, metric: str, values: Iterable[float], **where: str
    ) -> None:
        """Book values of as many subjects."""
        for value in values:
            self.value(variant, metric, value, **where)

    def events(
        self,
        variant: str,
        events: int,
        exposed: int,
        *,
        metric: str = "error",
        cohort: Cohort = EVERYBODY,
        epoch: str = "e1",
        rule: str = "",
    ) -> None:
        """Book distinct subjects, and how many of them saw an event."""
        for name, count in ((metric, events), (EXPOSURE, exposed)):
            for key in _Where(variant, name, cohort, epoch, rule).keys:
                self.subjects[key] = self.subjects.get(key, 0) + count


class Traffic:
    """Calls of distinct subjects, added up by a tally."""

    def __init__(self, plan: RolloutPlan, *, seed: int = 1) -> None:
        self.plan = plan
        self.rng = seeded(seed)
        self.tally = Tally(plan)

    @property
    def evidence(self) -> Evidence:
        """Return what was added up so far."""
        return self.tally.evidence

    def seen(self, variant: str, **where: object) -> Seen:
        """Return an exposure of a new subject."""
        return Seen(variant, self.rng.getrandbits(64), **where)

    def calls(
        self,
        variant: str,
        count: int,
        metrics: Callable[[], Mapping[str, float]],
        *,
        share: float | None = None,
        later: float = 0.0,
        **where: object,
    ) -> None:
        """Add calls, each with the metrics that it has so many seconds later."""
        for _ in range(count):
            seen = self.tally.expose(self.seen(variant, **where), share=share)
            for metric, value in metrics().items():
                self.tally.outcome(seen, metric, value, now=seen.at + later)

    def hits(self, rate: float) -> float:
        """Return 1 with this probability, else 0."""
        return float(self.rng.random() < rate)
