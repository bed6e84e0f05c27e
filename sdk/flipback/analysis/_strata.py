"""Evidence sorted by guarded metric and cohort, one entry per stratum."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from flipback.assignment import Cohort
from flipback.exposure import EXPOSURE, Cell, CellKey, Evidence
from flipback.plan import RolloutPlan
from flipback.stats import Arm, Pair, RateStratum


T = TypeVar("T")


_Where = tuple[str, Cohort]
"""A metric in a cohort."""

_Stratum = tuple[str, str, int]
"""Epoch, rule and slice."""


class _Arms(Generic[T]):
    """What was seen of one stratum, by arm; None while an arm has nothing."""

    __slots__ = ("candidate", "control")

    def __init__(self) -> None:
        self.control: T | None = None
        self.candidate: T | None = None


_Sorted = dict[_Where, dict[_Stratum, _Arms[T]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Totals of one metric in one cohort.

    Attributes:
        pairs: Strata in which both arms are large enough to compare.
        control: Every stratum of control that is not empty, compared or not.
        candidate: Every stratum of the candidate that is not empty.
    """

    pairs: tuple[Pair, ...] = ()
    control: tuple[Arm, ...] = ()
    candidate: tuple[Arm, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Strata:
    """All evidence that a plan's guardrails look at."""

    _cells: Mapping[_Where, Mapping[_Stratum, _Arms[Cell]]] = field(repr=False)
    _subjects: Mapping[_Where, Mapping[_Stratum, _Arms[int]]] = field(repr=False)

    def means(self, metric: str, cohort: Cohort) -> Means:
        """Return a metric's cells, strata in an order that flushing cannot change."""
        found = self._cells.get((metric, cohort), {})
        ordered = [found[stratum] for stratum in sorted(found)]
        control = [Arm.of(arms.control) for arms in ordered]
        candidate = [Arm.of(arms.candidate) for arms in ordered]
        pairs = map(Pair.of, control, candidate)
        return Means(
            pairs=tuple(pair for pair in pairs if pair is not None),
            control=tuple(arm for arm in control if arm is not None),
            candidate=tuple(arm for arm in candidate if arm is not None),
        )

    def rates(self, metric: str, cohort: Cohort) -> tuple[RateStratum, ...]:
        """Return distinct subjects with an event and exposed, strata in order.

        A subject with an event was exposed, even where its exposure has not been
        flushed yet.
        """
        hits = self._subjects.get((metric, cohort), {})
        exposed = self._subjects.get((EXPOSURE, cohort), {})
        nothing = _Arms[int]()
        return tuple(
            _rate_stratum(hits.get(stratum, nothing), exposed.get(stratum, nothing))
            for stratum in sorted(hits.keys() | exposed.keys())
        )


def sort(plan: RolloutPlan, evidence: Evidence) -> Strata:
    """Sort evidence by metric, cohort and stratum; other variants are left out."""
    guarded = {guardrail.metric for guardrail in plan.guardrails}
    return Strata(
        _cells=_by_stratum(plan, evidence.cells, guarded),
        _subjects=_by_stratum(plan, evidence.subjects, guarded | {EXPOSURE}),
    )


def _by_stratum(
    plan: RolloutPlan, seen: Mapping[CellKey, T], metrics: AbstractSet[str]
) -> _Sorted[T]:
    found: _Sorted[T] = {}
    for key, value in seen.items():
        _, _, epoch, rule, piece, metric, cohort, variant = key
        if metric in metrics and variant in (plan.control, plan.candidate):
            strata = found.setdefault((metric, cohort), {})
            stratum = (epoch, rule, piece)
            arms = strata.get(stratum)
            if arms is None:
                arms = strata[stratum] = _Arms()
            if variant == plan.control:
                arms.control = value
            else:
                arms.candidate = value
    return found


def _rate_stratum(hits: _Arms[int], exposed: _Arms[int]) -> RateStratum:
    candidate, control = hits.candidate or 0, hits.control or 0
    return RateStratum(
        candidate_events=candidate,
        control_events=control,
        candidate_n=max(candidate, exposed.candidate or 0),
        control_n=max(control, exposed.control or 0),
    )
