"""What would help where a gate could wait for ever."""

from dataclasses import dataclass, replace
from math import ceil, inf
from typing import NamedTuple

from flipback.assignment import Cohort
from flipback.plan import GateRule, Stage
from flipback.power._laws import Limit, Means
from flipback.power._question import NEVER_DAYS, Question
from flipback.signals import Measure
from flipback.stats import least


_HALF = 50.0
_LARGEST_TOLERANCE = 10.0
_TOLERANCE_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What would help a test that never passes its gate.

    Attributes:
        place: Index of the stage.
        metric: The guarded metric.
        measure: What of it is weighed.
        cohort: Where.
        fault: Why no traffic helps, or empty: a tolerance of 0, a limit that control
            itself breaches.
        half_days: Days with half of the subjects on the candidate; infinite if never.
        pairs: Pairs of shadow traffic that decide it, None where none do.
        pairs_days: Days until there are as many, if every call is shadowed.
        tolerance: The smallest tolerance that passes before it is never; None for a
            limit, or where none up to 10 does.
        scaled_days: Days under `gate = "scaled"`; None where that is so already.
    """

    place: int
    metric: str
    measure: Measure
    cohort: Cohort
    fault: str = ""
    half_days: float = inf
    pairs: int | None = None
    pairs_days: float = inf
    tolerance: float | None = None
    scaled_days: float | None = None


class Held(NamedTuple):
    """A test that would hold a stage for ever.

    Attributes:
        place: Index of the stage.
        next_weight: What its gate opens.
    """

    place: int
    stage: Stage
    next_weight: float
    question: Question


def remedy(held: Held) -> Remedy:
    """Return what would help, each on its own and reckoned from that stage's start."""
    place, stage, opens, question = held
    test = question.test
    found = Remedy(
        place=place,
        metric=test.guardrail.metric,
        measure=test.measure,
        cohort=test.cohort,
    )
    if fault := _fault(question):
        return replace(found, fault=fault, tolerance=_tolerance(question, stage, opens))
    half = stage.model_copy(update={"weight": _HALF, "shadow": None})
    shadow = stage.model_copy(update={"weight": None, "shadow": 1.0})
    pairs_days = question.passes(shadow, next_weight=opens)
    known = pairs_days < inf and question.flow.pairs
    mature_days = pairs_days - question.delay_days
    return replace(
        found,
        half_days=question.passes(half, next_weight=opens),
        pairs=ceil(mature_days * question.flow.pairs) if known else None,
        pairs_days=pairs_days,
        tolerance=_tolerance(question, stage, opens),
        scaled_days=_scaled(question, stage, opens),
    )


def _fault(question: Question) -> str:
    guardrail, law = question.test.guardrail, question.law
    if isinstance(law, Limit):
        room = [harm * (law.limit - law.mean) for harm in question.sides]
        return "" if min(room) > 0 else "control itself does not keep this limit"
    if isinstance(law, Means):
        if not law.scale:
            return "no share of 0 can be tolerated: guard a limit"
        if not law.variance:
            return "its baseline never varies: say its deviation"
    tolerance = guardrail.tolerance or 0.0
    if not tolerance:
        return "with a tolerance of 0 only a candidate that is better can pass"
    if -1 in question.sides and tolerance >= 1:
        return "with a tolerance of 1 or more no fall is too large"
    return ""


def _tolerance(question: Question, stage: Stage, opens: float) -> float | None:
    """Return the smallest tolerance, in hundredths, that passes before it is never."""
    if question.test.guardrail.limit is not None:
        return None
    most = 1 - 1 / _TOLERANCE_STEPS if -1 in question.sides else _LARGEST_TOLERANCE

    def in_time(tolerance: float) -> float:
        tolerant = _tolerating(question, tolerance)
        return -tolerant.passes(stage, next_weight=opens)

    found = least(in_time, -NEVER_DAYS, start=1 / _TOLERANCE_STEPS, most=most)
    if not found:
        return None
    return min(most, ceil(found * _TOLERANCE_STEPS) / _TOLERANCE_STEPS)


def _tolerating(question: Question, tolerance: float) -> Question:
    guardrail = question.test.guardrail.model_copy(update={"tolerance": tolerance})
    return replace(question, test=question.test._replace(guardrail=guardrail))


def _scaled(question: Question, stage: Stage, opens: float) -> float | None:
    plan = question.plan
    if plan.gate is GateRule.SCALED or question.test.guardrail.limit is not None:
        return None
    scaled = plan.model_copy(update={"gate": GateRule.SCALED})
    return replace(question, plan=scaled).passes(stage, next_weight=opens)
