"""How much harm leaving a stage must rule out."""

from math import log1p
from typing import NamedTuple

from flipback.plan import FailsOn, GateRule, Guardrail, RolloutPlan, Stage
from flipback.stats import Harm


ALL = 100.0
LARGEST_FALL = 0.5
"""A fall by more is ruled out at every step: only a dead model loses everything."""


def next_weight_after(plan: RolloutPlan, weight: float | None) -> float:
    """Return the weight that follows; all, after the last or where none is known."""
    if weight is None:
        return ALL
    weights = (stage.weight for stage in plan.stages if stage.weight is not None)
    return next((each for each in weights if each > weight), ALL)


def stage_at(plan: RolloutPlan, weight: float | None) -> Stage | None:
    """Return the stage in force: the last whose weight is reached.

    Below the first weight that is the last shadow stage, None without one; where the
    weight is not known, the plan's last stage.
    """
    if weight is None:
        return plan.stages[-1]
    reached = [
        s for s in plan.stages if s.weight is not None and 0 < s.weight <= weight
    ]
    shadows = [s for s in plan.stages if s.shadow is not None]
    found = reached or shadows
    return found[-1] if found else None


def gate_margin(
    plan: RolloutPlan, guardrail: Guardrail, harm: Harm, next_weight: float
) -> float | None:
    """Return the relative harm to rule out before a weight, None against a limit.

    Harm of that size at that weight is harm of the tolerance to everybody, and never
    less than the tolerance itself; a fall is ruled out beyond a half at the latest, or
    beyond the tolerance if that is more.
    """
    if guardrail.limit is not None:
        return None
    tolerance = guardrail.tolerance or 0.0
    if plan.gate is GateRule.STRICT or next_weight <= 0:
        return tolerance
    largest = max(plan.max_ramp_margin, tolerance)
    scaled = min(largest, tolerance * ALL / next_weight)
    return scaled if harm > 0 else min(scaled, max(tolerance, LARGEST_FALL))


class Side(NamedTuple):
    """One direction of harm that is to be ruled out.

    Attributes:
        harm: The direction.
        margin: Relative harm beyond which it must be ruled out; below 1 for a fall.
    """

    harm: Harm
    margin: float

    @property
    def factor(self) -> float:
        """Return what control is multiplied by at the margin."""
        return 1 + self.harm * self.margin

    @property
    def can_be_ruled_out(self) -> bool:
        """Return whether arms that are alike are on the right side of the margin."""
        return self.margin > 0 and self.factor > 0

    @property
    def log_margin(self) -> float:
        """Return the size of the margin on a logarithmic scale."""
        return abs(log1p(self.harm * self.margin))


def sides_of(guardrail: Guardrail) -> tuple[Harm, ...]:
    """Return the directions that are harm: two for a change."""
    match guardrail.fails_on:
        case FailsOn.INCREASE:
            return (1,)
        case FailsOn.DECREASE:
            return (-1,)
        case FailsOn.CHANGE:
            return (1, -1)


def opposite(harm: Harm) -> Harm:
    """Return the other direction."""
    return -1 if harm > 0 else 1
