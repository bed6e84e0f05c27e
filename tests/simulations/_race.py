"""One run of a design: which rule rolls back, and after how many requests."""

import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from tests.simulations._growing import Growing, Rows, rows_of
from tests.simulations._peers import Threshold, rules_on_minutes, rules_on_totals
from tests.simulations._traffic import Looks, Requests, looks_of

from flipback.analysis import PeakKey, analyze
from flipback.plan import RolloutPlan
from flipback.verdict import Verdict


T = TypeVar("T")
OURS = "flipback"

Ending = Mapping[str, int | None]
"""Counted requests of the candidate at the roll back, by rule; None without one."""

Draw = Callable[[np.random.Generator], Requests]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A plan and the traffic that it meets.

    Attributes:
        name: As the table says it.
        plan: What is guarded.
        draw: The traffic of one run.
        looks: When somebody looks.
        thresholds: What rules that compare with constants are given; empty if they
            have nothing to watch.
        by_all: Whether the rules of others run as well.
        in_steps: Whether looks are passed over while nothing is near; for traffic of
            which only matters whether it is ever rolled back.
    """

    name: str
    plan: RolloutPlan
    draw: Draw
    looks: Callable[[Requests], Looks] = looks_of
    thresholds: tuple[Threshold, ...] = ()
    by_all: bool = True
    in_steps: bool = False

    def run(self, seed: int) -> Ending:
        """Return how one run ended, for each rule."""
        requests = self.draw(np.random.default_rng(seed))
        looks = self.looks(requests)
        ours = first_roll_back(
            self.plan,
            rows_of(self.plan, requests, looks),
            looks,
            cohorts=requests.cohorts,
            in_steps=self.in_steps,
        )
        found: dict[str, int | None] = {OURS: _counted(looks, ours)}
        if self.by_all:
            on_totals = rules_on_totals(self.plan, requests, looks)
            found |= {name: _counted(looks, at) for name, at in on_totals.items()}
            on_time = rules_on_minutes(self.plan, requests, self.thresholds)
            found |= {name: _counted_at(looks, at) for name, at in on_time.items()}
        return found


def first_roll_back(
    plan: RolloutPlan,
    rows: tuple[Rows, ...],
    looks: Looks,
    *,
    cohorts: tuple[str, ...] = (),
    in_steps: bool = False,
) -> int | None:
    """Return the look at which the evaluator rolls back, None if it never does.

    Args:
        plan: What is guarded.
        rows: All that is observed.
        looks: When somebody looks.
        cohorts: As the rows number them.
        in_steps: Whether the four looks after one at which G is below a fifth of its
            threshold are passed over. To cross there and be back below, unseen, G
            would have to rise and fall fivefold in the meantime.
    """
    growing = Growing(plan, rows, cohorts=cohorts)
    peaks: Mapping[PeakKey, float] = {}
    look = 0
    while look < len(looks.at):
        now = float(looks.at[look])
        analysis = analyze(plan, growing.at(look), peaks=peaks, now=now, shown=False)
        if analysis.verdict is Verdict.FAIL:
            return look
        peaks = analysis.peaks
        far = analysis.log_g < analysis.log_threshold - _NEAR
        look += _STEP if in_steps and far else 1
    return None


_NEAR = 1.6
_STEP = 5


def over(work: Callable[[int], T], seeds: Iterable[int], *, jobs: int) -> Sequence[T]:
    """Return the results of all seeds in their order, worked out by some processes."""
    if jobs == 1:
        return [work(seed) for seed in seeds]
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        return pool.map(work, seeds, chunksize=4)


def race(design: Design, runs: int, *, jobs: int) -> Sequence[Ending]:
    """Return how each of so many runs ended."""
    return over(partial(_run, design), range(runs), jobs=jobs)


def _run(design: Design, seed: int) -> Ending:
    return design.run(seed)


def _counted(looks: Looks, look: int | None) -> int | None:
    return None if look is None else int(looks.counted[look])


def _counted_at(looks: Looks, second: float | None) -> int | None:
    """Return what had been counted by the look after a moment; None after the last."""
    if second is None or second > looks.at[-1]:
        return None
    return int(looks.counted[np.searchsorted(looks.at, second)])
