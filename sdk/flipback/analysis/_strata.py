"""Evidence sorted by test, one entry per stratum that is mature.

A stratum is an epoch, a rule and, for outcomes that are delayed, a time slice. A
slice enters whole once all that will count of it has come, or not at all, and so
do the exposures of both arms in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Generic, TypeVar

from flipback.analysis._missing import (
    hits_of,
    missing_as,
    spread_of_gaps,
    unanswered,
)
from flipback.analysis._recipes import recipe_of, signals_weighed
from flipback.analysis._weights import Test
from flipback.assignment import Cohort
from flipback.booking import signals_of
from flipback.exposure import EXPOSURE, Cell, CellKey, Evidence
from flipback.histogram import MIN_OBSERVATIONS, Histogram
from flipback.plan import MetricKind, RolloutPlan
from flipback.signals import Measure, Part, Signal
from flipback.stats import Arm, Pair, PairedArm, RateStratum, of_either


T = TypeVar("T")

_NEEDS_PERCENTILES = frozenset({Measure.TAIL, Measure.CAPPED})

_Where = tuple[str, Cohort]
"""A signal's name in a cohort."""

_Stratum = tuple[str, str, int]
"""Epoch, rule and slice."""


class _Arms(Generic[T]):
    """What was seen of one stratum, by arm; None while an arm has nothing."""

    __slots__ = ("candidate", "control")

    def __init__(self) -> None:
        self.control: T | None = None
        self.candidate: T | None = None


