from datetime import UTC, datetime
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.report._chart import round_step
from flipback.report._times import ticks
from flipback.report._units import MINUS, Unit, amount, number, percent, range_text


DAY = 86_400
START = datetime(2026, 11, 18, 9, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.0213, "0.0213"),
        (-1234.5, f"{MINUS}1,234"),
        (0.638, "0.638"),
        (1e12, "1.00e+12"),
        (inf, "\u221e"),
        (-inf, f"{MINUS}\u221e"),
    ],
)
def test_numbers_have_three_significant_digits(value: float, said: str) -> None:
    assert number(value) == said


def test_a_share_is_told_in_percent_and_its_difference_in_points() -> None:
    assert amount(0.0213, Unit.SHARE) == "2.13 %"
    assert amount(-0.0213, Unit.POINTS) == f"{MINUS}2.13 pp"
    assert percent(0.05) == "5 %"
    assert percent(-0.3619, signed=True) == f"{MINUS}36 %"
    assert percent(0.0761, signed=True) == "+7.6 %"


def test_both_ends_of_a_range_have_the_same_decimals() -> None:
    assert range_text(-0.38214, -0.0799, Unit.MERE) == f"{MINUS}0.382 to {MINUS}0.080"
    assert range_text(-inf, 0.0409, Unit.POINTS) == f"{MINUS}\u221e to 4.09 pp"


@given(st.floats(allow_nan=False), st.sampled_from(Unit))
def test_any_number_can_be_told(value: float, unit: Unit) -> None:
    assert amount(value, unit)


@given(
    st.floats(0, 4e9),
    st.floats(1, 400 * DAY),
)
def test_an_axis_has_few_ticks_all_of_them_on_it(start: float, length: float) -> None:
    found = ticks(start, start + length)
    assert len(found) <= 8
    assert all(start <= tick.at <= start + length for tick in found)
    assert len({tick.at for tick in found}) == len(found)


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (150, ["09:30:00", "09:30:30", "09:31:00", "09:31:30", "09:32:00", "09:32:30"]),
        (8 * 60, ["09:30", "09:32", "09:34", "09:36", "09:38"]),
        (60 * DAY, ["23 Nov", "3 Dec", "13 Dec", "23 Dec", "2 Jan"]),
    ],
)
def test_minutes_and_months_have_round_ticks(length: float, labels: list[str]) -> None:
    found = [tick.label for tick in ticks(START, START + length)]
    assert found[: len(labels)] == labels


def test_the_date_is_told_where_a_day_begins() -> None:
    found = ticks(START, START + DAY)
    assert [tick.date for tick in found if tick.date] == ["18 Nov", "19 Nov"]


@given(st.floats(1e-12, 1e12))
def test_a_step_is_round_and_not_much_larger_than_asked(rough: float) -> None:
    assert rough * 0.99 <= round_step(rough) <= rough * 2.6


def test_what_is_no_size_has_a_step_all_the_same() -> None:
    assert round_step(0.0) == round_step(inf) == 1.0
