"""Evidence of one metric of 0 and 1 that grows by the hundred, not by the request."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from tests.simulations._traffic import Ints

from flipback.assignment import EVERYBODY
from flipback.exposure import BUCKETS, EXPOSURE, Cell, CellKey, Evidence
from flipback.plan import RolloutPlan
from flipback.tally import MAX_SUBJECTS


_EVEN = [1 / BUCKETS] * BUCKETS


@dataclass(slots=True, kw_only=True)
class Counts:
    """Subjects who come once, and whether they had the event.

    Attributes:
        plan: Names route and variants.
        metric: The metric.
        share: The candidate's share in force, or by epoch as it changes; None where
            no service was asked.
        most: Hashes of subjects that are kept, as a store does; of more, a sample.
    """

    plan: RolloutPlan
    metric: str
    share: float | Mapping[str, float] | None = None
    most: float = MAX_SUBJECTS
    _cells: dict[CellKey, Cell] = field(default_factory=dict[CellKey, Cell])
    _exposed: dict[tuple[str, bool], int] = field(
        default_factory=dict[tuple[str, bool], int]
    )
    _hits: dict[tuple[str, bool], int] = field(
        default_factory=dict[tuple[str, bool], int]
    )
    _sampled: float = 1.0
    _events_sampled: float = 1.0

    def add(
        self,
        rng: np.random.Generator,
        n: int,
        rate: float,
        *,
        served: bool,
        epoch: str = "e1",
    ) -> None:
        """Add subjects of one arm, each with this chance of the event."""
        exposed = rng.multinomial(n, _EVEN)
        hits = rng.binomial(exposed, rate)
        self._book(EXPOSURE, exposed, exposed, served=served, epoch=epoch)
        self._book(self.metric, exposed, hits, served=served, epoch=epoch)
        arm = (epoch, served)
        self._exposed[arm] = self._exposed.get(arm, 0) + _some(rng, n, self._sampled)
        total = _some(rng, int(hits.sum()), self._events_sampled)
        self._hits[arm] = self._hits.get(arm, 0) + total
        while sum(self._exposed.values()) > self.most:
            self._sampled /= 2
            self._exposed = {k: _some(rng, n, 0.5) for k, n in self._exposed.items()}
        while sum(self._hits.values()) > self.most:
            self._events_sampled /= 2
            self._hits = {k: _some(rng, n, 0.5) for k, n in self._hits.items()}

    @property
    def evidence(self) -> Evidence:
        """Return what a store would hand out."""
        subjects: dict[CellKey, int] = {}
        for (epoch, served), exposed in self._exposed.items():
            subjects[self._key(EXPOSURE, served=served, epoch=epoch)] = exposed
            hits = self._hits[epoch, served]
            subjects[self._key(self.metric, served=served, epoch=epoch)] = hits
        return Evidence(
            cells=self._cells,
            subjects=subjects,
            excluded={},
            sampled=self._sampled,
            events_sampled=self._events_sampled,
            shares=self._shares,
        )

    @property
    def _shares(self) -> dict[tuple[str, str], float]:
        if self.share is None:
            return {}
        if isinstance(self.share, float):
            return {(epoch, ""): self.share for epoch, _ in self._exposed}
        return {(epoch, ""): share for epoch, share in self.share.items()}

    def _book(
        self,
        metric: str,
        n: Ints,
        x: Ints,
        *,
        served: bool,
        epoch: str,
    ) -> None:
        added = Cell()
        added.n = array("q", n.astype(np.int64).tobytes())
        added.x = array("d", x.astype(np.float64).tobytes())
        added.xx = float(x.sum())
        key = self._key(metric, served=served, epoch=epoch)
        self._cells.setdefault(key, Cell()).merge(added)

    def _key(self, metric: str, *, served: bool, epoch: str) -> CellKey:
        variant = self.plan.candidate if served else self.plan.control
        return CellKey(self.plan.route, 1, epoch, "", 0, metric, EVERYBODY, variant)


def _some(rng: np.random.Generator, n: int, share: float) -> int:
    return n if share >= 1 else int(rng.binomial(n, share))
