"""How often the demo's rollout is rolled back, over re-randomisations of its people.

The models are those of `examples/enterprise_cohort`, trained once; what each decides
on each real person is computed beforehand. A run draws a new order, a new random
quarter of the people for the candidate, and new buckets. It then looks after every
25 calls of the candidate, as the demo does: `analyze` is the SDK's, and the plan the
demo's own. The same looks are given to a z-test that does not know of repetition.
"""

import importlib
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.simulations._race import over
from tests.simulations._report import Options, Report

from flipback.analysis import Analysis, analyze
from flipback.assignment import EVERYBODY
from flipback.config import load_settings
from flipback.exposure import BUCKETS, EXPOSURE, Cell, CellKey, Evidence
from flipback.plan import RolloutPlan
from flipback.verdict import Verdict


EXAMPLE = Path(__file__).parents[2] / "examples" / "enterprise_cohort"
EVERY = 25
ENTERPRISE = "employer_size=enterprise"
COHORTS = (EVERYBODY, ENTERPRISE, "employer_size=smaller")
ONE_SIDED_5_PERCENT = 1.6449
LEAST_N = 30
ENOUGH = 20

Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The people of the replay, and whom each model misses; one entry a person.

    `missed` is by scenario: what control misses, what the candidate misses.
    """

    plan: RolloutPlan
    share: float
    enterprise: Flags
    positive: Flags
    missed: Mapping[str, tuple[Flags, Flags]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Sums at every look; axes: look, arm (control, candidate), cohort as COHORTS.

    `n` and `x` have the buckets as a fourth axis.
    """

    exposed: Counts
    n: Counts
    x: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one run ended.

    Attributes:
        calls: Candidate calls at the roll back, None if there was none.
        by: The cohort it was attributed to.
        aggregate_favours: Whether the candidate missed fewer overall at that moment.
        naive: Whether the naive test would have rolled back at any look.
    """

    calls: int | None
    by: str
    aggregate_favours: bool
    naive: bool


def main(options: Options) -> Report:
    """Return the table of half of the runs, since each replays 110,413 people."""
    world, runs = build(), options.times(0.5)
    rows = [
        row(
            scenario,
            over(partial(run, world, scenario), range(runs), jobs=options.jobs),
        )
        for scenario in world.missed
    ]
    return Report(text="\n".join([*_HEAD, *rows]))


def build() -> World:
    """Train the models and let each decide on everybody once; some seconds."""
    models = _models()
    settings = load_settings(EXAMPLE / "plan" / "flipback.toml")
    census = models.load_census()
    parts = models.split(census)
    trained = models.train(census, parts)
    rows = census.features[parts.traffic]
    control, biased, unbiased = (
        model.scores(rows) < model.threshold
        for model in (trained.control, trained.biased, trained.unbiased)
    )
    (plan,) = settings.plans
    return World(
        plan=plan,
        share=(plan.stages[-1].weight or 0) / 100,
        enterprise=census.is_enterprise[parts.traffic],
        positive=census.has_high_income[parts.traffic],
        missed={
            "identical models": (control, control),
            "unbiased candidate": (control, unbiased),
            "biased candidate": (control, biased),
        },
    )


def run(world: World, scenario: str, seed: int) -> Run:
    """Replay everybody once in a new order, until the plan fails."""
    looks = replay(world, scenario, np.random.default_rng(seed))
    naive = naive_fails(looks)
    peaks: Any = {}  # of a private type: whatever the last look handed out
    for look in range(len(looks.n)):
        analysis = analyze(
            world.plan, evidence(world, looks, look), peaks=peaks, shown=False
        )
        peaks = analysis.peaks
        if analysis.verdict is Verdict.FAIL:
            return _rolled_back(analysis, (look + 1) * EVERY, naive=naive)
    return Run(calls=None, by="", aggregate_favours=False, naive=naive)


def replay(world: World, scenario: str, rng: np.random.Generator) -> Looks:
    """Assign everybody at random and sum up what each look will see."""
    people = len(world.positive)
    order = rng.permutation(people)
    arm = (rng.random(people) < world.share).astype(np.int64)
    bucket = rng.integers(0, BUCKETS, people)
    served = np.cumsum(arm)
    # A look comes right after every 25th candidate call and sees all calls so far.
    seen_at = (served - arm) // EVERY
    looks = int(served[-1]) // EVERY
    kept = seen_at < looks
    cohort = np.where(world.enterprise[order], 0, 1)
    by_control, by_candidate = world.missed[scenario]
    missed = np.where(arm, by_candidate[order], by_control[order])
    where = (seen_at, arm, cohort, bucket)
    shape = (looks, 2, 2, BUCKETS)
    known = kept & world.positive[order]
    return Looks(
        exposed=_summed(where, kept, shape).sum(axis=3),
        n=_summed(where, known, shape),
        x=_summed(where, known & missed, shape),
    )


def evidence(world: World, looks: Looks, look: int) -> Evidence:
    """Return what the store would hand out at this look."""
    cells: dict[CellKey, Cell] = {}
    subjects: dict[CellKey, int] = {}
    for arm, variant in enumerate((world.plan.control, world.plan.candidate)):
        for place, cohort in enumerate(COHORTS):
            at = (look, arm, place)
            key = CellKey("income", 1, "epoch", "", 0, "missed", cohort, variant)
            cells[key] = _cell(looks.n[at], looks.x[at])
            key = key._replace(metric=EXPOSURE)
            subjects[key] = int(looks.exposed[at])
    return Evidence(cells=cells, subjects=subjects, excluded={})


def naive_fails(looks: Looks) -> bool:
    """Return whether a z-test, one-sided at 5 %, ever finds harm, in any cohort.

    It waits for 30 labels in both arms, and is otherwise as most dashboards are:
    pooled variance, every look judged as if it were the only one.
    """
    n, x = looks.n.sum(axis=3), looks.x.sum(axis=3)
    enough = np.minimum(n[:, 0], n[:, 1]) >= LEAST_N
    n, x = np.maximum(n, 1), x.astype(float)
    pooled = x.sum(axis=1) / n.sum(axis=1)
    difference = x[:, 1] / n[:, 1] - x[:, 0] / n[:, 0]
    variance = pooled * (1 - pooled) * (1 / n[:, 0] + 1 / n[:, 1])
    z = difference / np.sqrt(np.maximum(variance, 1e-12))
    return bool((enough & (z > ONE_SIDED_5_PERCENT)).any())


def row(scenario: str, runs: Sequence[Run]) -> str:
    """Return the table's row."""
    back = [each for each in runs if each.calls is not None]
    by_enterprise = [each for each in back if each.by == ENTERPRISE]
    favours = sum(each.aggregate_favours for each in back)
    calls = sorted(each.calls or 0 for each in back)
    return _line(
        scenario,
        str(len(runs)),
        _percent(len(back), len(runs)),
        _percent(len(by_enterprise), len(runs)),
        _percent(favours, len(back)),
        f"{median(calls):,.0f}" if len(calls) >= ENOUGH else "-",
        f"{quantiles(calls, n=20)[-1]:,.0f}" if len(calls) >= ENOUGH else "-",
        _TARGETS[scenario],
        _percent(sum(each.naive for each in runs), len(runs)),
    )


