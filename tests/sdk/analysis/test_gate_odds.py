"""What the gate does on traffic that is drawn at random."""

from collections.abc import Callable, Mapping
from statistics import median

import pytest
from tests.sdk.analysis._booked import Traffic, plan_of

from flipback.analysis import gate
from flipback.plan import RolloutPlan
from flipback.power import Baseline, power
from flipback.power import Traffic as Daily
from flipback.verdict import Verdict


pytestmark = pytest.mark.long

SHARE = 0.2
PER_DAY = 1_000
LOOK_EVERY = 50
EVENT = {"metric": "error", "fails_on": "increase", "tolerance": 0.5}
MEAN = {"metric": "score", "fails_on": "decrease", "tolerance": 0.06}
LATENCY = {"metric": "latency_s", "fails_on": "increase", "tolerance": 0.4}
STAGES = [{"weight": 20}, {"weight": 50}]
BASELINES = {"error": Baseline(mean=0.04), "score": Baseline(mean=0.6)}

Draw = Callable[[Traffic, bool], Mapping[str, float]]


def draws_event(traffic: Traffic, harmed: bool) -> Mapping[str, float]:  # noqa: FBT001 - a draw
    return {"error": traffic.hits(0.08 if harmed else 0.04)}


def draws_mean(traffic: Traffic, harmed: bool) -> Mapping[str, float]:  # noqa: FBT001 - a draw
    return {"score": traffic.hits(0.6 * 0.88 if harmed else 0.6)}


def draws_latency(traffic: Traffic, harmed: bool) -> Mapping[str, float]:  # noqa: FBT001 - a draw
    factor = 1.8 if harmed else 1.0
    return {"latency_s": factor * traffic.rng.lognormvariate(0, 1)}


def passes_after(
    plan: RolloutPlan, draw: Draw, *, harmed: bool, seed: int, most: int
) -> int | None:
    """Return the calls after which the gate passes, None if it never does."""
    traffic = Traffic(plan, seed=seed)
    for call in range(1, most + 1):
        candidate = traffic.rng.random() < SHARE
        variant = "candidate" if candidate else "control"
        metrics = draw(traffic, harmed and candidate)
        traffic.calls(variant, 1, lambda metrics=metrics: metrics)  # type: ignore[misc] # binds this call's
        if call % LOOK_EVERY == 0:
            traffic.tally.freeze()
            found = gate(plan, traffic.evidence, weight=20)
            if found.verdict is Verdict.PASS:
                return call
    return None


@pytest.mark.parametrize(
    ("guardrail", "draw"),
    [(EVENT, draws_event), (MEAN, draws_mean), (LATENCY, draws_latency)],
)
def test_a_good_candidate_passes_in_the_time_that_was_foretold(
    guardrail: dict[str, object], draw: Draw
) -> None:
    plan = plan_of(guardrail, stages=STAGES)
    daily = Daily(calls_per_day=PER_DAY, baselines=BASELINES)
    foretold = power(plan, daily).stages[0].lasts_days * PER_DAY
    took = [
        passes_after(plan, draw, harmed=False, seed=seed, most=20_000)
        for seed in range(15)
    ]
    usual = median(calls or 20_000 for calls in took)
    assert foretold / 1.5 <= usual <= foretold * 1.5


@pytest.mark.parametrize(
    ("guardrail", "draw"), [(EVENT, draws_event), (MEAN, draws_mean)]
)
def test_harm_of_exactly_the_margin_hardly_ever_passes(
    guardrail: dict[str, object], draw: Draw
) -> None:
    plan = plan_of(guardrail, stages=STAGES)
    passed = [
        passes_after(plan, draw, harmed=True, seed=seed, most=1_500)
        for seed in range(40)
    ]
    assert sum(calls is not None for calls in passed) <= 0.05 * len(passed)
