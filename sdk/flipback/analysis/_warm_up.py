"""Whether a candidate that answers unseen is as fast as it is going to be.

Where a fleet is switched at once there is no small stage in which caches fill and
code is compiled. So its latency in shadow traffic must have come to rest: of the
last three windows of equal length the latest and each of the two before must be
equivalent, the geometric mean within 10 % of theirs. Equivalence is proven, not
presumed: the whole confidence interval of the ratio must lie inside (two one-sided
tests, Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987), and
both comparisons must pass, an intersection-union test that needs no correction.

Every minute is another chance to err, so the k-th since the first answer is granted
alpha / (k (k + 1)) of the plan, which sums to alpha for as many as may come: the
chance that a latency that still changes by more than 10 % from window to window is
ever called stable is at most alpha. Its quantile is bounded by sqrt(2 log(1 / p)),
more than that of the normal law, which makes up for estimated variances. Answers of
one subject count for less by their design effect. That answers of different subjects
are independent is taken for granted.

A window is a minute where traffic is ample. Else it is the shortest of 2, 4, ... 64
that tells 10 % apart, judged by numbers and scatter, which say nothing of the change.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, isnan, log, log1p, sqrt
from typing import NamedTuple

from flipback.analysis._weighed import exponential, finite
from flipback.assignment import EVERYBODY
from flipback.exposure import Cell, Evidence
from flipback.plan import RolloutPlan
from flipback.signals import WARM_SLICE_S, WARM_UP, last_warm_slice
from flipback.stats import Arm, design_effect
from flipback.verdict import Interval


WITHIN = 0.1
"""Relative change of the geometric mean that is none."""

MIN_CALLS = 30
"""Answers in each window, before anything is said of it."""

_WINDOWS = 3
_LENGTHS = (1, 2, 4, 8, 16, 32, 64)
_PRECISE = log1p(WITHIN) * 2 / 3
_NOTHING = "the candidate has not answered any shadow call yet"
_TOO_SOON = f"the candidate has answered shadow calls for less than {_WINDOWS} minutes"
_TOO_FEW = (
    f"none of the last minutes, nor longer windows, have {MIN_CALLS} shadow answers "
    "three times in a row; raise `shadow`, or promote with a reason"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """What shadow answers say of the candidate's latency.

    Attributes:
        ready: Whether it is proven to be stable.
        note: Why it is not, or empty.
        window_s: Length of each window in seconds, 0 where none was weighed.
        calls: Answers in each window, the oldest first.
        latency_s: Geometric mean of the latest, None without one.
        changes: Confidence interval of the relative change to the latest window from
            each of those before, the oldest first.
    """

    ready: bool
    note: str
    window_s: int = 0
    calls: tuple[int, ...] = ()
    latency_s: float | None = None
    changes: tuple[Interval, ...] = ()


class _Change(NamedTuple):
    """The logarithm of a ratio, and how far from it the truth may be."""

    log_ratio: float
    away: float

    @property
    def is_none(self) -> bool:
        """Return whether all that the truth may be is within the bounds."""
        low, high = self.log_ratio - self.away, self.log_ratio + self.away
        return low >= log1p(-WITHIN) and high <= log1p(WITHIN)

    @property
    def interval(self) -> Interval:
        """Return the relative change."""
        low, high = self.log_ratio - self.away, self.log_ratio + self.away
        return Interval(low=exponential(low) - 1, high=exponential(high) - 1)


class _Windows(NamedTuple):
    """Windows of one length, the oldest first, and their changes to the latest."""

    length: int
    arms: tuple[Arm, ...]
    changes: tuple[_Change, ...]

    @property
    def is_precise(self) -> bool:
        """Return whether a change of the size that matters could be told."""
        return all(change.away <= _PRECISE for change in self.changes)


def warm_up(plan: RolloutPlan, evidence: Evidence, *, now: float) -> WarmUp:
    """Say whether the candidate's latency in shadow traffic no longer changes.

    Not ready is the answer without evidence, and to sums that cannot be weighed; it
    never raises. How fast the candidate is, is for guardrails to say.

    Args:
        plan: Names the candidate, and alpha.
        evidence: Sums of the attempt.
        now: Unix seconds; a minute counts once it is over.
    """
    slices = _slices(plan, evidence)
    if not slices or isnan(now):
        return WarmUp(ready=False, note=_NOTHING)
    last = last_warm_slice(now) if isfinite(now) else max(slices)
    age = last - min(slices) + 1
    if age < _WINDOWS:
        return WarmUp(ready=False, note=_TOO_SOON)
    found = _best(slices, last, age, reach=_reach(plan.alpha, age))
    return WarmUp(ready=False, note=_TOO_FEW) if found is None else _said(found)


def _slices(plan: RolloutPlan, evidence: Evidence) -> Mapping[int, Cell]:
    """Return all answers by minute, whatever their epoch and rule."""
    slices: dict[int, Cell] = {}
    for key, cell in evidence.cells.items():
        if (key.metric, key.cohort) != (WARM_UP, EVERYBODY):
            continue
        if key.variant == plan.candidate:
            slices.setdefault(key.slice, Cell(cell.origin)).merge(cell)
    return slices


def _reach(alpha: float, age: int) -> float:
    """Return how many standard errors the truth may be away, at this minute's alpha."""
    return sqrt(2 * (log(age) + log(age + 1) - log(alpha)))