_NO_CELLS = _Arms[Cell]()
_NO_SUBJECTS = _Arms[int]()
_Sorted = dict[_Where, dict[_Stratum, _Arms[T]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Totals of one test.

    Attributes:
        pairs: Strata in which both arms are large enough to compare.
        control: Every stratum of control that is not empty, compared or not.
        candidate: Every stratum of the candidate that is not empty.
        paired: Strata of calls that both arms answered.
        epochs: Digests of the epochs of `pairs` and `paired`.
    """

    pairs: tuple[Pair, ...] = ()
    control: tuple[Arm, ...] = ()
    candidate: tuple[Arm, ...] = ()
    paired: tuple[PairedArm, ...] = ()
    epochs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Strata:
    """All evidence that a plan's guardrails and its hypothesis look at."""

    _plan: RolloutPlan = field(repr=False)
    _sampled: float = field(repr=False)
    _events_sampled: float = field(repr=False)
    _shares: Mapping[tuple[str, str], float] = field(repr=False)
    _cells: Mapping[_Where, Mapping[_Stratum, _Arms[Cell]]] = field(repr=False)
    _subjects: Mapping[_Where, Mapping[_Stratum, _Arms[int]]] = field(repr=False)
    _histograms: Mapping[str, Histogram] = field(repr=False)
    _has_pairs: bool = field(repr=False)

    def means(self, test: Test) -> Means:
        """Return a test's arms, strata in an order that flushing cannot change."""
        recipe = recipe_of(self._plan, test)
        found = [self._cells.get((name, test.cohort), {}) for name in recipe.names]
        ordered = sorted({stratum for strata in found for stratum in strata})
        parts = [[strata.get(s, _NO_CELLS) for strata in found] for s in ordered]
        control = [recipe.make([arms.control for arms in part]) for part in parts]
        candidate = [recipe.make([arms.candidate for arms in part]) for part in parts]
        pairs = list(map(Pair.of, control, candidate))
        paired = self._paired(test)
        entered = [s for s, pair in zip(ordered, pairs, strict=True) if pair]
        return Means(
            pairs=tuple(pair for pair in pairs if pair is not None),
            control=tuple(arm for arm in control if arm is not None),
            candidate=tuple(arm for arm in candidate if arm is not None),
            paired=tuple(paired.values()),
            epochs=_epochs([*entered, *paired]),
        )

    def rates(self, test: Test) -> tuple[RateStratum, ...]:
        """Return distinct subjects with an event and exposed, strata in order.

        A subject with an event was exposed, even where its exposure has not been
        flushed yet. One whose outcome is missing had no event, unless the plan says
        that this is the bad one; of those only requests are known, and they are
        taken for as many subjects as requests usually come from, or for fewer where
        it is the same subjects who do not report.
        """
        return tuple(self._rates(test).values())

    def requests(self, test: Test) -> tuple[tuple[Arm, ...], tuple[Arm, ...]]:
        """Return how many requests had an event, of control and candidate by stratum.

        Those that `rates` counts the subjects of, so far as they were booked: buckets
        tell how far strata share subjects.
        """
        (signal,) = signals_weighed(self._plan, test)
        at_exposure = Signal(EXPOSURE, matures_after_s=signal.matures_after_s).name
        outcomes = self._cells.get((signal.name, test.cohort), {})
        asked = self._cells.get((at_exposure, test.cohort), {})
        if len(asked) < 2:  # noqa: PLR2004 - strata share nothing where there is one
            return (), ()
        bad = bool(missing_as(self._plan, test))
        ordered = [(asked[s], outcomes.get(s, _NO_CELLS)) for s in sorted(asked)]
        control = [hits_of(a.control, o.control, bad=bad) for a, o in ordered]
        candidate = [hits_of(a.candidate, o.candidate, bad=bad) for a, o in ordered]
        return tuple(filter(None, control)), tuple(filter(None, candidate))

    def pairs(self, test: Test) -> tuple[PairedArm, ...]:
        """Return the calls that both arms answered; none for ratios and sums."""
        return tuple(self._paired(test).values())

    def users(self, cohort: Cohort) -> tuple[int, int]:
        """Return the distinct subjects of control and candidate, per epoch and rule.

        An estimate once subjects are sampled; 0 where none were counted.
        """
        exposed = self._subjects.get((EXPOSURE, cohort), {}).values()
        control = sum([arms.control or 0 for arms in exposed])
        candidate = sum([arms.candidate or 0 for arms in exposed])
        scale = 1 / self._sampled if 0 < self._sampled < 1 else 1.0
        return round(control * scale), round(candidate * scale)

    def met_once(self, cohort: Cohort) -> bool:
        """Return whether every subject is known to have been exposed just once.

        Then there is nothing to cluster, and an estimate of it would be noise. Under
        a second epoch subjects may return, and of a sample nobody knows.
        """
        asked = self._cells.get((EXPOSURE, cohort), {})
        if len(asked) != 1 or self._sampled < 1 or self._has_pairs:
            return False
        exposed = self._subjects.get((EXPOSURE, cohort), {})
        requests = self.observations(EXPOSURE, cohort)
        subjects = [
            (arms.control or 0, arms.candidate or 0) for arms in exposed.values()
        ]
        return subjects == [requests]

    def exposures(self, cohort: Cohort, *, after_s: int = 0) -> tuple[int, int]:
        """Return the exposures of control and candidate that are mature by then."""
        name = Signal(EXPOSURE, matures_after_s=after_s).name
        return self.observations(name, cohort)

    def observations(self, name: str, cohort: Cohort) -> tuple[int, int]:
        """Return how often a signal was booked for control and candidate."""
        booked = self._cells.get((name, cohort), {}).values()
        control = [arms.control.total_n for arms in booked if arms.control]
        candidate = [arms.candidate.total_n for arms in booked if arms.candidate]
        return sum(control), sum(candidate)

    def epochs_of(self, test: Test) -> tuple[str, ...]:
        """Return the digests of the epochs that enter a test, sorted.

        Against a limit those in which the candidate was seen, else those in which
        both arms were.
        """
        alone = test.guardrail.limit is not None
        if self.counts_subjects(test):
            rates = self._rates(test)
            entered = [
                stratum
                for stratum, rate in rates.items()
                if rate.candidate_n and (alone or rate.control_n)
            ]
            return _epochs([*entered, *([] if alone else self._paired(test))])
        return self._seen_in(test) if alone else self.means(test).epochs

    def counts_subjects(self, test: Test) -> bool:
        """Return whether a test weighs distinct subjects with an event."""
        event = self._plan.kind_of(test.guardrail.metric) is MetricKind.EVENT
        return event or test.measure is Measure.TAIL

    def unfrozen(self, test: Test) -> str:
        """Return what a test lacks before its percentiles are frozen, or nothing."""
        if test.measure not in _NEEDS_PERCENTILES:
            return ""
        (signal,) = signals_weighed(self._plan, test)
        paired = signal._replace(part=Part.PAIRED)
        if any((each.name, test.cohort) in self._cells for each in (signal, paired)):
            return ""
        histogram = self._histograms.get(signal.metric)
        seen = 0 if histogram is None else histogram.total_n
        if seen >= MIN_OBSERVATIONS:
            return "control's percentiles are frozen; no later exposure was seen yet"
        return (
            f"needs {MIN_OBSERVATIONS - seen} more observations of control before its "
            "percentiles are frozen"
        )

    def _seen_in(self, test: Test) -> tuple[str, ...]:
        cells = self._cells.get(
            (signals_weighed(self._plan, test)[0].name, test.cohort), {}
        )
        return _epochs([stratum for stratum, arms in cells.items() if arms.candidate])

    def _rates(self, test: Test) -> dict[_Stratum, RateStratum]:
        (signal,) = signals_weighed(self._plan, test)
        at_exposure = Signal(EXPOSURE, matures_after_s=signal.matures_after_s).name
        hits = self._subjects.get((signal.name, test.cohort), {})
        exposed = self._subjects.get((at_exposure, test.cohort), {})
        outcomes = self._cells.get((signal.name, test.cohort), {})
        asked = self._cells.get((at_exposure, test.cohort), {})
        bad = bool(missing_as(self._plan, test))
        known = hits.keys() | exposed.keys()
        if test.measure is Measure.TAIL:
            known &= hits.keys() | outcomes.keys()
        spread = _spread(outcomes, asked) if bad else 1.0
        found: dict[_Stratum, RateStratum] = {}
        for stratum in sorted(known):
            rate = self._alike(
                stratum,
                hits.get(stratum, _NO_SUBJECTS),
                exposed.get(stratum, _NO_SUBJECTS),
            )
            missing = outcomes.get(stratum, _NO_CELLS), asked.get(stratum, _NO_CELLS)
            found[stratum] = _with_missing(rate, *missing, spread) if bad else rate
        return found

    def _alike(
        self, stratum: _Stratum, hits: _Arms[int], exposed: _Arms[int]
    ) -> RateStratum:
        """Return a stratum with subjects and events of samples that are alike.

        Where fewer of those exposed are kept than of those with an event, the share
        that was set tells how many of the events are due to each arm. Where it is not
        known, events are counted down to the smaller sample: a power of an e-value
        below 1 is one as well, and what the sample leaves unknown is less than that.
        """
        share = None
        if self._sampled < self._events_sampled:
            known = self._shares.get(stratum[:2])
            share = known if known is not None and 0 < known < 1 else None
        kept = self._events_sampled if share is not None else self._sampled
        least = min(kept, self._events_sampled)
        rate = _rate_stratum(
            hits,
            exposed,
            of_events=least / self._events_sampled,
            of_exposed=least / self._sampled,
        )
        return rate._replace(share=share)

    def _paired(self, test: Test) -> dict[_Stratum, PairedArm]:
        described = self._plan.metric(test.guardrail.metric)
        if not self._has_pairs or described.components:
            return {}
        (signal,) = signals_weighed(self._plan, test)
        both = signal._replace(part=Part.PAIRED).name
        between = signal._replace(part=Part.DIFFERENCE).name
        booked = self._cells.get((both, test.cohort), {})
        differences = self._cells.get((between, test.cohort), {})
        found: dict[_Stratum, PairedArm] = {}
        for stratum in sorted(booked):
            arms = booked[stratum]
            difference = differences.get(stratum, _NO_CELLS).candidate
            paired = PairedArm.of(arms.control, arms.candidate, difference)
            if paired is not None:
                found[stratum] = paired
        return found


def sort(plan: RolloutPlan, evidence: Evidence, now: float = inf) -> Strata:
    """Sort evidence by signal, cohort and stratum; other variants are left out.

    Args:
        plan: What is guarded and hoped for.
        evidence: Sums of one comparison.
        now: Unix seconds; slices that are not mature by then are left out.
    """
    kept = _kept(plan)
    cells = _by_stratum(plan, evidence.cells, kept, now)
    return Strata(
        _plan=plan,
        _sampled=evidence.sampled,
        _events_sampled=evidence.events_sampled,
        _shares=evidence.shares,
        _cells=cells,
        _subjects=_by_stratum(plan, evidence.subjects, kept, now),
        _histograms=evidence.histograms,
        _has_pairs=any(kept[name].part is Part.PAIRED for name, _ in cells),
    )


def _kept(plan: RolloutPlan) -> dict[str, Signal]:
    """Return every signal that a test may ask for, by its name."""
    of_metrics = [signal for name in plan.judged for signal in signals_of(plan, name)]
    delays = {0, *(signal.matures_after_s for signal in of_metrics)}
    wanted = [Signal(EXPOSURE, matures_after_s=delay) for delay in delays]
    wanted += [signal._replace(part=part) for signal in of_metrics for part in Part]
    return {signal.name: signal for signal in wanted}


def _by_stratum(
    plan: RolloutPlan,
    seen: Mapping[CellKey, T],
    kept: Mapping[str, Signal],
    now: float,
) -> _Sorted[T]:
    found: _Sorted[T] = {}
    for key, value in seen.items():
        _, _, epoch, rule, piece, name, cohort, variant = key
        signal = kept.get(name)
        if signal is None or variant not in (plan.control, plan.candidate):
            continue
        if signal.matures_after_s and not signal.is_mature(piece, now=now):
            continue
        strata = found.setdefault((name, cohort), {})
        arms = strata.setdefault((epoch, rule, piece), _Arms())
        if variant == plan.control:
            arms.control = value
        else:
            arms.candidate = value
    return found


def _rate_stratum(
    hits: _Arms[int], exposed: _Arms[int], *, of_events: float, of_exposed: float
) -> RateStratum:
    candidate = round((hits.candidate or 0) * of_events)
    control = round((hits.control or 0) * of_events)
    return RateStratum(
        candidate_events=candidate,
        control_events=control,
        candidate_n=max(candidate, round((exposed.candidate or 0) * of_exposed)),
        control_n=max(control, round((exposed.control or 0) * of_exposed)),
    )


def _with_missing(
    rate: RateStratum, outcomes: _Arms[Cell], exposed: _Arms[Cell], spread: float
) -> RateStratum:
    cells = [cell for cell in (exposed.candidate, exposed.control) if cell]
    requests = sum([cell.total_n for cell in cells])
    subjects = rate.candidate_n + rate.control_n
    worth = min(subjects / requests, 1 / spread) if requests else 0.0
    candidate = worth * unanswered(outcomes.candidate, exposed.candidate)
    control = worth * unanswered(outcomes.control, exposed.control)
    return rate._replace(
        candidate_events=min(rate.candidate_n, rate.candidate_events + candidate),
        control_events=min(rate.control_n, rate.control_events + control),
    )


def _spread(
    outcomes: Mapping[_Stratum, _Arms[Cell]], asked: Mapping[_Stratum, _Arms[Cell]]
) -> float:
    found = [(outcomes.get(s, _NO_CELLS), arms) for s, arms in sorted(asked.items())]
    control = [(o.control, a.control) for o, a in found if a.control]
    candidate = [(o.candidate, a.candidate) for o, a in found if a.candidate]
    return of_either(spread_of_gaps(control), spread_of_gaps(candidate))


def _epochs(strata: Iterable[_Stratum]) -> tuple[str, ...]:
    return tuple(sorted({epoch for epoch, _, _ in strata}))
