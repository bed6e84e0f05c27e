"""Shadow traffic: both models answer each call, and the answers are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tests.simulations._book import plan_of
from tests.simulations._growing import Rows
from tests.simulations._race import OURS, first_roll_back
from tests.simulations._traffic import SETTLED, Floats, Ints, Looks, hashes

from flipback.exposure import BUCKETS
from flipback.signals import Part, Signal


MOST = 5_000
MEAN = 10.0
DEVIATION = 1.5
LOSS = 0.02
PLAN = plan_of({"metric": "grade", "fails_on": "decrease"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Grades of both models on the same calls; the candidate loses 2 % of the mean.

    Attributes:
        correlation: Between both grades of a call.
        paired: Whether they are compared as pairs, or as if of different calls.
    """

    correlation: float
    paired: bool = True

    def run(self, seed: int) -> Mapping[str, int | None]:
        """Return how many pairs it took."""
        rng = np.random.default_rng(seed)
        common, own = rng.normal(0, 1, (2, MOST))
        spread = (1 - self.correlation**2) ** 0.5
        control = MEAN + DEVIATION * common
        harmed = MEAN * (1 - LOSS)
        candidate = harmed + DEVIATION * (self.correlation * common + spread * own)
        at = np.arange(1, MOST + 1, dtype=np.int64)
        seen = at[(at < 300) | (at % 25 == 0)]
        looks = Looks(ends=seen, counted=seen, at=seen.astype(np.float64))
        bucket = (hashes(rng, MOST) % np.uint64(BUCKETS)).astype(np.int64)
        look = np.searchsorted(seen, at)
        rows = tuple(
            _rows(name, look, bucket, values, served=served)
            for name, values, served in self._signals(control, candidate)
        )
        found = first_roll_back(PLAN, rows, looks)
        return {OURS: None if found is None else int(seen[found])}

    def _signals(
        self, control: Floats, candidate: Floats
    ) -> Sequence[tuple[str, Floats, bool]]:
        part = Part.PAIRED if self.paired else Part.SPLIT
        name = Signal("grade", part=part).name
        arms = [(name, control, False), (name, candidate, True)]
        if self.paired:
            between = Signal("grade", part=Part.DIFFERENCE).name
            arms.append((between, candidate - control, True))
        return arms


def _rows(name: str, look: Ints, bucket: Ints, values: Floats, *, served: bool) -> Rows:
    size = len(values)
    nowhere = np.zeros(size, dtype=np.int64)
    return Rows(
        name=name,
        look=look,
        place=nowhere,
        served=np.full(size, served),
        cohort=nowhere,
        bucket=bucket,
        value=values,
        fresh=np.zeros(size, dtype=np.bool_),
        places=((*SETTLED, 0),),
    )