def _best(
    slices: Mapping[int, Cell], last: int, age: int, *, reach: float
) -> _Windows | None:
    """Return the shortest windows that are precise, else the longest with answers."""
    found = None
    for length in _LENGTHS:
        if length * _WINDOWS > age:
            break
        windows = _windows(slices, last, length, reach)
        found = windows or found
        if windows is not None and windows.is_precise:
            break
    return found


def _windows(
    slices: Mapping[int, Cell], last: int, length: int, reach: float
) -> _Windows | None:
    """Return windows of so many minutes, None where one lacks answers or numbers."""
    ends = [last - length * back for back in reversed(range(_WINDOWS))]
    arms = [_arm(slices, range(end - length + 1, end + 1)) for end in ends]
    kept = tuple(arm for arm in arms if arm is not None)
    if len(kept) < _WINDOWS:
        return None
    changes = tuple(_change(arm, kept[-1], reach) for arm in kept[:-1])
    known = all(isfinite(each.log_ratio + each.away) for each in changes)
    return _Windows(length, kept, changes) if known else None


def _arm(slices: Mapping[int, Cell], pieces: Iterable[int]) -> Arm | None:
    total: Cell | None = None
    for cell in filter(None, map(slices.get, pieces)):
        total = total or Cell(cell.origin)
        total.merge(cell)
    arm = Arm.of(total)
    return arm if arm and arm.n >= MIN_CALLS and arm.is_weighable else None


def _change(earlier: Arm, latest: Arm, reach: float) -> _Change:
    error = sqrt(_squared_error(earlier) + _squared_error(latest))
    return _Change(latest.minus(earlier), reach * error)


def _squared_error(arm: Arm) -> float:
    return design_effect([(arm, 1.0)]) * arm.variance / arm.n


def _said(found: _Windows) -> WarmUp:
    ready = all(change.is_none for change in found.changes)
    changes = tuple(change.interval for change in found.changes)
    furthest = max(changes, key=lambda each: max(each.high, -each.low))
    minutes = "minute" if found.length == 1 else f"window of {found.length} minutes"
    note = (
        f"the latency is not stable yet: from one {minutes} to the next it changes by "
        f"{furthest.low:+.0%} to {furthest.high:+.0%}, where {WITHIN:.0%} would be none"
    )
    return WarmUp(
        ready=ready,
        note="" if ready else note,
        window_s=found.length * WARM_SLICE_S,
        calls=tuple(round(arm.n) for arm in found.arms),
        latency_s=finite(exponential(found.arms[-1].mean)),
        changes=changes,
    )
