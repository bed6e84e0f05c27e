"""Whether a split that is not as set is noticed, and one that is left alone."""

from dataclasses import dataclass
from math import inf

import numpy as np
from tests.simulations._book import plan_of
from tests.simulations._bounds import reached_by
from tests.simulations._counts import Counts
from tests.simulations._designs import ERROR
from tests.simulations._race import over
from tests.simulations._report import (
    Options,
    Report,
    percent,
    rate,
    table,
    verdict_of_rate,
)

from flipback.analysis import analyze
from flipback.verdict import Action


PLAN = plan_of(ERROR)
SET = 0.1
STEP = 200
MOST = 60_000
TARGET = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Subjects of whom this share meets the candidate, where 10 % was set."""

    actual: float

    def run(self, seed: int) -> int | None:
        """Return after how many subjects it freezes, looks 200 to 2,000 apart."""
        rng = np.random.default_rng(seed)
        counts = Counts(plan=PLAN, metric="error", share=SET, most=inf)
        peaks = analyze(PLAN, counts.evidence).peaks
        total = 0
        while total < MOST:
            step = max(STEP, total // 30)
            served = int(rng.binomial(step, self.actual))
            counts.add(rng, served, 0.02, served=True)
            counts.add(rng, step - served, 0.02, served=False)
            total += step
            analysis = analyze(PLAN, counts.evidence, peaks=peaks, shown=False)
            if analysis.action is Action.FREEZE:
                return total
            peaks = analysis.peaks
        return None


def main(options: Options) -> Report:
    """Return the table of false freezes, and of how soon a wrong split is found."""
    rows = [_as_set(options)]
    rows += [_lost(options, actual) for actual in (0.09, 0.095, 0.11)]
    head = ["split, 10 % was set", "runs", "target", "frozen", "subjects, median", ""]
    return Report(text=table(head, rows))


def _as_set(options: Options) -> list[str]:
    runs = options.times(10)
    hits = sum(found is not None for found in _runs(options, SET, runs))
    met = verdict_of_rate(hits, runs, TARGET)
    measured = rate(hits, runs, digits=2)
    return ["10 %", str(runs), "<= 0.1 %", measured, "-", met]


def _lost(options: Options, actual: float) -> list[str]:
    runs = options.times(0.5)
    found = _runs(options, actual, runs)
    caught = percent(sum(each is not None for each in found), runs, digits=0)
    median = reached_by(found, 0.5)
    said = "never" if median is None else f"{median:,}"
    return [f"{100 * actual:g} %", str(runs), "-", caught, said, ""]


def _runs(options: Options, actual: float, runs: int) -> list[int | None]:
    return list(over(Split(actual=actual).run, range(runs), jobs=options.jobs))
