import json
from fractions import Fraction
from itertools import product
from math import comb, exp, inf, isfinite, log
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flipback.stats import RateStratum, rate_engine, rate_interval, rates


Vector = dict[str, Any]  # as read from JSON

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())
RATIOS = [
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
LOG_40 = log(40)


def share(w: Fraction, ratio: Fraction) -> Fraction:
    return w * ratio / (w * ratio + 1 - w)


def summed(strata: list[RateStratum], margin: Fraction) -> float:
    """Take the likelihood ratios as written, with exact shares."""
    total = 0.0
    for ratio in RATIOS:
        log_lr = 0.0
        for k_t, k_c, n_t, n_c, _ in strata:
            w = Fraction(n_t) / Fraction(n_t + n_c)
            null, worse = share(w, 1 + margin), share(w, (1 + margin) * ratio)
            phi = 1 - min(Fraction(k_t + k_c) / Fraction(n_t + n_c), Fraction(95, 100))
            log_lr += (
                k_t * log(worse / null) + k_c * log((1 - worse) / (1 - null))
            ) / phi
        total += exp(log_lr)
    return log(total / len(RATIOS))


@pytest.mark.parametrize("vector", VECTORS["rate_engine"])
def test_reference_values_are_met(vector: Vector) -> None:
    strata = [RateStratum(*stratum) for stratum in vector["strata"]]
    log_e = rate_engine(strata, margin=vector["margin"])
    assert log_e == pytest.approx(vector["log_e"], rel=1e-9)


@pytest.mark.parametrize("margin", [Fraction(0), Fraction(1, 5)])
@pytest.mark.parametrize(
    "strata",
    [
        [RateStratum(0, 0, 10, 990)],
        [RateStratum(4, 1, 10, 990)],
        [RateStratum(3, 40, 100, 900), RateStratum(20, 22, 500, 500)],
        [RateStratum(10, 90, 10, 90)],
    ],
)
def test_it_is_the_sum_of_likelihood_ratios(
    strata: list[RateStratum], margin: Fraction
) -> None:
    log_e = rate_engine(strata, margin=float(margin))
    assert log_e == pytest.approx(summed(strata, margin), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("events", range(6))
def test_its_expectation_is_at_most_one_given_the_number_of_events(events: int) -> None:
    candidate_n, control_n = 20, 180
    w = candidate_n / (candidate_n + control_n)
    expectation = sum(
        comb(events, k)
        * w**k
        * (1 - w) ** (events - k)
        * mean_likelihood_ratio(k, events - k, w)
        for k in range(events + 1)
    )
    assert expectation == pytest.approx(1)


def mean_likelihood_ratio(k_t: int, k_c: int, w: float) -> float:
    """The engine's E in the limit of rare events, where phi = 1."""
    many = 10**9
    stratum = RateStratum(k_t, k_c, round(w * many), round((1 - w) * many))
    return exp(rate_engine([stratum]))


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_its_expectation_is_at_most_one_over_two_whole_binomials(rate: float) -> None:
    candidate_n, control_n = 8, 24
    expectation = sum(
        comb(candidate_n, k_t)
        * comb(control_n, k_c)
        * rate ** (k_t + k_c)
        * (1 - rate) ** (candidate_n + control_n - k_t - k_c)
        * exp(rate_engine([RateStratum(k_t, k_c, candidate_n, control_n)]))
        for k_t, k_c in product(range(candidate_n + 1), range(control_n + 1))
    )
    assert expectation <= 1.01  # phi is an approximation; without it exactly 1


def test_errors_on_a_baseline_of_zero_are_caught() -> None:
    assert rate_engine([RateStratum(20, 0, 1000, 1000)]) > log(20)


def test_five_failures_in_a_row_suffice_for_a_small_share_of_alpha() -> None:
    stratum = RateStratum(5, 10, 5, 500)
    assert rate_engine([stratum]) > log(44 / 0.05)


def test_rates_that_drift_with_the_ramp_are_no_effect() -> None:
    ramp = [
        RateStratum(1, 99, 100, 9900),
        RateStratum(25, 475, 500, 9500),
        RateStratum(250, 750, 2500, 7500),
        RateStratum(1000, 1000, 5000, 5000),
    ]
    columns = zip(*(stratum[:4] for stratum in ramp), strict=True)
    pooled = RateStratum(*(sum(column) for column in columns))
    assert rate_engine(ramp) < 0
    assert rate_engine([pooled]) > log(20)


@pytest.mark.parametrize("strata", [[], [RateStratum(3, 0, 3, 0)]])
def test_one_arm_alone_is_no_evidence(strata: list[RateStratum]) -> None:
    assert rate_engine(strata) == 0
    assert rates(strata) is None
    assert rate_interval(strata, log_threshold=LOG_40) is None


@pytest.mark.parametrize(
    "stratum",
    [
        RateStratum(10**10, 10**11, 10**11, 10**12),
        RateStratum(10**12, 10**12, 10**12, 10**12),
        RateStratum(0, 0, 10**12, 10**12),
        RateStratum(10**12, 0, 10**12, 10**12),
    ],
)
def test_a_million_million_subjects_and_rates_of_zero_and_one_are_weighed(
    stratum: RateStratum,
) -> None:
    assert isfinite(rate_engine([stratum]))
    assert isfinite(rate_engine([stratum], margin=0.05))


def test_no_event_leaves_nothing_to_invert() -> None:
    assert rate_interval([RateStratum(0, 0, 50, 50)], log_threshold=LOG_40) is None


def test_an_unbounded_end_is_infinite() -> None:
    interval = rate_interval([RateStratum(20, 0, 1000, 1000)], log_threshold=LOG_40)
    assert interval is not None
    assert 0 < interval.low < 0.02
    assert interval.high == inf


counts = st.integers(0, 300)
strata_of_many = st.lists(
    st.tuples(counts, counts, st.integers(300, 5000), st.integers(300, 5000)).map(
        lambda numbers: RateStratum(*numbers)
    ),
    min_size=1,
    max_size=4,
)


@given(strata=strata_of_many)
def test_the_interval_excludes_zero_exactly_if_one_of_the_two_sides_is_rejected(
    strata: list[RateStratum],
) -> None:
    interval = rate_interval(strata, log_threshold=LOG_40)
    if interval is None:
        return
    up = rate_engine(strata)
    down = rate_engine([stratum.turned for stratum in strata])
    if abs(up - LOG_40) > 0.01:
        assert (interval.low > 0) == (up > LOG_40)
    if abs(down - LOG_40) > 0.01:
        assert (interval.high < 0) == (down > LOG_40)


@given(strata=strata_of_many)
def test_the_rates_lie_between_the_rates_of_the_strata(
    strata: list[RateStratum],
) -> None:
    values = rates(strata)
    assert values is not None
    candidate = [s.candidate_events / s.candidate_n for s in strata]
    assert min(candidate) - 1e-12 <= values[1] <= max(candidate) + 1e-12


@given(
    hits=st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)),
    exposed=st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)),
)
@example(hits=(10**15, 0), exposed=(0, 1))
@example(hits=(10**15, 0), exposed=(0, 10**15))
@example(hits=(0, 10**15), exposed=(1, 0))
def test_counts_of_any_size_have_an_interval_with_two_ends(
    hits: tuple[int, int], exposed: tuple[int, int]
) -> None:
    totals = [max(pair) for pair in zip(hits, exposed, strict=True)]
    stratum = RateStratum(*hits, *totals)
    assert isfinite(rate_engine([stratum]))
    interval = rate_interval([stratum], log_threshold=LOG_40)
    assert interval is None or interval.low <= interval.high
