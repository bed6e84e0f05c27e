"""Evidence booked by hand, as the telemetry would book it."""

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import NamedTuple

from flipback.assignment import EVERYBODY, Cohort
from flipback.exposure import BUCKETS, EXPOSURE, Cell, CellKey, Evidence
from flipback.plan import RolloutPlan


def seeded(seed: int) -> Random:
    """Return a stream of numbers that is the same on every machine."""
    return Random(seed)  # noqa: S311 - a simulation must be repeatable, not secret


def plan_of(
    *guardrails: Mapping[str, object],
    segments: Iterable[str] = (),
    alpha: float = 0.05,
    **keys: object,
) -> RolloutPlan:
    """Return a plan with these guardrails, cohorts `segment=...` and other keys."""
    names = tuple(segments)
    return RolloutPlan.model_validate(
        {
            "route": "answer",
            "flag": "answer-model",
            "control": "control",
            "candidate": "candidate",
            "cohorts": {"segment": names} if names else {},
            "stages": [{"weight": 5}],
            "guardrails": list(guardrails),
            "alpha": alpha,
            **keys,
        }
    )


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
