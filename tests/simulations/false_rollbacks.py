"""How often identical models are rolled back: by flipback, and by others' rules."""

from collections.abc import Mapping, Sequence
from functools import partial

from tests.simulations import _designs as designs
from tests.simulations._late import slow_labels
from tests.simulations._race import OURS, Design, Ending, over, race
from tests.simulations._report import (
    PEERS,
    Options,
    Report,
    hits,
    rate,
    share,
    table,
    verdict_of_rate,
)
from tests.simulations._stages import ROLLOUTS


TARGET = 0.05


def main(options: Options) -> Report:
    """Return the table of identical models, and its plot."""
    drawn: dict[str, Mapping[str, tuple[int, int]]] = {}
    rows: list[list[str]] = []
    for place, (design, runs) in enumerate(_designs(options)):
        endings = race(design, runs, jobs=options.jobs)
        rows.append(_row(design.name, endings))
        if place < _DRAWN:
            drawn[design.name] = _rates(endings)
    for staged in ROLLOUTS:
        endings = over(staged.run, range(options.times(2.5)), jobs=options.jobs)
        rows.append(_row(staged.name, endings))
    head = ["identical models", "runs", "target", "flipback rolled back", "", *PEERS]
    return Report(
        text=table(head, rows), plots={"false-rollbacks": partial(_plot, drawn)}
    )


_DRAWN = 2


def _designs(options: Options) -> Sequence[tuple[Design, int]]:
    more = options.times(2.5)
    return (
        (designs.identical(), options.runs),
        (designs.ramp(), options.runs),
        (designs.segment_rule(), more),
        (designs.common_events(), more),
        (designs.same_latency(), more),
        (slow_labels(), more),
    )


def _row(name: str, endings: Sequence[Ending]) -> list[str]:
    found, runs = hits(endings), len(endings)
    met = verdict_of_rate(found, runs, TARGET)
    others = [share(endings, rule) for rule in PEERS]
    return [name, str(runs), "<= 5 %", rate(found, runs), met, *others]


def _rates(endings: Sequence[Ending]) -> Mapping[str, tuple[int, int]]:
    names = [rule for rule in (OURS, *PEERS) if any(rule in each for each in endings)]
    return {rule: (hits(endings, rule), len(endings)) for rule in names}


def _plot(drawn: Mapping[str, Mapping[str, tuple[int, int]]]) -> bytes:
    from tests.simulations import _plots  # noqa: PLC0415 - only who writes needs it

    return _plots.rates(drawn, target=TARGET)
