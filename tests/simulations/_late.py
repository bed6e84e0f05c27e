"""Labels that come later than the answer, bad ones later than good ones."""

from dataclasses import replace

import numpy as np
from tests.simulations._book import plan_of
from tests.simulations._race import Design
from tests.simulations._traffic import Floats, Looks, Requests, hashes


HOUR_S = 3_600.0
DAYS = 5
PER_DAY = 20_000
STEPPED_BACK_AFTER_S = 48 * HOUR_S
SHARES = (0.5, 0.1)
BAD = 0.1
GOOD_AFTER_S = 2 * HOUR_S
BAD_AFTER_S = 24 * HOUR_S
MATURES_AFTER = "48h"
METRIC = "chargeback"
GUARDRAIL = {"metric": METRIC, "fails_on": "increase"}


def slow_labels() -> Design:
    """Identical models; a stage is stepped back from 50 % to 10 % after two days."""
    return Design(
        name="A/A, bad labels slower than good ones, split back from 50 % to 10 %",
        plan=plan_of(GUARDRAIL, metrics={METRIC: {"matures_after": MATURES_AFTER}}),
        draw=draw_labels,
        looks=hourly,
        by_all=False,
    )


def booked_on_arrival() -> Design:
    """The same, each outcome booked when it comes, in the epoch of that moment."""
    return Design(
        name="labels booked on arrival",
        plan=plan_of(GUARDRAIL),
        draw=draw_arrivals,
        looks=hourly,
        by_all=False,
    )


def draw_labels(rng: np.random.Generator, size: int = DAYS * PER_DAY) -> Requests:
    """Draw labels of exponential delay, 2 hours for good and a day for bad ones."""
    at = np.sort(rng.random(size)) * DAYS * 24 * HOUR_S
    stratum = (at >= STEPPED_BACK_AFTER_S).astype(np.int64)
    bad = rng.random(size) < BAD
    delay = rng.exponential(np.where(bad, BAD_AFTER_S, GOOD_AFTER_S))
    return Requests(
        served=rng.random(size) < np.array(SHARES)[stratum],
        user=hashes(rng, size),
        cohort=np.zeros(size, dtype=np.int64),
        stratum=stratum,
        values={METRIC: bad.astype(np.float64)},
        strata=(("e1", ""), ("e2", "")),
        at=at,
        arrives={METRIC: at + delay},
    )


def draw_arrivals(rng: np.random.Generator) -> Requests:
    """Return the same labels as if each had been asked for when it came."""
    drawn = draw_labels(rng)
    at: Floats = drawn.arrives[METRIC]
    stratum = (at >= STEPPED_BACK_AFTER_S).astype(np.int64)
    return replace(drawn, at=at, stratum=stratum, arrives={})


def hourly(requests: Requests) -> Looks:
    """Return a look at each full hour."""
    at = np.arange(1.0, DAYS * 24 + 1) * HOUR_S
    came = np.sort(requests.at[requests.served])
    seen = np.searchsorted(came, at, side="right")
    return Looks(ends=np.searchsorted(np.sort(requests.at), at), counted=seen, at=at)
