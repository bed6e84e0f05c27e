"""Evidence of one metric of 0 and 1 that grows by the hundred, not by the request."""

from array import array
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
        share: The candidate's share in force, None where no service was asked.
        most: Hashes of subjects that are kept, as a store does; of more, a sample.
    """

    plan: RolloutPlan
    metric: str
    share: float | None = None
    most: float = MAX_SUBJECTS
    _cells: dict[CellKey, Cell] = field(default_factory=dict[CellKey, Cell])
    _kept: dict[tuple[str, bool], tuple[int, int]] = field(
        default_factory=dict[tuple[str, bool], tuple[int, int]]
    )
    _sampled: float = 1.0

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
        with_it, without = self._kept.get((epoch, served), (0, 0))
        total = int(hits.sum())
        self._kept[epoch, served] = (
            with_it + int(rng.binomial(total, self._sampled)),
            without + int(rng.binomial(n - total, self._sampled)),
        )
        while sum(2 * a + b for a, b in self._kept.values()) > self.most:
            self._sampled /= 2
            for key, (a, b) in self._kept.items():
                self._kept[key] = int(rng.binomial(a, 0.5)), int(rng.binomial(b, 0.5))

    @property
    def evidence(self) -> Evidence:
        """Return what a store would hand out."""
        subjects: dict[CellKey, int] = {}
        for (epoch, served), (hits, others) in self._kept.items():
            subjects[self._key(EXPOSURE, served=served, epoch=epoch)] = hits + others
            subjects[self._key(self.metric, served=served, epoch=epoch)] = hits
        epochs = {epoch for epoch, _ in self._kept}
        known = {} if self.share is None else {(e, ""): self.share for e in epochs}
        return Evidence(
            cells=self._cells,
            subjects=subjects,
            excluded={},
            sampled=self._sampled,
            shares=known,
        )

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
