"""Whom a run of the log gives which variant, and what it makes of the candidate."""

from hashlib import blake2b
from typing import NamedTuple

from flipback.assignment import EVERYBODY, Cohort
from flipback.plan import MetricKind, RolloutPlan
from flipback.replay._rows import Origin


_HASHES = 1 << 64
_BYTES = 8


class Shuffle:
    """Exchanges the labels of arms by subject, as a split of the same share would.

    A subject has one place in the unit interval per run, so it stays where it is
    while the share grows, and all its rows go together.
    """

    def __init__(self, plan: RolloutPlan, *, seed: int, run: int) -> None:
        self._control = plan.control
        self._candidate = plan.candidate
        self._split = blake2b(digest_size=_BYTES, key=f"split {seed} {run}".encode())
        self._turn = blake2b(digest_size=_BYTES, key=f"turn {seed} {run}".encode())

    def variant(self, origin: Origin) -> str:
        """Return who serves in this run; the weight of the row must be known."""
        given = _hash(self._split, origin.subject) < (origin.share or 0.0) * _HASHES
        return self._candidate if given else self._control

    def turns(self, origin: Origin) -> bool:
        """Return whether a subject's pairs change sides in this run."""
        return _hash(self._turn, origin.subject) < _HASHES // 2


class Harm(NamedTuple):
    """Harm to add to what the candidate does.

    Attributes:
        metric: The metric, as it is recorded.
        size: How much it changes: 0.2 is 20 percent, or 0.2 of its unit.
        relative: Which of the two.
        cohort: Where; everybody if empty.
    """

    metric: str
    size: float
    relative: bool
    cohort: Cohort = EVERYBODY


class Worsening:
    """Adds harm to the candidate's values.

    Values that are 0 or 1 stay so: what a relative or absolute change owes is saved
    up row by row and paid by turning a value over, at random, so that the rate moves
    by just that and no rate need be known beforehand. Other values are multiplied,
    or added to.

    Args:
        harm: What to add.
        plan: Tells events, whose values are 0 or 1; of other metrics the values tell.
        seed: With the line number, decides which rows are turned over.
    """

    def __init__(self, harm: Harm, plan: RolloutPlan, *, seed: int) -> None:
        self._harm = harm
        self._candidate = plan.candidate
        self._event = plan.kind_of(harm.metric) is MetricKind.EVENT
        self._binary = True
        self._owed = 0.0
        self._dice = blake2b(digest_size=_BYTES, key=f"harm {seed}".encode())
        self.changed = 0

    def value(
        self, metric: str, value: float, cohorts: tuple[Cohort, ...], line: int
    ) -> float:
        """Return the value that the candidate is made to have."""
        harm = self._harm
        if metric != harm.metric or (harm.cohort and harm.cohort not in cohorts):
            return value
        if value not in (0.0, 1.0):
            self._binary = False
        fresh = self._turned(value, line) if self._turns(value) else self._moved(value)
        self.changed += fresh != value
        return fresh

    def _turns(self, value: float) -> bool:
        return value in (0.0, 1.0) and (self._event or self._binary)

    def _moved(self, value: float) -> float:
        if self._harm.relative:
            return value * (1 + self._harm.size)
        return value + self._harm.size

    def _turned(self, value: float, line: int) -> float:
        size = self._harm.size
        self._owed += abs(size) * (value if self._harm.relative else 1.0)
        turnable = 0.0 if size > 0 else 1.0
        if value != turnable or _hash(self._dice, line) >= self._owed * _HASHES:
            return value
        self._owed -= 1.0
        return 1.0 - value


def _hash(keyed: blake2b, number: int) -> int:
    hasher = keyed.copy()
    hasher.update(number.to_bytes(_BYTES, "big"))
    return int.from_bytes(hasher.digest(), "big")
