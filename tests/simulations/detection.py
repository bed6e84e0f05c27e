"""How soon harm is caught: by flipback, and by others' rules."""

from collections.abc import Mapping, Sequence
from functools import partial

from tests.simulations import _designs as designs
from tests.simulations._bounds import reached_by
from tests.simulations._race import OURS, Design, Ending, over, race
from tests.simulations._report import (
    NOTHING,
    PEERS,
    Options,
    Report,
    hits,
    middle,
    percent,
    table,
    verdict,
    wait,
    waits,
)
from tests.simulations._shadow import Shadow


def main(options: Options) -> Report:
    """Return the table of waiting times, and its plot."""
    rows: list[list[str]] = []
    drawn: dict[str, tuple[int, Mapping[str, Sequence[int | None]]]] = {}
    for design, target, factor in _designs():
        endings = race(design, options.times(factor), jobs=options.jobs)
        rows.append(_row(design.name, target, endings))
        if target is not None:
            drawn[design.name] = target, _waits(endings)
    for name, shadow, target in _shadows():
        runs = options.times(2.5)
        endings = over(shadow.run, range(runs), jobs=options.jobs)
        rows.append(_row(name, target, endings))
    head = ["harm", "runs", "target", "flipback", "caught", "", *PEERS]
    return Report(text=table(head, rows), plots={"detection": partial(_plot, drawn)})


def _designs() -> Sequence[tuple[Design, int | None, float]]:
    """Return designs, targets of the median and how often to run them."""
    return (
        (designs.events(0.04, share=0.01), 560, 1.25),
        (designs.events(0.04), 560, 2.5),
        (designs.events(0.04, share=0.1), 560, 2.5),
        (designs.events(0.1), 60, 2.5),
        (designs.proportion(), 760, 2.5),
        (designs.dead(), 5, 2.5),
        (designs.slower(), 420, 2.5),
        (designs.longer_tail(), 1_500, 2.5),
        (designs.small_cohort(), 450, 0.5),
        (designs.small_cohort(0.6), None, 0.5),
    )


def _shadows() -> Sequence[tuple[str, Shadow, int | None]]:
    return (
        ("shadow pairs, mean - 2 %, correlation .8", Shadow(correlation=0.8), 260),
        ("shadow pairs, mean - 2 %, correlation .95", Shadow(correlation=0.95), 65),
        (
            "the same grades (.8), not paired",
            Shadow(correlation=0.8, paired=False),
            None,
        ),
    )


def _row(name: str, target: int | None, endings: Sequence[Ending]) -> list[str]:
    reached = reached_by(waits(endings), 0.5)
    met = target is not None and reached is not None and reached <= target
    return [
        name,
        str(len(endings)),
        NOTHING if target is None else f"<= {target:,}",
        wait(endings),
        percent(hits(endings), len(endings), digits=0),
        "" if target is None else verdict(met=met),
        *(middle(endings, rule) for rule in PEERS),
    ]


def _waits(endings: Sequence[Ending]) -> Mapping[str, Sequence[int | None]]:
    names = [rule for rule in (OURS, *PEERS) if any(rule in each for each in endings)]
    return {rule: waits(endings, rule) for rule in names}


def _plot(
    drawn: Mapping[str, tuple[int, Mapping[str, Sequence[int | None]]]],
) -> bytes:
    from tests.simulations import _plots  # noqa: PLC0415 - only who writes needs it

    return _plots.waits(drawn)
