import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.signals import EXPOSURE, HOUR_S, Measure, Part, Signal


DAY_S = 24 * HOUR_S
MONTH_S = 30 * DAY_S
TIMES = st.floats(0, 4e9)
DELAYS = st.integers(1, 400 * DAY_S)


@pytest.mark.parametrize(
    ("signal", "name"),
    [
        (Signal("resolved"), "resolved"),
        (Signal("latency_s", Measure.TAIL), "latency_s|tail"),
        (Signal("paid", matures_after_s=60), "paid@60"),
        (Signal("cost", Measure.CAPPED, 60, Part.PAIRED), "cost|capped@60+paired"),
        (Signal(EXPOSURE, part=Part.DIFFERENCE), "exposure+difference"),
    ],
)
def test_a_plain_signal_has_its_metrics_name_and_others_say_what_they_are(
    signal: Signal, name: str
) -> None:
    assert signal.name == name


def test_no_two_signals_share_a_name() -> None:
    signals = [
        Signal(metric, measure, delay, part)
        for metric in ("a", "b")
        for measure in Measure
        for delay in (0, 60)
        for part in Part
    ]
    assert len({signal.name for signal in signals}) == len(signals)


@pytest.mark.parametrize(
    ("delay", "step"), [(0, HOUR_S), (60, HOUR_S), (MONTH_S, MONTH_S // 20)]
)
def test_a_slice_is_a_twentieth_of_the_delay_and_an_hour_at_least(
    delay: int, step: int
) -> None:
    assert Signal("m", matures_after_s=delay).step_s == step


@given(TIMES, TIMES)
def test_what_counts_at_once_has_one_slice_and_is_never_late(
    at: float, now: float
) -> None:
    signal = Signal("m")
    piece = signal.slice_at(at)
    assert (piece, signal.is_mature(piece, now=now)) == (0, True)
    assert not signal.is_late(piece, now=now)


@given(TIMES, DELAYS, st.floats(0, 1))
def test_an_outcome_in_time_is_never_late_whenever_in_its_slice_the_exposure_was(
    at: float, delay: int, part: float
) -> None:
    signal = Signal("m", matures_after_s=delay)
    assert not signal.is_late(signal.slice_at(at), now=at + part * delay)


@given(TIMES, DELAYS, TIMES)
def test_nothing_that_is_taken_can_come_into_a_slice_that_is_mature(
    at: float, delay: int, now: float
) -> None:
    signal = Signal("m", matures_after_s=delay)
    piece = signal.slice_at(at)
    if signal.is_mature(piece, now=now):
        assert signal.is_late(piece, now=now)
