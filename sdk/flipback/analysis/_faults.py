"""Metrics that one arm alone reports: the data has a hole, and no gate may be passed.

It stops no roll back that other metrics prove: a candidate that crashes before it
records anything must not be protected by its own silence.
"""

from collections.abc import Iterator
from math import log1p
from typing import NamedTuple

from flipback.analysis._strata import Strata
from flipback.assignment import EVERYBODY
from flipback.booking import signals_of
from flipback.plan import RolloutPlan
from flipback.signals import Signal


MIN_EXPOSURES = 100
"""Exposures of an arm before its silence means anything."""

_LOG_CHANCE = -14.0
"""Log of the chance, about one in a million, below which silence is no accident."""


class _Side(NamedTuple):
    variant: str
    exposed: int
    reported: int


def faults_of(plan: RolloutPlan, strata: Strata) -> tuple[str, ...]:
    """Return a sentence for each metric that one arm reports and the other never.

    How rarely the other arm reports it is taken into account: an event that is
    recorded only when it happens may well not have happened yet. Of a metric that
    matures later only mature exposures and outcomes are looked at.
    """
    return tuple(
        said for signal in _recorded(plan) for said in _silences(plan, strata, signal)
    )


def _recorded(plan: RolloutPlan) -> tuple[Signal, ...]:
    found = [signals_of(plan, name) for name in plan.judged]
    kept = [signal for signals in found for signal in signals]
    first = {(signal.metric, signal.matures_after_s): signal for signal in kept[::-1]}
    return tuple(reversed(first.values()))


def _silences(plan: RolloutPlan, strata: Strata, signal: Signal) -> Iterator[str]:
    exposed = strata.exposures(EVERYBODY, after_s=signal.matures_after_s)
    reported = strata.observations(signal.name, EVERYBODY)
    control = _Side(plan.control, exposed[0], reported[0])
    candidate = _Side(plan.candidate, exposed[1], reported[1])
    for silent, other in ((candidate, control), (control, candidate)):
        if _is_silent(silent, other):
            yield (
                f"{signal.metric} was never reported in {silent.exposed} exposures of "
                f"{silent.variant}, and {other.reported} times in {other.exposed} of "
                f"{other.variant}; see whether {silent.variant} records it"
            )


def _is_silent(silent: _Side, other: _Side) -> bool:
    if silent.reported or silent.exposed < MIN_EXPOSURES or not other.reported:
        return False
    if other.reported >= other.exposed:
        return True
    chance = silent.exposed * log1p(-other.reported / other.exposed)
    return chance < _LOG_CHANCE
