import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.exposure import BUCKETS, MAX_VALUE, Batch, Cell, CellKey


NUMBERS = st.floats(-1e3, 1e3)
VALUES = st.lists(st.tuples(st.integers(0, BUCKETS - 1), NUMBERS), max_size=30)
KEY = CellKey("r", 1, "e", "", 0, "error", "", "v2")


def cell(values: list[tuple[int, float]], origin: float = 0.0) -> Cell:
    made = Cell(origin)
    for bucket, value in values:
        made.add(bucket, value)
    return made


def assert_same(one: Cell, two: Cell) -> None:
    assert one.n == two.n
    if one.total_n:
        assert one.mean == pytest.approx(two.mean, abs=1e-6)
    assert one.variance == pytest.approx(two.variance, rel=1e-6, abs=1e-3)
    for bucket in range(BUCKETS):
        total = [c.x[bucket] + c.n[bucket] * c.origin for c in (one, two)]
        assert total[0] == pytest.approx(total[1], abs=1e-5)


def test_an_empty_cell_says_its_origin_and_no_spread() -> None:
    empty = Cell(5.0)
    assert (empty.total_n, empty.mean, empty.variance) == (0, 5.0, 0.0)


@pytest.mark.parametrize(
    ("value", "origin"), [(0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (1.5, 1.5), (-9.0, -9.0)]
)
def test_an_origin_is_the_first_value_unless_that_is_small(
    value: float, origin: float
) -> None:
    assert Cell.starting_at(value).origin == origin


def test_a_large_mean_keeps_all_its_digits() -> None:
    made = Cell.starting_at(1e8)
    for value in (1e8 + 1, 1e8 - 1):
        made.add(0, value)
    assert (made.mean, made.variance) == (1e8, 1.0)


@given(VALUES, NUMBERS)
def test_a_cell_has_the_moments_of_its_values(
    values: list[tuple[int, float]], origin: float
) -> None:
    made = cell(values, origin)
    numbers = [value for _, value in values]
    assert made.total_n == len(numbers)
    if numbers:
        assert made.mean == pytest.approx(statistics.fmean(numbers), abs=1e-6)
        spread = statistics.pvariance(numbers)
        assert made.variance == pytest.approx(spread, rel=1e-6, abs=1e-2)


@given(VALUES, VALUES, NUMBERS, NUMBERS)
def test_cells_add_as_if_they_had_one_origin(
    one: list[tuple[int, float]], two: list[tuple[int, float]], a: float, b: float
) -> None:
    left = cell(one, a)
    left.merge(cell(two, b))
    right = cell(two, b)
    right.merge(cell(one, a))
    whole = cell(one + two)
    assert_same(left, whole)
    assert_same(left, right)


def test_merging_leaves_the_other_as_it_was() -> None:
    other = cell([(3, 2.0)])
    Cell(1.0).merge(other)
    assert (other.origin, other.total_n, other.mean) == (0.0, 1, 2.0)


def test_a_value_that_is_too_far_makes_the_spread_infinite_and_raises_nothing() -> None:
    made = cell([(0, 1e300), (0, -1e300)])
    assert math.isinf(made.xx)


@given(st.lists(st.floats(-MAX_VALUE, MAX_VALUE), min_size=1, max_size=20))
def test_values_up_to_the_largest_can_be_weighed(values: list[float]) -> None:
    made = Cell.starting_at(values[0])
    for place, value in enumerate(values):
        made.add(place, value)
    assert made.is_weighable


@pytest.mark.parametrize("value", [1e102, -1e102, 1e200, math.inf, math.nan])
@pytest.mark.parametrize("others", [[], [0.5], [1e100]])
def test_a_value_far_beyond_the_largest_cannot_be_weighed(
    value: float, others: list[float]
) -> None:
    for values in ([value, *others], [*others, value]):
        made = Cell.starting_at(values[0])
        for place, each in enumerate(values):
            made.add(place, each)
        assert not made.is_weighable
        clean = Cell()
        clean.merge(made)
        assert not clean.is_weighable


def test_huge_sums_that_cancel_each_other_cannot_be_weighed() -> None:
    made = cell([(0, 1.0), (1, 1.0)])
    made.x[0], made.x[1] = 1e300, -1e300
    assert not made.is_weighable
    assert Cell().is_weighable


def test_batches_share_nothing() -> None:
    one, two = (Batch(writer="w", sequence=n) for n in (1, 2))
    one.excluded["r", "static"] = 1
    assert two.excluded == {}
