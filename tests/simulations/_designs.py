"""Plans and traffic of the measured designs."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from tests.simulations._book import plan_of
from tests.simulations._peers import Threshold
from tests.simulations._race import Design
from tests.simulations._traffic import (
    FROZEN_FROM,
    Floats,
    Ints,
    Looks,
    Requests,
    hashes,
    looks_of,
    new_users,
    paced,
    split,
)


MOST = 10_000
"""Requests of the candidate after which a run ends."""

SEGMENTS = tuple(f"s{number}" for number in range(10))
COHORTS = tuple(f"segment={name}" for name in SEGMENTS)
ERROR = {"metric": "error", "fails_on": "increase"}
LATENCY = {"metric": "latency_s", "fails_on": "increase"}
GRADE = {"metric": "grade", "fails_on": "decrease"}
HELPFUL = {"metric": "helpful", "fails_on": "decrease"}
FOUR = (ERROR, LATENCY, GRADE, HELPFUL)
AT_3_PERCENT = (Threshold(metric="error", most=0.03),)

STAGES = ((0.01, 200), (0.05, 1_000), (0.25, 4_000), (0.5, MOST))
"""Share, and requests of the candidate at the end, of a ramp."""

Generator = np.random.Generator


def identical() -> Design:
    """Identical models under 44 guardrails; every request is a new user."""
    return Design(
        name="A/A, 44 guardrails, 10 % split",
        plan=plan_of(*FOUR, segments=SEGMENTS),
        draw=draw_identical,
        in_steps=True,
        thresholds=AT_3_PERCENT,
    )


def draw_identical(rng: Generator) -> Requests:
    """Draw four metrics of ten cohorts of equal size."""
    served = split(rng, 0.1, MOST)
    size = len(served)
    values = {
        "error": _flips(rng, 0.02, size),
        "latency_s": rng.lognormal(0, 0.7, size),
        "grade": rng.normal(7, 2, size),
        "helpful": _flips(rng, 0.6, size),
    }
    return new_users(
        rng,
        served,
        values,
        cohort=rng.integers(0, len(SEGMENTS), size),
        cohorts=COHORTS,
        before={"latency_s": rng.lognormal(0, 0.7, FROZEN_FROM)},
    )


def ramp() -> Design:
    """Identical models, users who return, a ramp, and rates that drift."""
    return Design(
        name="A/A, 44 guardrails, returning users, ramp 1-5-25-50 %, drift",
        plan=plan_of(*FOUR, segments=SEGMENTS),
        draw=draw_ramp,
        in_steps=True,
        thresholds=AT_3_PERCENT,
    )


def draw_ramp(rng: Generator, users: int = 3_000) -> Requests:
    """Draw users of lognormal activity, each with a bias of its own in every metric."""
    activity = rng.lognormal(0, 1, users)
    place, bias = rng.random(users), rng.normal(0, 1, users)
    who, stage = _visits(rng, activity / activity.sum())
    share = np.array([share for share, _ in STAGES])
    served = place[who] < share[stage]
    cohort = rng.integers(0, len(SEGMENTS), users)[who]
    level = stage / 2 + np.sin(np.arange(len(who)) / 4_000) / 2 + cohort * stage / 30
    return Requests(
        served=served,
        user=hashes(rng, users)[who],
        cohort=cohort,
        stratum=stage,
        values=_biased(rng, level, bias[who]),
        cohorts=COHORTS,
        strata=tuple((f"e{number}", "") for number in range(len(STAGES))),
        at=paced(len(who)),
        returning=True,
        before={"latency_s": np.exp(rng.normal(0, 0.7, FROZEN_FROM))},
    )


def returning(*guardrails: Mapping[str, object], segments: bool = False) -> Design:
    """Identical models and users who return, at one split and without drift."""
    return Design(
        name="A/A, returning users, 10 % split",
        plan=plan_of(*guardrails, segments=SEGMENTS if segments else ()),
        draw=draw_returning,
        in_steps=True,
        by_all=False,
    )


def draw_returning(rng: Generator, users: int = 2_000) -> Requests:
    """Draw users of lognormal activity, each some twenty times."""
    activity = rng.lognormal(0, 1, users)
    place, bias = rng.random(users), rng.normal(0, 1, users)
    who = rng.choice(users, 20 * users, p=activity / activity.sum())
    nothing = np.zeros(len(who))
    return Requests(
        served=place[who] < 0.1,
        user=hashes(rng, users)[who],
        cohort=rng.integers(0, len(SEGMENTS), users)[who],
        stratum=np.zeros(len(who), dtype=np.int64),
        values=_biased(rng, nothing, bias[who]),
        cohorts=COHORTS,
        at=paced(len(who)),
        returning=True,
        before={"latency_s": np.exp(rng.normal(0, 0.7, FROZEN_FROM))},
    )


def _visits(rng: Generator, chances: Floats) -> tuple[Ints, Ints]:
    """Return who comes, and in which stage."""
    before = (0, *(until for _, until in STAGES))
    lengths = [
        int((until - start) / share)
        for (share, until), start in zip(STAGES, before, strict=False)
    ]
    stage = np.repeat(np.arange(len(STAGES)), lengths)
    return rng.choice(len(chances), sum(lengths), p=chances), stage


def _biased(rng: Generator, level: Floats, bias: Floats) -> dict[str, Floats]:
    size = len(level)
    odds = np.exp(0.5 - 0.3 * level + 0.8 * bias)
    return {
        "error": _flips(rng, np.minimum(1, 0.02 * np.exp(level + 0.5 * bias)), size),
        "latency_s": np.exp(0.3 * level + 0.35 * bias + rng.normal(0, 0.6, size)),
        "grade": 7 - level + bias + rng.normal(0, 1.8, size),
        "helpful": _flips(rng, odds / (1 + odds), size),
    }


def segment_rule() -> Design:
    """A product rule sends half of a troubled segment to an identical model."""
    return Design(
        name="A/A, rule at 50 % beside a 1 % split",
        plan=plan_of(ERROR, HELPFUL),
        draw=draw_segment_rule,
        in_steps=True,
    )


def draw_segment_rule(rng: Generator) -> Requests:
    """Draw 10 % of users in trouble, of whom half meet the candidate."""
    size = 40_000
    troubled = rng.random(size) < 0.1
    served = rng.random(size) < np.where(troubled, 0.5, 0.01)
    rates = np.where(troubled, 0.1, 0.01), np.where(troubled, 0.3, 0.7)
    requests = new_users(
        rng,
        served,
        {
            name: _flips(rng, rate, size)
            for name, rate in zip(("error", "helpful"), rates, strict=True)
        },
    )
    return Requests(
        served=requests.served,
        user=requests.user,
        cohort=requests.cohort,
        stratum=troubled.astype(np.int64),
        values=requests.values,
        strata=(("e1", "default"), ("e1", "troubled")),
        at=requests.at,
    )


def events(rate: float, *, share: float = 0.05, base: float = 0.02) -> Design:
    """One guardrail on errors."""
    return Design(
        name=f"errors {100 * base:g} % to {100 * rate:g} %, {100 * share:g} % split",
        plan=plan_of(ERROR),
        draw=partial(_draw_flips, "error", base, rate, share),
        thresholds=AT_3_PERCENT,
    )


def common_events() -> Design:
    """Identical models, and events as common as the rate engine is meant for."""
    return Design(
        name="A/A, errors 10 %, 50 % split",
        plan=plan_of(ERROR),
        draw=partial(_draw_flips, "error", 0.1, 0.1, 0.5),
        in_steps=True,
    )


def dead() -> Design:
    """A candidate that answers nothing, at a small split and share of alpha."""
    return Design(
        name="total failure, 1 % split, 1/44 of alpha",
        plan=plan_of(ERROR, alpha=0.05 / 44),
        draw=partial(_draw_flips, "error", 0.02, 1.0, 0.01, most=300),
        thresholds=AT_3_PERCENT,
    )


def proportion() -> Design:
    """One guardrail on a common proportion."""
    return Design(
        name="proportion 50 % to 45 %, 5 % split",
        plan=plan_of(HELPFUL),
        draw=partial(_draw_flips, "helpful", 0.5, 0.45, 0.05),
    )


def _draw_flips(
    metric: str,
    base: float,
    rate: float,
    share: float,
    rng: Generator,
    *,
    most: int = MOST,
) -> Requests:
    served = split(rng, share, most)
    flips = _flips(rng, np.where(served, rate, base), len(served))
    return new_users(rng, served, {metric: flips})


def slower() -> Design:
    """Everything takes 20 % longer."""
    return _latency("latency x 1.2 everywhere, 10 % split", _slowed)


def longer_tail() -> Design:
    """What is slow already, above the 90th percentile, takes 20 % longer."""
    return _latency("latency: p95 + 20 %, tail only, 10 % split", _stretched)


def same_latency() -> Design:
    """Identical models."""
    return _latency("A/A, latency, 10 % split", _as_it_is)


P90 = float(np.exp(1.2815515594))
P99 = float(np.exp(2.3263478740))


def _as_it_is(x: Floats) -> Floats:
    return x


def _slowed(x: Floats) -> Floats:
    return 1.2 * x


def _stretched(x: Floats) -> Floats:
    return np.where(x > P90, 1.2 * x, x)


def _latency(name: str, changed: Callable[[Floats], Floats]) -> Design:
    return Design(
        name=name,
        plan=plan_of(LATENCY),
        draw=partial(draw_latency, changed),
        thresholds=(Threshold(metric="latency_s", most=1.1 * P99, quantile=True),),
    )


def draw_latency(changed: Callable[[Floats], Floats], rng: Generator) -> Requests:
    """Draw lognormal seconds of sigma 1, changed for the candidate."""
    served = split(rng, 0.1, MOST)
    taken = rng.lognormal(0, 1, len(served))
    return new_users(
        rng,
        served,
        {"latency_s": np.where(served, changed(taken), taken)},
        before={"latency_s": rng.lognormal(0, 1, FROZEN_FROM)},
    )


def small_cohort(base: float = 0.5) -> Design:
    """A cohort of 3 % of traffic loses 20 %; other cohorts and metrics are well.

    Looks are 150 requests of the candidate apart, some 4 or 5 of the cohort's.
    """
    return Design(
        name=f"a cohort of 3 % loses 20 % (of {100 * base:g} %), 44 guardrails",
        plan=plan_of(*FOUR, segments=SEGMENTS),
        draw=partial(draw_small_cohort, base),
        looks=_looks_at_cohort,
    )


def draw_small_cohort(base: float, rng: Generator) -> Requests:
    """Draw four metrics, of which one is harmed in the first cohort."""
    served = split(rng, 0.1, 40_000)
    size = len(served)
    hurt = rng.random(size) < 0.03
    rate = np.where(hurt & served, 0.8 * base, base)
    values = {
        "error": _flips(rng, 0.02, size),
        "latency_s": rng.lognormal(0, 0.7, size),
        "grade": rng.normal(7, 2, size),
        "helpful": _flips(rng, rate, size),
    }
    return new_users(
        rng,
        served,
        values,
        cohort=np.where(hurt, 0, rng.integers(1, len(SEGMENTS), size)),
        cohorts=COHORTS,
        before={"latency_s": rng.lognormal(0, 0.7, FROZEN_FROM)},
    )


def _looks_at_cohort(requests: Requests) -> Looks:
    return looks_of(requests, counted=requests.cohort == 0, every=150)


def _flips(rng: Generator, rate: float | Floats, size: int) -> Floats:
    return (rng.random(size) < rate).astype(np.float64)
