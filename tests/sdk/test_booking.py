from collections.abc import Mapping, Sequence

import pytest

from flipback.booking import LATE, NOT_POSITIVE, Booking, signals_of
from flipback.exposure import Entry
from flipback.histogram import Threshold, Thresholds
from flipback.plan import RolloutPlan
from flipback.signals import HOUR_S
from projects import PLAN


NONE: Thresholds = {}
AT = 1_000 * HOUR_S + 1.0
FROZEN = {"latency_s": Threshold(tail=1.0, cap=2.0), "cost": Threshold(1.0, 2.0)}


def plan(
    *metrics: str, table: Mapping[str, Mapping[str, object]] | None = None
) -> RolloutPlan:
    rails = [
        {"metric": name, "fails_on": "increase", "tolerance": 0.1} for name in metrics
    ]
    return RolloutPlan.model_validate(
        {**PLAN, "guardrails": rails, "metrics": table or {}}
    )


def names(entries: Sequence[Entry]) -> dict[str, float]:
    return {entry.metric: entry.value for entry in entries}


def test_a_plan_without_delays_needs_no_time_and_books_exposures_once() -> None:
    booking = Booking(plan("error"))
    assert not booking.needs_time
    assert booking.exposure(0.0) == (Entry("exposure", 0, 1.0, counts=True),)


def test_an_exposure_is_booked_for_each_delay_in_its_slice() -> None:
    table = {"paid": {"matures_after": "20d"}, "kept": {"matures_after": "2h"}}
    booking = Booking(plan("error", "paid", "kept", table=table))
    assert booking.needs_time
    assert booking.exposure(AT) == (
        Entry("exposure", 0, 1.0, counts=True),
        Entry("exposure@7200", 1_000, 1.0, counts=True),
        Entry("exposure@1728000", 1_000 // 24, 1.0, counts=True),
    )


def test_an_event_counts_subjects_of_nonzero_values_alone() -> None:
    booking = Booking(plan("error"))
    for value, counts in ((1.0, True), (0.0, False)):
        booked = booking.outcome("error", value, at=0, now=0, thresholds=NONE)
        assert booked.entries == (Entry("error", 0, value, counts=counts),)


def test_a_metric_that_the_plan_does_not_know_adds_nothing() -> None:
    booked = Booking(plan("error")).outcome("x", 1.0, at=0, now=0, thresholds=NONE)
    assert booked == ((), ())


def test_a_latency_has_its_logarithm_at_once_and_its_tail_once_it_is_frozen() -> None:
    booking = Booking(plan("latency_s"))
    before = booking.outcome("latency_s", 1.0, at=0, now=0, thresholds=NONE)
    assert names(before.entries) == {"latency_s": 1.0, "latency_s|log": 0.0}
    slow = booking.outcome("latency_s", 1.5, at=0, now=0, thresholds=FROZEN)
    quick = booking.outcome("latency_s", 1.0, at=0, now=0, thresholds=FROZEN)
    assert [e for e in slow.entries if e.metric == "latency_s|tail"] == [
        Entry("latency_s|tail", 0, 1.0, counts=True)
    ]
    assert names(quick.entries)["latency_s|tail"] == 0.0


def test_a_latency_that_is_not_positive_has_no_logarithm_and_is_counted() -> None:
    booking = Booking(plan("latency_s"))
    booked = booking.outcome("latency_s", 0.0, at=0, now=0, thresholds=NONE)
    assert (names(booked.entries), booked.excluded) == (
        {"latency_s": 0.0},
        (NOT_POSITIVE,),
    )


def test_a_heavy_tail_is_cut_off_where_control_was_frozen() -> None:
    booking = Booking(plan("cost", table={"cost": {"kind": "heavy tail"}}))
    booked = booking.outcome("cost", 9.0, at=0, now=0, thresholds=FROZEN)
    assert names(booked.entries) == {"cost": 9.0, "cost|capped": 2.0}


def test_only_what_is_weighed_by_percentiles_freezes_any() -> None:
    table = {"cost": {"kind": "heavy tail"}}
    assert Booking(plan("error", "resolved")).freezes == frozenset()
    judged = plan("latency_s", "cost", table=table)
    assert Booking(judged).freezes == {"latency_s", "cost"}


@pytest.mark.parametrize(
    ("now", "late"),
    [
        (AT, False),
        (AT + 2 * HOUR_S, False),
        (1_001 * HOUR_S + 2 * HOUR_S, False),
        (1_001 * HOUR_S + 2 * HOUR_S + 1, True),
    ],
)
def test_an_outcome_is_late_once_its_slice_has_closed(
    now: float, *, late: bool
) -> None:
    booking = Booking(plan("kept", table={"kept": {"matures_after": "2h"}}))
    booked = booking.outcome("kept", 1.0, at=AT, now=now, thresholds=NONE)
    if late:
        assert booked == ((), (LATE,))
    else:
        assert booked == ((Entry("kept@7200", 1_000, 1.0, counts=False),), ())


def test_a_component_of_two_metrics_is_kept_both_ways() -> None:
    table = {
        "ctr": {"numerator": "clicks", "denominator": "views"},
        "paid": {"sum": {"clicks": 1.0, "price": -1.0}, "matures_after": "2h"},
    }
    made = plan("ctr", "paid", table=table)
    assert made.recorded >= {"clicks", "views", "price"}
    assert [s.name for s in signals_of(made, "paid")] == ["clicks@7200", "price@7200"]
    late = Booking(made).outcome("clicks", 3.0, at=0.0, now=AT, thresholds=NONE)
    assert (names(late.entries), late.excluded) == ({"clicks": 3.0}, (LATE,))


def test_a_pair_is_booked_under_both_arms_and_as_a_difference() -> None:
    booked = Booking(plan("resolved")).pair(
        "resolved", 1.0, 0.25, at=0.0, thresholds=NONE
    )
    assert names(booked.control) == {"resolved+paired": 1.0}
    assert names(booked.candidate) == {
        "resolved+paired": 0.25,
        "resolved+difference": -0.75,
    }


def test_a_pair_of_which_one_has_no_such_measure_is_left_out() -> None:
    booked = Booking(plan("latency_s")).pair(
        "latency_s", 0.0, 1.0, at=0.0, thresholds=NONE
    )
    assert names(booked.control) == {"latency_s+paired": 0.0}
