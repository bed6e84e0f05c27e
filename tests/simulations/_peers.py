"""Rules that others have published, on the same requests and looks.

Each is written from its description, with the defaults of the product; where there
is no default, what was chosen is said. Several are not made for this use: a z-test
for one look, Flagger and Argo for servers that are down. That is what the comparison
is about, as people do use them so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from tests.simulations._traffic import Flags, Floats, Ints, Looks, Requests

from flipback.plan import FailsOn, MetricKind, RolloutPlan


ALPHA = 0.05
LEAST_N = 30
TUNED_FOR = 5_000
JUDGED_EVERY_MIN = 60
LEAST_POINTS = 50
CONFIDENCE = 0.98
TOLERANCE = 0.25
MARGINAL = 75.0
FLAGGER_CHECKS = 10
ARGO_LIMIT = 3
ARGO_EVERY_MIN = 5
TAU = 0.1
TAU_OF_EVENTS = 0.5

_normal = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What a rule that compares with a constant allows the candidate in an interval.

    Attributes:
        metric: What is watched.
        most: The largest share of events, or the largest 99th percentile.
        quantile: Whether the percentile is meant, as in `request-duration`.
    """

    metric: str
    most: float
    quantile: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What dashboards keep: plain sums of each arm, whatever the stratum.

    Arrays have the axes look and test; a test is a metric for everybody, or in one
    cohort.

    Attributes:
        control_n: Requests of control with a value.
        control: Control's mean.
        control_variance: Control's sample variance.
        candidate_n: As for control.
        candidate: As for control.
        candidate_variance: As for control.
        harm: 1 where an increase is harm, -1 where a decrease is; one a test.
        tau: Of the mixture's, relative to control's mean; one a test.
    """

    control_n: Floats
    control: Floats
    control_variance: Floats
    candidate_n: Floats
    candidate: Floats
    candidate_variance: Floats
    harm: Floats
    tau: Floats

    @property
    def difference(self) -> Floats:
        """Return candidate minus control, harm-signed."""
        return self.harm * (self.candidate - self.control)

    @property
    def squared_error(self) -> Floats:
        """Return the variance of the difference."""
        return (
            self.control_variance / self.control_n
            + self.candidate_variance / self.candidate_n
        )

    @property
    def both_vary(self) -> Flags:
        """Return where both arms vary, without which gbstats says nothing."""
        return (self.control_variance > 0) & (self.candidate_variance > 0)

    @property
    def enough(self) -> Flags:
        """Return where both arms have 30 values, which all these rules wait for."""
        fewest: Floats = np.minimum(self.control_n, self.candidate_n)
        return fewest >= LEAST_N


Rule = Callable[[Totals], Flags]
"""Says at which looks it would have rolled back."""


def rules_on_totals(
    plan: RolloutPlan, requests: Requests, looks: Looks
) -> Mapping[str, int | None]:
    """Return the look at which each rule on plain sums rolls back first."""
    totals = totals_of(plan, requests, looks)
    rules: Mapping[str, Rule] = {
        "z": repeated_z,
        "z, Bonferroni": partial(repeated_z, corrected=True),
        "GrowthBook": growthbook,
        "mSPRT": msprt,
    }
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return {name: first(rule(totals)) for name, rule in rules.items()}


def first(fires: Flags) -> int | None:
    """Return the first look at which a rule fires, None if it never does."""
    at = np.flatnonzero(fires)
    return int(at[0]) if len(at) else None


def repeated_z(totals: Totals, *, corrected: bool = False) -> Flags:
    """Return where a one-sided z-test at 5 % finds harm, each look as if the only one.

    Args:
        totals: The sums.
        corrected: Whether alpha is divided by the number of tests (Bonferroni).
    """
    alpha = ALPHA / len(totals.harm) if corrected else ALPHA
    z = totals.difference / np.sqrt(totals.squared_error)
    return _in_any_test(totals.enough & (z > _normal.inv_cdf(1 - alpha)))


def growthbook(totals: Totals) -> Flags:
    """Return where GrowthBook's sequential interval lies on the harmful side of 0.

    The two-sided asymptotic confidence sequence of Waudby-Smith et al. (arXiv
    2103.06476, equations 9 and 161), as in `gbstats.frequentist.tests` of
    github.com/growthbook/growthbook, with its defaults: alpha .05, tuning parameter
    5,000, nothing said while one arm does not vary. Each test by itself, as it does
    not correct for their number; the difference is absolute, not relative.
    """
    n = totals.control_n + totals.candidate_n
    rho2 = (-2 * np.log(ALPHA) + np.log(-2 * np.log(ALPHA) + 1)) / TUNED_FOR
    wide = n * rho2 + 1
    half = np.sqrt(totals.squared_error * n) * np.sqrt(
        2 * wide * np.log(np.sqrt(wide) / ALPHA) / (n * n * rho2)
    )
    found = totals.enough & totals.both_vary & (totals.difference > half)
    return _in_any_test(found)


def msprt(totals: Totals) -> Flags:
    """Return where the mixture sequential probability ratio test finds harm.

    Johari, Koomen, Pekelis, Walsh, *Always Valid Inference*, Operations Research
    70(3) 2022, section 5: a normal mixture N(0, tau^2) over the difference, V the
    variance of its estimate, two-sided at 5 %. Its authors take tau from past
    experiments; here it is 10 % of control's mean, our own default for the smallest
    harm, and 50 % for events.
    """
    variance = totals.squared_error
    tau2 = (totals.tau * totals.control) ** 2
    both = variance + tau2
    log_ratio = (
        np.log(variance / both) + totals.difference**2 * tau2 / (variance * both)
    ) / 2
    harmful = (totals.difference > 0) & (log_ratio >= np.log(1 / ALPHA))
    return _in_any_test(totals.enough & harmful)


def _in_any_test(found: Flags) -> Flags:
    return np.asarray(found.any(axis=1), dtype=np.bool_)


def totals_of(plan: RolloutPlan, requests: Requests, looks: Looks) -> Totals:
    """Add up what each look has seen, of each guarded metric in each cohort."""
    seen = np.searchsorted(looks.ends, np.arange(len(requests.at)), side="right")
    sums = [
        _sums(requests, seen, requests.values[g.metric], looks=len(looks.ends))
        for g in plan.guardrails
    ]
    n, x, xx = (np.concatenate(each, axis=2) for each in zip(*sums, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = x / n
        variance = np.maximum(0, xx / n - mean * mean) * n / (n - 1)
    width = n.shape[2] // len(plan.guardrails)
    return Totals(
        control_n=n[:, 0],
        control=mean[:, 0],
        control_variance=variance[:, 0],
        candidate_n=n[:, 1],
        candidate=mean[:, 1],
        candidate_variance=variance[:, 1],
        harm=np.repeat([_harm(g.fails_on) for g in plan.guardrails], width),
        tau=np.repeat([_tau(plan, g.metric) for g in plan.guardrails], width),
    )


def _tau(plan: RolloutPlan, metric: str) -> float:
    return TAU_OF_EVENTS if plan.kind_of(metric) is MetricKind.EVENT else TAU


def _harm(fails_on: FailsOn) -> float:
    return -1.0 if fails_on is FailsOn.DECREASE else 1.0


def _sums(
    requests: Requests, seen: Ints, values: Floats, *, looks: int
) -> tuple[Floats, Floats, Floats]:
    """Return running n, x and xx; axes look, arm, and everybody before the cohorts."""
    cohorts = len(requests.cohorts)
    shape = (looks, 2, max(1, cohorts))
    kept = (seen < looks) & ~np.isnan(values)
    where = (seen[kept], requests.served[kept].astype(np.int64), requests.cohort[kept])
    flat = np.ravel_multi_index(where, shape)
    value = values[kept]

    def added(weights: Floats) -> Floats:
        size = looks * 2 * shape[2]
        each = np.bincount(flat, weights, minlength=size).reshape(shape).cumsum(axis=0)
        everybody = each.sum(axis=2, keepdims=True)
        return np.concatenate([everybody, each], axis=2) if cohorts else everybody

    return added(np.ones(len(value))), added(value), added(value * value)


def rules_on_minutes(
    plan: RolloutPlan, requests: Requests, thresholds: tuple[Threshold, ...]
) -> Mapping[str, float | None]:
    """Return the second at which each rule on time series rolls back first.

    A rule that has nothing to watch is left out.
    """
    found: dict[str, float | None] = {"Kayenta": kayenta(plan, requests)}
    if thresholds:
        found["Flagger"] = failed_checks(
            requests, thresholds, every_min=1, most=FLAGGER_CHECKS - 1
        )
        found["Argo"] = failed_checks(
            requests, thresholds, every_min=ARGO_EVERY_MIN, most=ARGO_LIMIT
        )
    return found


def failed_checks(
    requests: Requests,
    thresholds: tuple[Threshold, ...],
    *,
    every_min: int,
    most: int,
) -> float | None:
    """Return when more intervals than allowed have breached a constant.

    Flagger (docs.flagger.app, "How it works"): a check a minute, `threshold: 10`
    failed checks roll back. Argo Rollouts (documentation, "Analysis"): `interval: 5m`,
    more than `failureLimit: 3` failed measurements. Checks of the aggregate only; the
    constants of both examples (99 % and 95 % success) are replaced by one that lies
    between control and the harm to be found, which nobody knows beforehand.
    """
    interval = (requests.at // (60 * every_min)).astype(np.int64)
    whole = int(interval[-1])
    failed = np.zeros(whole, dtype=np.bool_)
    for threshold in thresholds:
        values = requests.values[threshold.metric]
        kept = requests.served & ~np.isnan(values)
        failed |= _measured(interval[kept], values[kept], whole, threshold)
    checks = np.flatnonzero(failed)
    return float(checks[most] + 1) * 60 * every_min if len(checks) > most else None


def _measured(
    interval: Ints, values: Floats, whole: int, threshold: Threshold
) -> Flags:
    if not threshold.quantile:
        n = np.bincount(interval, minlength=whole)[:whole]
        x = np.bincount(interval, values, minlength=whole)[:whole]
        return x > threshold.most * n
    starts = np.searchsorted(interval, np.arange(whole + 1))
    pieces = [values[a:b] for a, b in pairwise(starts)]
    high = [np.quantile(each, 0.99) if len(each) else 0.0 for each in pieces]
    return np.array(high) > threshold.most


def kayenta(plan: RolloutPlan, requests: Requests) -> float | None:
    """Return when Kayenta's canary score fails.

    Its judge (NetflixACAJudge of github.com/spinnaker/kayenta) compares two series of
    values a minute by the confidence interval of the Mann-Whitney test, at 98 %: a
    metric is high where the interval lies above a quarter of the size of the
    Hodges-Lehmann estimate, low where below. The score is the percentage of metrics
    that pass; below the marginal 75 it fails. It is taken once an hour on everything
    since the start, with all of control as the baseline, on the aggregate; outliers
    are not removed.
    """
    minute = (requests.at // 60).astype(np.int64)
    series = [
        (_harm(g.fails_on), *_by_minute(requests, minute, requests.values[g.metric]))
        for g in plan.guardrails
    ]
    for until in range(JUDGED_EVERY_MIN, int(minute[-1]) + 1, JUDGED_EVERY_MIN):
        passed = [
            not is_worse(control[:until], candidate[:until], harm)
            for harm, control, candidate in series
        ]
        if 100 * sum(passed) / len(passed) < MARGINAL:
            return 60.0 * until
    return None


def is_worse(control: Floats, candidate: Floats, harm: float) -> bool:
    """Return whether the Mann-Whitney interval lies beyond the tolerance."""
    control, candidate = control[~np.isnan(control)], candidate[~np.isnan(candidate)]
    m, n = len(control), len(candidate)
    if min(m, n) < LEAST_POINTS:
        return False
    shifts = np.sort(harm * (candidate[:, None] - control[None, :]), axis=None)
    z = _normal.inv_cdf((1 + CONFIDENCE) / 2)
    low = int(m * n / 2 - z * (m * n * (m + n + 1) / 12) ** 0.5)
    return bool(shifts[max(low, 0)] > TOLERANCE * abs(np.median(shifts)))


def _by_minute(
    requests: Requests, minute: Ints, values: Floats
) -> tuple[Floats, Floats]:
    return _means(minute, values, ~requests.served), _means(
        minute, values, requests.served
    )


def _means(minute: Ints, values: Floats, arm: Flags) -> Floats:
    kept = arm & ~np.isnan(values)
    size = int(minute[-1]) + 1
    n = np.bincount(minute[kept], minlength=size)
    with np.errstate(invalid="ignore"):
        return np.bincount(minute[kept], values[kept], minlength=size) / n
