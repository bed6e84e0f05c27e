"""A kill that is still held is told again, and never more often than asked."""

import logging
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.control._notify import Notifier
from flipback.control._reminders import Reminder
from flipback.latch import Latch
from flipback.testing import FakeClock
from hooks import hook
from offices import LATCH, Office
from troubles import WallClock


HOUR_S = 3600
COMMAND = "flipback release support --trip 3 --reason '...'"


def reminded(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    caplog.clear()
    return said


def watch(office: Office, *notifiers: Notifier, hours: float) -> None:
    """Let time pass in steps of a minute."""
    for _ in range(round(hours * 60)):
        office.clock.advance(60)
        for notifier in notifiers:
            notifier.remind([LATCH])
            notifier.deliver()


def test_a_held_kill_is_in_the_log_each_hour_also_where_nobody_is_told(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = office.notifier()
    watch(office, notifier, hours=0.9)
    assert not reminded(caplog)
    watch(office, notifier, hours=2.5)
    first, second, third = reminded(caplog)
    assert COMMAND in first
    assert first == second == third
    assert "held since 2026-01-01T00:00:00+00:00 by trip 3" in first


def test_several_processes_remind_people_once_per_period_of_their_way(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    with hook() as often, hook() as seldom, hook() as never:
        ways = (
            {"webhook": often.address, "remind": "30m"},
            {"webhook": seldom.address, "remind": "2h"},
            {"webhook": never.address, "on": ["trip"]},
        )
        first, second = office.notifier(*ways), office.notifier(*ways)
        watch(office, first, second, hours=4.1)
    assert len(often.arrived) == 8
    assert len(seldom.arrived) == 2
    assert not never.tried
    assert seldom.arrived[0]["event"] == "held"
    assert seldom.arrived[0]["release"] == COMMAND
    assert len(reminded(caplog)) == 16


def test_who_is_released_is_forgotten_and_a_new_trip_counts_anew() -> None:
    clock = FakeClock()
    reminder = Reminder(timedelta(hours=1), clock)
    clock.advance(1.5 * HOUR_S)
    assert [latch for latch, _ in reminder.due([LATCH])] == [LATCH]
    assert not reminder.due([])
    again = Latch(route="support", trip=4, held=True, at=clock.now().isoformat())
    assert not reminder.due([again])
    clock.advance(HOUR_S)
    assert [latch for latch, _ in reminder.due([again])] == [again]


@pytest.mark.parametrize("at", ["", "garbage", "9999-12-31", "0001-01-01", "12:00"])
def test_a_time_that_is_garbage_silences_nobody(at: str) -> None:
    clock = FakeClock()
    reminder = Reminder(timedelta(hours=1), clock)
    latch = Latch(route="support", trip=1, held=True, at=at)
    told = 0
    for _ in range(5 * 60):
        told += len(reminder.due([latch]))
        clock.advance(60)
    assert told in {4, 5}


@given(st.lists(st.integers(-10_000, 10_000), max_size=20))
def test_a_clock_that_jumps_reminds_once_a_jump_and_goes_on(jumps: list[int]) -> None:
    clock = WallClock()
    reminder = Reminder(timedelta(hours=1), clock)
    latch = Latch(route="support", trip=1, held=True, at=clock.now().isoformat())
    for minutes in jumps:
        clock.turn(timedelta(minutes=minutes))
        assert len(reminder.due([latch])) <= 1
        assert not reminder.due([latch])


def test_a_latch_of_a_cohort_names_it_and_is_freed_by_its_own_name(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = office.notifier()
    office.clock.advance(2 * HOUR_S)
    cohort = Latch(route="support[plan=free]", trip=1, held=True, at=LATCH.at)
    notifier.remind([LATCH, cohort])
    _, said = reminded(caplog)
    assert said.startswith("Route support still serves plan=free control")
    assert "flipback release 'support[plan=free]' --trip 1" in said


def test_reminding_of_garbage_is_never_raised(office: Office) -> None:
    notifier = office.notifier()
    notifier.remind([None])  # type: ignore[list-item] # garbage
    assert office.faults.counts()
