"""What each of four things is worth: identical models, with one of them left out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from tests.simulations import _designs as designs
from tests.simulations import _plug_in
from tests.simulations._late import booked_on_arrival, slow_labels
from tests.simulations._race import Design, over, race
from tests.simulations._report import Options, Report, hits, percent, rate, table
from tests.simulations._traffic import Requests


def main(options: Options) -> Report:
    """Return the table of what is lost by each omission."""
    rows = [_row(options, *each) for each in _omitted()]
    rows.append(_plug_in_row(options))
    head = ["left out", "runs", "rolled back without it", "with it"]
    return Report(text=table(head, rows))


def _omitted() -> Sequence[tuple[str, Design, Design]]:
    """Return designs without something, and what they are compared with."""
    ramp, rule = designs.ramp(), designs.segment_rule()
    one = designs.returning(designs.HELPFUL)
    many = designs.returning(*designs.FOUR, segments=True)
    return (
        ("strata: totals pooled over the stages of a ramp", _pooled(ramp), ramp),
        ("strata: totals pooled over the rules of a flag", _pooled(rule), rule),
        ("buckets: a user's requests as independent, 1 guardrail", _apart(one), one),
        ("buckets: the same, 44 guardrails", _apart(many), many),
        ("time: labels booked on arrival", booked_on_arrival(), slow_labels()),
    )


def _row(options: Options, name: str, without: Design, with_it: Design) -> list[str]:
    runs = options.times(0.25)
    wrong, right = (
        hits(race(replace(each, by_all=False), runs, jobs=options.jobs))
        for each in (without, with_it)
    )
    return [name, str(runs), percent(wrong, runs), rate(right, runs)]


def _plug_in_row(options: Options) -> list[str]:
    runs = options.times(6)
    endings = over(_plug_in.run, range(runs), jobs=options.jobs)
    wrong, right = (sum(e[key] for e in endings) for key in ("without", "with"))
    name = (
        "the larger variance for the candidate; a rare good thing, harm is its "
        f"decrease, alpha {_plug_in.ALPHA:.3%}"
    )
    measured = percent(wrong, runs, digits=2), rate(right, runs, digits=2)
    return [name.replace("%", " %"), str(runs), *measured]


def _pooled(design: Design) -> Design:
    return replace(design, draw=partial(_draw_pooled, design.draw))


def _apart(design: Design) -> Design:
    return replace(design, draw=partial(_draw_apart, design.draw))


Draw = Callable[[np.random.Generator], Requests]


def _draw_pooled(draw: Draw, rng: np.random.Generator) -> Requests:
    return draw(rng).pooled()


def _draw_apart(draw: Draw, rng: np.random.Generator) -> Requests:
    return draw(rng).unclustered(rng)
