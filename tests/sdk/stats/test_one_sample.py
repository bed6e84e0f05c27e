import json
from fractions import Fraction
from math import comb, exp, isfinite, log
from pathlib import Path
from typing import Any

import pytest

from flipback.stats import Harm, either, one_sample, split_ratio


Vector = dict[str, Any]  # as read from JSON

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())
ODDS = [
    Fraction(text)
    for text in [
        "1.1",
        "1.2",
        "1.35",
        "1.5",
        "1.75",
        "2",
        "2.5",
        "3",
        "4",
        "6",
        "10",
        "20",
        "50",
        "200",
    ]
]


def summed(k: int, n: int, limit: Fraction, harm: int) -> Fraction:
    """Sum the likelihood ratios without any rounding."""
    total = Fraction(0)
    for odds in ODDS:
        o = odds if harm > 0 else 1 / odds
        p = limit * o / (1 - limit + limit * o)
        total += (p / limit) ** k * ((1 - p) / (1 - limit)) ** (n - k)
    return total / len(ODDS)


@pytest.mark.parametrize("vector", VECTORS["one_sample"])
def test_reference_values_are_met(vector: Vector) -> None:
    log_e = one_sample(
        vector["k"], vector["n"], limit=vector["p0"], harm=vector["worse"]
    )
    assert log_e == pytest.approx(vector["log_e"], rel=1e-9)


@pytest.mark.parametrize("harm", [1, -1])
@pytest.mark.parametrize(("k", "n"), [(0, 0), (0, 9), (9, 9), (3, 20), (40, 41)])
def test_it_is_the_sum_of_likelihood_ratios(k: int, n: int, harm: Harm) -> None:
    exact = summed(k, n, Fraction(1, 8), harm)
    log_e = one_sample(k, n, limit=0.125, harm=harm)
    assert log_e == pytest.approx(log(exact), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("harm", [1, -1])
@pytest.mark.parametrize("n", [1, 2, 7, 12])
def test_its_expectation_is_one_at_the_limit(n: int, harm: Harm) -> None:
    p = Fraction(1, 10)
    expectation = sum(
        comb(n, k) * p**k * (1 - p) ** (n - k) * summed(k, n, p, harm)
        for k in range(n + 1)
    )
    assert expectation == 1


@pytest.mark.parametrize(("true", "harm"), [(0.05, 1), (0.3, -1)])
def test_its_expectation_is_below_one_while_the_limit_is_kept(
    true: float, harm: Harm
) -> None:
    n = 12
    expectation = sum(
        comb(n, k)
        * true**k
        * (1 - true) ** (n - k)
        * exp(one_sample(k, n, limit=0.1, harm=harm))
        for k in range(n + 1)
    )
    assert expectation < 1


def test_nothing_seen_is_no_evidence() -> None:
    assert one_sample(0, 0, limit=0.1) == 0


@pytest.mark.parametrize("k", [0, 10**12])
def test_a_million_million_outcomes_are_weighed(k: int) -> None:
    assert isfinite(one_sample(k, 10**12, limit=0.01))


def test_a_split_that_is_as_set_is_not_doubted() -> None:
    assert split_ratio(5_030, 100_000, share=0.05) < 0
    assert split_ratio(0, 0, share=0.05) == 0


@pytest.mark.parametrize("candidate", [4_500, 5_500])
def test_a_split_that_is_off_in_either_direction_is_found(candidate: int) -> None:
    assert split_ratio(candidate, 100_000, share=0.05) > log(1000)


def test_a_split_that_is_off_by_a_few_percent_is_found_among_many() -> None:
    assert split_ratio(510_000, 1_000_000, share=0.5) > log(1000)


@pytest.mark.parametrize("n", [1, 6, 12])
def test_the_expectation_over_splits_is_one(n: int) -> None:
    expectation = sum(
        comb(n, k) * 0.2**k * 0.8 ** (n - k) * exp(split_ratio(k, n, share=0.2))
        for k in range(n + 1)
    )
    assert expectation == pytest.approx(1)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_that_leaves_one_arm_empty_cannot_be_compared(share: float) -> None:
    assert split_ratio(10, 100, share=share) == 0


def test_a_change_in_either_direction_is_half_of_both() -> None:
    assert either(log(40), log(2)) == pytest.approx(log(21))
    assert either(1e5, -1e5) == pytest.approx(1e5 + log(0.5))
