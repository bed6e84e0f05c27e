import json
from math import exp, inf, isfinite, log, pi, sqrt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from flipback.stats import half_width, normal_mixture


Vector = dict[str, Any]  # as read from JSON

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())


def integrated(score: float, info: float, mei: float) -> float:
    """Mix the likelihood ratios over a half-normal by adaptive quadrature."""
    rate = info + mei**-2  # of the parabola in the exponent
    peak = max(0.0, score / rate)
    height = score * peak / 2
    below = peak - score / rate

    def scaled(theta: float) -> float:
        away = theta - peak
        return exp(-rate * away * (away + 2 * below) / 2)

    width = 1 / sqrt(rate) / max(1.0, -score / sqrt(rate))
    low, high = max(0.0, peak - 40 * width), peak + 40 * width
    area, _ = quad(scaled, low, high, points=[peak], epsabs=0, epsrel=1e-10, limit=500)
    return log(area) + height + log(2 / (mei * sqrt(2 * pi)))


@pytest.mark.parametrize("vector", VECTORS["normal_mixture"])
def test_reference_values_are_met(vector: Vector) -> None:
    log_e = normal_mixture(vector["score"], vector["info"], mei=vector["mei"])
    assert log_e == pytest.approx(vector["log_e"], rel=1e-9)


@pytest.mark.parametrize(
    ("score", "info", "mei"),
    [
        (0, 0, 1),
        (3, 0, 1),
        (5, 9, 0.5),
        (-5, 9, 0.5),
        (40, 100, 0.1),
        (-60, 100, 1),
        (-1e4 * 10, 100, 1),
        (-1e4 * 1e3, 1e6, 0.02),
        (-31 * 1e3, 1e6, 1),
        (1e4 * 1e3, 1e6, 0.02),
        (1e6, 1e4, 1e-3),
        (1e-6, 1e-9, 1e3),
        (7.66, 7.66, 1),
    ],
)
def test_the_closed_form_is_the_integral(score: float, info: float, mei: float) -> None:
    expected = integrated(score, info, mei)
    assert normal_mixture(score, info, mei=mei) == pytest.approx(expected, rel=1e-9)


def test_far_in_the_tail_the_answer_is_small_and_finite() -> None:
    log_e = normal_mixture(-1e4 * sqrt(1e6), 1e6, mei=1)
    # log E = 1/2 log(4 rho / v) - log(-z sqrt(2 pi)), nearly
    assert log_e == pytest.approx(log(2 / 1e3) - log(1e4 * sqrt(2 * pi)), abs=1e-5)


@pytest.mark.parametrize("z", [-29.999_999, -30.000_001])
def test_the_two_forms_of_the_tail_meet(z: float) -> None:
    def at(point: float) -> float:
        return normal_mixture(point * sqrt(2), 1, mei=1)

    assert at(z) == pytest.approx(at(-30), abs=1e-7)


def test_no_information_is_no_evidence() -> None:
    assert normal_mixture(0, 0, mei=0.1) == 0


@given(score=st.floats(-1e12, 1e12), info=st.floats(0, 1e12), mei=st.floats(1e-6, 1e6))
def test_it_is_finite_and_rises_with_the_score(
    score: float, info: float, mei: float
) -> None:
    log_e = normal_mixture(score, info, mei=mei)
    assert isfinite(log_e)
    assert normal_mixture(score + abs(score) + 1, info, mei=mei) >= log_e


@given(
    score=st.floats(-1e3, 1e3), info=st.floats(1e-3, 1e6), scale=st.floats(1e-6, 1e6)
)
def test_the_unit_of_the_metric_does_not_matter(
    score: float, info: float, scale: float
) -> None:
    rescaled = normal_mixture(score / scale, info / scale**2, mei=0.1 * scale)
    assert rescaled == pytest.approx(normal_mixture(score, info, mei=0.1), abs=1e-6)


@given(
    info=st.floats(1e-6, 1e9),
    mei=st.floats(1e-4, 1e4),
    log_threshold=st.floats(log(10), 40),
)
def test_the_interval_ends_exactly_where_rejection_begins(
    info: float, mei: float, log_threshold: float
) -> None:
    away = half_width(info, mei=mei, log_threshold=log_threshold)
    assert 0 < away < inf
    at_the_end = normal_mixture(away * info, info, mei=mei)
    assert at_the_end == pytest.approx(log_threshold, rel=1e-9)


ANY_SIZE = st.floats(0, 1e300) | st.sampled_from([5e-324, 1e-300, 1e300])


@given(score=st.floats(), info=ANY_SIZE, mei=ANY_SIZE)
def test_no_numbers_make_it_raise(score: float, info: float, mei: float) -> None:
    log_e = normal_mixture(score, info, mei=mei)
    assert isfinite(log_e) or not abs(score) < 1e150 or info > 1e150 or mei > 1e150


@given(info=ANY_SIZE, mei=ANY_SIZE.filter(lambda mei: 0 < mei <= 1e150))
def test_an_interval_of_any_size_is_not_negative(info: float, mei: float) -> None:
    assert half_width(info, mei=mei, log_threshold=log(40)) >= 0


def test_without_information_nothing_is_bounded() -> None:
    assert half_width(0, mei=0.1, log_threshold=log(40)) == inf
