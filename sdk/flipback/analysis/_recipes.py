"""From which cells the mean of a test is made."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from flipback.analysis._missing import missing_as
from flipback.analysis._weights import Test
from flipback.exposure import EXPOSURE, Cell
from flipback.plan import RolloutPlan
from flipback.signals import Signal
from flipback.stats import Arm


Cells = Sequence[Cell | None]
"""What one arm has of each name, None where it has nothing."""


class Recipe(NamedTuple):
    """How one arm in one stratum is made.

    Attributes:
        names: Signals' names, in the order in which `make` takes their cells.
        make: Makes the arm; None where there is not enough to make one.
    """

    names: tuple[str, ...]
    make: Callable[[Cells], Arm | None]


def signals_weighed(plan: RolloutPlan, test: Test) -> tuple[Signal, ...]:
    """Return the signals of a test: one, or those of its components in order."""
    described = plan.metric(test.guardrail.metric)
    delay = int(described.matures_after.total_seconds())
    names = described.components or (test.guardrail.metric,)
    return tuple(Signal(name, test.measure, delay) for name in names)


def recipe_of(plan: RolloutPlan, test: Test) -> Recipe:
    """Return how the arms of a test are made, as its metric is described."""
    signals = signals_weighed(plan, test)
    names = tuple(signal.name for signal in signals)
    described = plan.metric(test.guardrail.metric)
    if described.is_ratio:
        return Recipe(names, _ratio)
    if described.sum:
        return Recipe(names, partial(_combined, tuple(described.sum.values())))
    value = missing_as(plan, test)
    if value is None:
        return Recipe(names, _plain)
    at_exposure = Signal(EXPOSURE, matures_after_s=signals[0].matures_after_s).name
    return Recipe((*names, at_exposure), partial(_filled, value))


def _plain(cells: Cells) -> Arm | None:
    return Arm.of(cells[0])


def _ratio(cells: Cells) -> Arm | None:
    return Arm.ratio(cells[0], cells[1])


def _filled(value: float, cells: Cells) -> Arm | None:
    return Arm.filled(cells[0], cells[1], value)


def _combined(weights: Sequence[float], cells: Cells) -> Arm | None:
    arms = [Arm.of(cell) for cell in cells]
    parts = [
        (weight, arm)
        for weight, arm in zip(weights, arms, strict=True)
        if arm is not None
    ]
    return Arm.combined(parts) if len(parts) == len(weights) else None
