"""The traffic that a plan is to be decided on, and what of it each test sees."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, inf
from typing import NamedTuple

from flipback.analysis import Test
from flipback.assignment import Cohort
from flipback.histogram import MIN_OBSERVATIONS
from flipback.plan import ERROR, MetricKind, RolloutPlan, Stage
from flipback.signals import Measure


DAY_S = 86_400
ERROR_RATE = 0.01
LOG_DEVIATION = 1.0
TAIL_RATE = 0.05
_LARGEST_EXPONENT = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a metric is under control.

    Attributes:
        mean: Its mean; of an event the share of subjects that have one. A ratio's is
            the ratio.
        deviation: Standard deviation of one observation, of a latency that of its
            logarithm. None for events, and for proportions, which need none.
    """

    mean: float
    deviation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What comes in, supposed to be the same every day.

    Attributes:
        calls_per_day: Calls of the route.
        calls_per_subject_per_day: Calls of one subject in a day; every day is taken
            to bring other subjects.
        baselines: What metrics are under control, by name.
        shares: Share of the calls that belong to a cohort, by cohort. Those that are
            not given divide what the others of their attribute leave.
        deff: Design effect: by how much the variance of a mean is larger than that
            of as many independent calls.
    """

    calls_per_day: float
    calls_per_subject_per_day: float = 1.0
    baselines: Mapping[str, Baseline] = field(default_factory=dict[str, Baseline])
    shares: Mapping[Cohort, float] = field(default_factory=dict[Cohort, float])
    deff: float = 1.0


class Amount(NamedTuple):
    """Observations of both arms over some time, or pairs of them."""

    candidate: float = 0.0
    control: float = 0.0
    pairs: float = 0.0


class Stretch(NamedTuple):
    """Some days in one stage."""

    stage: Stage
    days: float


def stages_of(plan: RolloutPlan) -> Sequence[Stage]:
    """Return the stages with the weights that are written: the holdback is kept."""
    return [
        stage
        if stage.weight is None
        else stage.model_copy(update={"weight": plan.weight_in(place)})
        for place, stage in enumerate(plan.stages)
    ]


def baseline_of(plan: RolloutPlan, traffic: Traffic, metric: str) -> Baseline | None:
    """Return what was said of a metric, or the default of one that has any."""
    given, kind = traffic.baselines.get(metric), plan.kind_of(metric)
    if kind is MetricKind.LATENCY:
        return _latency(given, needs_mean=_limited(plan, metric))
    if given is None and metric == ERROR and kind is MetricKind.EVENT:
        return Baseline(mean=ERROR_RATE)
    return given


def baselines_wanted(plan: RolloutPlan) -> Iterator[str]:
    """Yield the metrics whose baselines decide something, each once.

    A ratio needs its own and its denominator's: how much of it a call brings.
    """
    seen: dict[str, None] = {}
    for guardrail in plan.guardrails:
        seen[guardrail.metric] = None
        denominator = plan.metric(guardrail.metric).denominator
        if denominator is not None:
            seen[denominator] = None
    yield from seen


def shares_of(plan: RolloutPlan, traffic: Traffic) -> Mapping[Cohort, float]:
    """Return the share of each declared cohort: as given, or what others leave."""
    shares: dict[Cohort, float] = {}
    for attribute, values in plan.cohorts.items():
        cohorts = [f"{attribute}={value}" for value in values]
        given = {c: traffic.shares[c] for c in cohorts if c in traffic.shares}
        rest = max(0.0, 1 - sum(given.values())) / max(1, len(cohorts) - len(given))
        shares.update({cohort: given.get(cohort, rest) for cohort in cohorts})
    return shares


class Flow(NamedTuple):
    """What one test sees in a day, of both arms together, and of pairs at most."""

    units: float
    pairs: float

    def of(self, stretch: Stretch) -> Amount:
        """Return what some days of a stage bring; their number may be infinite."""
        weight, shadow = stretch.stage.weight, stretch.stage.shadow
        if weight is None:
            return Amount(pairs=_times(self.pairs * (shadow or 0.0), stretch.days))
        units = _times(self.units, stretch.days)
        return Amount(units * weight / 100, units * (100 - weight) / 100)


def flow_of(plan: RolloutPlan, traffic: Traffic, test: Test) -> Flow:
    """Return what a test sees: subjects for events, calls or their parts for means.

    Pairs say nothing of ratios and sums, which no single call has a value of.
    """
    share = shares_of(plan, traffic).get(test.cohort, 0.0) if test.cohort else 1.0
    calls = traffic.calls_per_day * share
    kind, metric = plan.kind_of(test.guardrail.metric), test.guardrail.metric
    if kind is MetricKind.EVENT or test.measure is Measure.TAIL:
        return Flow(calls / max(1.0, traffic.calls_per_subject_per_day), calls)
    denominator = plan.metric(metric).denominator
    if denominator is None:
        return Flow(calls, 0.0 if plan.metric(metric).components else calls)
    per_call = baseline_of(plan, traffic, denominator)
    units = calls * (per_call.mean if per_call is not None else 0.0)
    return Flow(units, 0.0)


def matured(stretches: Sequence[Stretch], delay_days: float) -> Sequence[Stretch]:
    """Return the stretches without the last days, whose outcomes have yet to come."""
    left, kept = delay_days, list(stretches)
    while kept and left > 0:
        last = kept.pop()
        if last.days > left:
            kept.append(last._replace(days=last.days - left))
        left -= last.days
    return kept


def once_frozen(
    stretches: Sequence[Stretch], calls_per_day: float
) -> Sequence[Stretch]:
    """Return the stretches without the first days, before percentiles are frozen.

    Args:
        stretches: In order.
        calls_per_day: Of everybody, whom control's percentiles are of; 0 where a test
            needs none.
    """
    missing, kept = float(MIN_OBSERVATIONS if calls_per_day else 0), list[Stretch]()
    for stage, days in stretches:
        daily = calls_per_day * (1 - (stage.weight or 0.0) / 100)
        waits = missing / daily if daily else missing and inf
        missing = max(0.0, missing - daily * days)
        kept.append(Stretch(stage, max(0.0, days - waits)))
    return kept


def variance_of(plan: RolloutPlan, test: Test, baseline: Baseline) -> float | None:
    """Return the variance of one observation of a test, None where it is not known.

    Events and proportions need no deviation. Against a limit a latency is taken to
    be log-normal.
    """
    metric, deviation = test.guardrail.metric, baseline.deviation
    kind = plan.kind_of(metric)
    if deviation is None:
        composite = bool(plan.metric(metric).sum) or kind is MetricKind.HEAVY_TAIL
        if composite or not 0 <= baseline.mean <= 1:
            return None
        return baseline.mean * (1 - baseline.mean)
    if kind is MetricKind.LATENCY and test.measure is Measure.VALUE:
        spread = exp(min(deviation * deviation, _LARGEST_EXPONENT)) - 1
        return baseline.mean * baseline.mean * spread
    return deviation * deviation


def _latency(given: Baseline | None, *, needs_mean: bool) -> Baseline | None:
    if given is None:
        known = Baseline(mean=1.0, deviation=LOG_DEVIATION)
        return None if needs_mean else known
    deviation = LOG_DEVIATION if given.deviation is None else given.deviation
    return Baseline(mean=given.mean, deviation=deviation)


def _limited(plan: RolloutPlan, metric: str) -> bool:
    return any(g.metric == metric and g.limit is not None for g in plan.guardrails)


def _times(per_day: float, days: float) -> float:
    return per_day * days if per_day and days else 0.0
