"""How often the gate lets harm pass, and how long a good candidate waits for it."""

from collections.abc import Mapping, Sequence
from functools import partial

from tests.simulations._bounds import reached_by
from tests.simulations._gates import GATES, Gated
from tests.simulations._good import ROLLOUTS, Rollout
from tests.simulations._race import over
from tests.simulations._report import (
    Options,
    Report,
    percent,
    rate,
    table,
    verdict,
    verdict_of_rate,
)


TARGET = 0.05
HARMS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
AT_MARGIN = 1.0
NEAR = 1.5

Points = Sequence[tuple[float, int, int]]


def main(options: Options) -> Report:
    """Return the tables of the gate, and its operating characteristic."""
    curves = {gated.name: _curve(options, gated) for gated in GATES}
    harm = [_row(name, points) for name, points in curves.items()]
    good = [_good(options, rollout) for rollout in ROLLOUTS]
    harms = [f"harm {each:g} x margin" for each in HARMS if each != AT_MARGIN]
    head = ["gate", "runs", "target", "passed at the margin", "", *harms]
    text = [
        table(head, harm),
        _GOOD,
        table(_GOOD_HEAD, good),
    ]
    return Report(text="\n\n".join(text), plots={"gate": partial(_plot, curves)})


_GOOD = (
    "A good candidate, 100,000 new users a day, 2 % errors in both arms, stages of "
    "1, 5, 25, 50 and 100 %:"
)
_GOOD_HEAD = [
    "rollout",
    "runs",
    "target",
    "days foretold",
    "days taken, median",
    "",
    "passed within 1.5 x",
    "not within 60 days",
]


def _curve(options: Options, gated: Gated) -> Points:
    points: list[tuple[float, int, int]] = []
    for harm in HARMS:
        runs = options.times(2.5 if harm == AT_MARGIN else 0.5)
        passed = over(partial(gated.passes, harm), range(runs), jobs=options.jobs)
        points.append((harm, sum(passed), runs))
    return points


def _row(name: str, points: Points) -> list[str]:
    ((_, hits, runs),) = [point for point in points if point[0] == AT_MARGIN]
    others = [percent(h, n, digits=0) for harm, h, n in points if harm != AT_MARGIN]
    met = verdict_of_rate(hits, runs, TARGET)
    return [name, str(runs), "<= 5 %", rate(hits, runs), met, *others]


def _good(options: Options, rollout: Rollout) -> list[str]:
    runs = options.times(0.4)
    foretold = rollout.foretold()
    ended = over(rollout.run, range(runs), jobs=options.jobs)
    days = [None if each is None else round(each, 2) for each in ended]
    hours = [None if each is None else round(24 * each) for each in ended]
    middle = reached_by(hours, 0.5)
    met = middle is not None and foretold / NEAR <= middle / 24 <= foretold * NEAR
    soon = sum(each is not None and each <= NEAR * foretold for each in days)
    return [
        rollout.name,
        str(runs),
        "foretold, within x 1.5",
        f"{foretold:.1f}",
        "never" if middle is None else f"{middle / 24:.1f}",
        verdict(met=met),
        percent(soon, runs, digits=0),
        percent(sum(each is None for each in ended), runs, digits=0),
    ]


def _plot(curves: Mapping[str, Points]) -> bytes:
    from tests.simulations import _plots  # noqa: PLC0415 - only who writes needs it

    return _plots.characteristic(curves, target=TARGET)
