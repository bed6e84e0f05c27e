"""Ruling harm out: the engines with their sign turned, as a gate asks them."""

from itertools import product
from math import comb, exp, isfinite, log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.exposure import Cell
from flipback.stats import (
    Arm,
    Harm,
    Pair,
    RateStratum,
    normal_mixture,
    one_sample,
    rate_engine,
    rule_out,
    ruling_out_ratios,
    score_against_limit,
    stratified_score,
)


LOG_20 = log(20)


def arm_of(count: int, mean: float, seed: int) -> Arm:
    random, cell = Random(seed), Cell()  # noqa: S311 - a fixed stream for a test
    for _ in range(count):
        cell.add(random.randrange(64), random.gauss(mean, 1))
    arm = Arm.of(cell)
    assert arm is not None
    return arm


@pytest.mark.parametrize("harm", [1, -1])
@pytest.mark.parametrize("margin", [0.05, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("mean", [4.0, -4.0])
def test_the_score_is_the_distance_from_the_harm_that_is_ruled_out(
    harm: Harm, margin: float, mean: float
) -> None:
    control, candidate = arm_of(900, mean, 1), arm_of(300, mean, 2)
    turned: Harm = -1 if harm > 0 else 1
    score = stratified_score([Pair(control, candidate)], harm=turned, margin=-margin)
    assert score is not None
    worst = control.mean + harm * margin * abs(control.mean)
    assert score.score / score.info == pytest.approx(harm * (worst - candidate.mean))


def test_a_mean_is_shown_to_be_no_worse_by_enough_evidence_only() -> None:
    def log_e(count: int) -> float:
        pair = Pair(arm_of(9 * count, 5, 3), arm_of(count, 5, 4))
        score = stratified_score([pair], harm=-1, margin=-0.05)
        assert score is not None
        return normal_mixture(score.score, score.info, mei=0.05 * 5)

    assert log_e(40) < LOG_20 < log_e(1000)


def test_a_limit_is_shown_to_be_kept() -> None:
    arms = [arm_of(400, 3, 5)]
    kept = score_against_limit(arms, limit=3.5, harm=-1)
    assert kept is not None
    assert normal_mixture(kept.score, kept.info, mei=0.3) > LOG_20
    assert one_sample(1, 400, limit=0.02, harm=-1) > LOG_20
    assert one_sample(8, 400, limit=0.02, harm=-1) < 0


# The rate engine


@pytest.mark.parametrize("margin", [0.05, 0.5, 1.0])
def test_it_is_the_rate_engine_with_exchanged_arms_and_a_margin_below_zero(
    margin: float,
) -> None:
    stratum, ratios = RateStratum(40, 300, 2000, 18_000), ruling_out_ratios(margin)
    assert rule_out([stratum], margin=margin) == pytest.approx(
        rate_engine([stratum.turned], margin=-margin / (1 + margin), ratios=ratios)
    )


def test_more_subjects_rule_out_smaller_harm() -> None:
    def alike(subjects: int) -> list[RateStratum]:
        return [RateStratum(subjects // 50, subjects // 5, subjects, 10 * subjects)]

    assert rule_out(alike(200), margin=1.0) < LOG_20 < rule_out(alike(1000), margin=1.0)
    assert rule_out(alike(20_000), margin=0.05) < LOG_20
    assert rule_out(alike(300_000), margin=0.05) > LOG_20


def test_harm_at_the_margin_is_not_ruled_out() -> None:
    stratum = RateStratum(4000, 20_000, 100_000, 1_000_000)
    assert rule_out([stratum], margin=1.0) < LOG_20
    assert rule_out([stratum], margin=0.5) < -10
    assert rule_out([stratum], margin=2.0) > LOG_20


def test_a_fall_by_everything_and_more_is_ruled_out_by_a_few_events() -> None:
    alike = [RateStratum(5, 50, 100, 1000)]
    for margin in (1.0, 5.0):
        assert rule_out(alike, margin=margin, harm=-1) > LOG_20
    assert rule_out([RateStratum(0, 50, 100, 1000)], margin=1.0, harm=-1) < 0


@pytest.mark.parametrize("margin", [0.0, -0.5, -2.0])
def test_without_a_margin_nothing_is_ruled_out(margin: float) -> None:
    for harm in (1, -1):
        stratum = RateStratum(1, 90, 100, 1000)
        assert rule_out([stratum], margin=margin, harm=harm) == pytest.approx(0)  # type: ignore[arg-type]


def test_a_boundary_of_no_rate_says_nothing() -> None:
    for margin in (-1.0, -3.0, float("inf"), float("nan")):
        assert rate_engine([RateStratum(5, 5, 10, 10)], margin=margin) == 0


@pytest.mark.parametrize("harm", [1, -1])
@pytest.mark.parametrize("margin", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("rate", [0.02, 0.1])
@pytest.mark.parametrize("arms", [(8, 24), (20, 20)])
def test_its_expectation_is_at_most_one_at_the_boundary_of_rare_events(
    arms: tuple[int, int], rate: float, margin: float, harm: Harm
) -> None:
    """The exact bound is for phi = 1; phi costs less than 5 % up to a rate of 10 %."""
    candidate_n, control_n = arms
    worse = rate * (1 + harm * margin)
    expectation = sum(
        comb(candidate_n, k_t)
        * comb(control_n, k_c)
        * worse**k_t
        * (1 - worse) ** (candidate_n - k_t)
        * rate**k_c
        * (1 - rate) ** (control_n - k_c)
        * exp(rule_out([RateStratum(k_t, k_c, *arms)], margin=margin, harm=harm))
        for k_t, k_c in product(range(candidate_n + 1), range(control_n + 1))
    )
    assert expectation <= 1.05


@pytest.mark.parametrize(
    ("rate", "margin", "harm", "per"),
    [(0.8, 0.5, -1, 9), (0.5, 0.5, 1, 9), (0.3, 1.0, 1, 1), (0.1, 0.5, 1, 4)],
)
def test_harm_is_ruled_out_by_mistake_less_often_than_alpha_says_at_any_rate(
    rate: float, margin: float, harm: Harm, per: int
) -> None:
    random = Random(7)  # noqa: S311 - a fixed stream for a test
    worse, runs, mistakes = rate * (1 + harm * margin), 150, 0
    for _ in range(runs):
        k_t = k_c = 0
        for look in range(1, 16):
            k_t += sum(random.random() < worse for _ in range(10))
            k_c += sum(random.random() < rate for _ in range(10 * per))
            stratum = RateStratum(k_t, k_c, 10 * look, 10 * look * per)
            if rule_out([stratum], margin=margin, harm=harm) >= LOG_20:
                mistakes += 1
                break
    assert mistakes / runs <= 0.05


@given(
    events=st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)),
    more=st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)),
    margin=st.floats(0, 1e300),
    harm=st.sampled_from([1, -1]),
)
def test_any_margin_and_any_counts_are_weighed(
    events: tuple[int, int], more: tuple[int, int], margin: float, harm: Harm
) -> None:
    exposed = events[0] + more[0], events[1] + more[1]
    assert isfinite(
        rule_out([RateStratum(*events, *exposed)], margin=margin, harm=harm)
    )


@given(margin=st.floats(1e-6, 1e12))
def test_the_grid_has_the_ratio_of_arms_that_are_alike(margin: float) -> None:
    ratios = ruling_out_ratios(margin)
    assert list(ratios) == sorted(ratios)
    assert any(r == pytest.approx(min(1 + margin, ratios[-1])) for r in ratios)
