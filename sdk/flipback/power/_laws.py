"""What a test is expected to say of a candidate whose effect is known.

The engines are asked as they will be asked, about the sums that are expected. What
is left out is chance: a rollout passes or fails when its own sums get there, half of
them sooner than this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log1p, sqrt
from typing import Protocol

from flipback.analysis import BURN_IN, Side, Test, opposite, smallest_harm
from flipback.plan import MetricKind, RolloutPlan
from flipback.power._traffic import (
    TAIL_RATE,
    Amount,
    Traffic,
    baseline_of,
    variance_of,
)
from flipback.signals import Measure
from flipback.stats import (
    MIN_CONTROL,
    Harm,
    RateStratum,
    mcnemar,
    normal_mixture,
    one_sample,
    rate_engine,
    rule_out,
)


CORRELATION = 0.8
"""Between both answers to one call, where nothing else is known."""


class Law(Protocol):
    """How one test grows with its observations."""

    def alike(self, amounts: Sequence[Amount], side: Side) -> float:
        """Return log E against harm beyond a margin, if the arms are alike."""
        ...

    def harmed(self, amounts: Sequence[Amount], harm: Harm, size: float) -> float:
        """Return log E of a roll back, if the candidate does harm of this size.

        The size is relative to control's value, or to the limit.
        """
        ...


def law_of(plan: RolloutPlan, traffic: Traffic, test: Test) -> Law | None:
    """Return the law of a test, None without the baseline that it needs."""
    guardrail = test.guardrail
    baseline = baseline_of(plan, traffic, guardrail.metric)
    if test.measure is Measure.TAIL:
        return Rates(rate=TAIL_RATE, tolerance=guardrail.tolerance or 0.0)
    if baseline is None or (variance := variance_of(plan, test, baseline)) is None:
        return None
    denominator = plan.metric(guardrail.metric).denominator
    if denominator and baseline_of(plan, traffic, denominator) is None:
        return None
    if guardrail.limit is not None:
        return Limit(
            mean=baseline.mean,
            variance=variance * traffic.deff,
            limit=guardrail.limit,
            smallest=smallest_harm(test),
            counts=0 < guardrail.limit < 1 and baseline.deviation is None,
        )
    if plan.kind_of(guardrail.metric) is MetricKind.EVENT:
        return Rates(rate=baseline.mean, tolerance=guardrail.tolerance or 0.0)
    return Means(
        scale=1.0 if test.measure is Measure.LOG else abs(baseline.mean),
        variance=variance * traffic.deff,
        tolerance=guardrail.tolerance or 0.0,
        smallest=smallest_harm(test),
        is_log=test.measure is Measure.LOG,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Events, by the rate engine; pairs by McNemar's test."""

    rate: float
    tolerance: float

    def alike(self, amounts: Sequence[Amount], side: Side) -> float:
        """Return log E against harm beyond a margin, if the arms are alike."""
        against = opposite(side.harm)
        both, apart = self._discordant(_pairs(amounts))
        log_e = mcnemar(apart, apart, both, margin=-side.margin, harm=against)
        strata = self._strata(amounts, 1.0)
        return log_e + rule_out(strata, margin=side.margin, harm=side.harm)

    def harmed(self, amounts: Sequence[Amount], harm: Harm, size: float) -> float:
        """Return log E of a roll back, if the candidate does harm of this size."""
        if harm < 0 and self.tolerance >= 1:
            return 0.0
        strata = self._strata(amounts, max(0.0, 1 + harm * size))
        turned = strata if harm > 0 else [stratum.turned for stratum in strata]
        ratio = 1 + self.tolerance if harm > 0 else 1 / (1 - self.tolerance)
        of_pairs = self._harmed_pairs(_pairs(amounts), harm, size)
        return of_pairs + rate_engine(turned, margin=ratio - 1)

    def _harmed_pairs(self, pairs: float, harm: Harm, size: float) -> float:
        both, apart = self._discordant(pairs)
        more = pairs * self.rate * size
        return mcnemar(
            apart + (more if harm > 0 else 0.0),
            apart + (0.0 if harm > 0 else more),
            both if harm > 0 else max(0.0, both - more),
            margin=self.tolerance,
            harm=harm,
        )

    def _strata(self, amounts: Sequence[Amount], ratio: float) -> list[RateStratum]:
        rate = min(1.0, self.rate * ratio)
        return [
            RateStratum(
                candidate_events=round(rate * amount.candidate),
                control_events=round(self.rate * amount.control),
                candidate_n=round(amount.candidate),
                control_n=round(amount.control),
            )
            for amount in amounts
            if amount.candidate and amount.control
        ]

    def _discordant(self, pairs: float) -> tuple[float, float]:
        """Return pairs with the event in both arms, and in one of them alone."""
        apart = pairs * self.rate * (1 - self.rate) * (1 - CORRELATION)
        return pairs * self.rate - apart, apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Means and logarithms, by the normal mixture; `scale` is what harm is of."""

    scale: float
    variance: float
    tolerance: float
    smallest: float
    is_log: bool

    def alike(self, amounts: Sequence[Amount], side: Side) -> float:
        """Return log E against harm beyond a margin, if the arms are alike."""
        factor = 1.0 if self.is_log else side.factor
        distance = side.log_margin if self.is_log else side.margin * self.scale
        info = self._info(amounts, factor)
        return _mixed(distance * info, info, mei=distance)

    def harmed(self, amounts: Sequence[Amount], harm: Harm, size: float) -> float:
        """Return log E of a roll back, if the candidate does harm of this size."""
        factor = 1.0 if self.is_log else 1 + harm * self.tolerance
        drift = self._size(harm, size) - self._size(harm, self.tolerance)
        info = self._info(amounts, factor)
        return _mixed(drift * info, info, mei=self._size(1, self.smallest))

    def _size(self, harm: Harm, size: float) -> float:
        if not self.is_log:
            return self.scale * size
        return abs(log1p(harm * size)) if harm * size > -1 else inf

    def _info(self, amounts: Sequence[Amount], factor: float) -> float:
        """Return the inverse variance of the difference, over all amounts."""
        if not self.variance or sum(a.candidate + a.pairs for a in amounts) < BURN_IN:
            return 0.0
        apart = 1 + factor * factor - 2 * CORRELATION * factor
        split = sum(
            1 / (1 / amount.candidate + factor * factor / amount.control)
            for amount in amounts
            if amount.candidate and amount.control >= MIN_CONTROL
        )
        return (split + _pairs(amounts) / apart) / self.variance


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """An absolute limit on the candidate alone, whoever else is served."""

    mean: float
    variance: float
    limit: float
    smallest: float
    counts: bool

    def alike(self, amounts: Sequence[Amount], side: Side) -> float:
        """Return log E against a breach, if the candidate is as control is."""
        room = side.harm * (self.limit - self.mean)
        if room <= 0:
            return -inf
        return self._log_e(amounts, self.mean, -1 if side.harm > 0 else 1)

    def harmed(self, amounts: Sequence[Amount], harm: Harm, size: float) -> float:
        """Return log E of a roll back, if the limit is breached by this much."""
        value = self.limit + harm * size * (abs(self.limit) or sqrt(self.variance))
        return self._log_e(amounts, value, harm)

    def _log_e(self, amounts: Sequence[Amount], value: float, harm: Harm) -> float:
        n = sum(amount.candidate + amount.pairs for amount in amounts)
        if self.counts:
            hits = n * min(1.0, max(0.0, value))
            return one_sample(hits, n, limit=self.limit, harm=harm)
        if n < BURN_IN or not self.variance:
            return 0.0
        info = n / self.variance
        mei = self.smallest * (abs(self.limit) or sqrt(self.variance))
        return _mixed(harm * (value - self.limit) * info, info, mei=mei)


def _mixed(score: float, info: float, *, mei: float) -> float:
    return normal_mixture(score, info, mei=mei) if info and mei else 0.0


def _pairs(amounts: Sequence[Amount]) -> float:
    return sum(amount.pairs for amount in amounts)