_TARGETS = {
    "identical models": "rolled back <= 5 %",
    "unbiased candidate": "rolled back <= 5 %",
    "biased candidate": ">= 95 % by enterprise, >= 90 % favours",
}


def _line(*values: str) -> str:
    return f"| {' | '.join(values)} |"


_COLUMNS = (
    "candidate",
    "runs",
    "rolled back",
    "by the enterprise cohort",
    "aggregate favours candidate at the flip",
    "candidate calls, median",
    "candidate calls, p95",
    "target",
    "naive z-test: rolled back",
)
_HEAD = (_line(*_COLUMNS), "|---" * len(_COLUMNS) + "|")


def _models() -> ModuleType:
    """Return the example's module of that name; late, since scikit-learn is slow."""
    if str(EXAMPLE) not in sys.path:
        sys.path.insert(0, str(EXAMPLE))
    return importlib.import_module("models")


def _rolled_back(analysis: Analysis, calls: int, *, naive: bool) -> Run:
    culprit = analysis.broken[0] if analysis.broken else analysis.suspect
    everybody = analysis.findings[0]
    return Run(
        calls=calls,
        by="" if culprit is None else culprit.cohort,
        aggregate_favours=(everybody.relative_effect or 0) < 0,
        naive=naive,
    )


def _summed(
    where: tuple[Counts, ...], counted: Flags, shape: tuple[int, ...]
) -> Counts:
    """Return running sums over looks, with everybody put before the two cohorts."""
    flat = np.ravel_multi_index(tuple(axis[counted] for axis in where), shape)
    counts = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)
    running = counts.cumsum(axis=0)
    return np.concatenate([running.sum(axis=2, keepdims=True), running], axis=2)


def _cell(n: Counts, x: Counts) -> Cell:
    """Return a cell of values that are 0 or 1, so that sums and squares agree."""
    cell = Cell()
    cell.n = array("q", n.tobytes())
    cell.x = array("d", x.astype(np.float64).tobytes())
    cell.xx = float(x.sum())
    return cell


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"
