import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.histogram import MIN_OBSERVATIONS, Histogram, Threshold


VALUES = st.lists(st.floats(-1e100, 1e100), max_size=50)
WIDTH = 1.02


def histogram(values: list[float]) -> Histogram:
    made = Histogram()
    for value in values:
        made.add(value)
    return made


def test_an_empty_histogram_has_nothing_to_freeze() -> None:
    empty = Histogram()
    assert (empty.total_n, empty.quantile(0.95), empty.frozen()) == (0, 0.0, None)


@given(VALUES, VALUES)
def test_how_values_are_divided_does_not_matter(
    one: list[float], two: list[float]
) -> None:
    merged = histogram(one)
    merged.merge(histogram(two))
    assert merged.bins == histogram(two + one).bins
    assert merged.total_n == len(one) + len(two)


@given(
    st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=60),
    st.sampled_from([0.5, 0.9, 0.95]),
)
def test_a_quantile_is_above_its_share_of_values_by_a_bin_at_most(
    values: list[float], share: float
) -> None:
    exact = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    found = histogram(values).quantile(share)
    assert exact * (1 - 1e-9) <= found <= exact * WIDTH * (1 + 1e-9)


@pytest.mark.parametrize("value", [0.0, -1.0, -1e100, 1e-300])
def test_what_is_not_above_zero_has_a_bin_of_its_own(value: float) -> None:
    assert histogram([value]).quantile(0.95) == 0.0
    assert histogram([value, 1.0]).quantile(1.0) >= 1.0


def test_percentiles_wait_for_enough_values() -> None:
    made = histogram([float(n) for n in range(1, MIN_OBSERVATIONS)])
    assert made.frozen() is None
    made.add(float(MIN_OBSERVATIONS))
    frozen = made.frozen()
    assert frozen is not None
    assert frozen.tail == pytest.approx(950, rel=0.02)
    assert frozen.cap == pytest.approx(995, rel=0.02)


def test_values_that_are_all_alike_freeze_at_one_threshold() -> None:
    frozen = histogram([0.25] * MIN_OBSERVATIONS).frozen()
    assert isinstance(frozen, Threshold)
    assert frozen.tail == frozen.cap
    assert 0.25 <= frozen.tail <= 0.25 * WIDTH
