"""People are told, whatever becomes of the store, the receiver and the process."""

import logging
import socket
import subprocess
import sys
import threading
from itertools import pairwise

import pytest
from typing_extensions import override

from flipback.config import NotifyOn
from flipback.control import SystemClock, _notify, _ways
from flipback.control._told import Told
from flipback.ports import Notice
from hooks import hook
from offices import LATCH, TRIP, Office, is_busy, told
from troubles import until


def test_a_trip_arrives_with_all_that_a_chat_and_a_program_need(office: Office) -> None:
    with hook() as receiver:
        notifier = office.notifier(receiver.address)
        notifier.tell(TRIP)
        notifier.deliver()
        notifier.deliver()
    (told,) = receiver.arrived
    command = "flipback release support --trip 3 --reason '...'"
    assert told.pop("text") == (
        "Route support serves control: rolled back by guardrail evaluator (trip 3): "
        f"resolved fell; to end it: {command}"
    )
    assert told == {
        "event": "trip",
        "route": "support",
        "at": LATCH.at,
        "trip": 3,
        "actor": "guardrail evaluator",
        "reason": "resolved fell",
        "release": command,
        "automatic": True,
        "findings": None,
        "host": socket.gethostname(),
        "config": "/app/flipback.toml",
    }
    assert receiver.headers["Content-Type"].startswith("application/json")
    assert not office.pending


@pytest.mark.usefixtures("hurried")
def test_a_receiver_that_fails_in_every_way_is_told_once_when_it_is_back(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    with hook(500, "hang", "reset", "drip", 404) as receiver:
        notifier = office.notifier(receiver.address)
        notifier.tell(TRIP)
        notifier.deliver()
        for _ in range(7):
            office.later(notifier)
    assert (len(receiver.tried), len(receiver.arrived)) == (6, 1)
    assert "[[notify]][1] (127.0.0.1) could not be told: answered 500" in caplog.text


def test_a_failing_way_is_tried_again_after_ever_longer_pauses(office: Office) -> None:
    with hook(*[500] * 100) as receiver:
        notifier = office.notifier(receiver.address)
        notifier.tell(TRIP)
        tried: list[int] = []
        for second in range(1300):
            if len(tried) < len(receiver.tried):
                tried.append(second)
            if (
                not second
                or office.pending[0].next_at <= office.clock.now().timestamp()
            ):
                notifier.deliver()
            office.clock.advance(1)
    pauses = [later - sooner for sooner, later in pairwise(tried)]
    assert pauses[:4] == [2, 4, 8, 16]
    assert len(receiver.tried) == 10


def test_several_processes_tell_the_same_thing_once(office: Office) -> None:
    with hook() as receiver:
        notifiers = [office.notifier(receiver.address) for _ in range(3)]
        for notifier in notifiers:
            notifier.tell(TRIP)
        threads = [threading.Thread(target=each.deliver) for each in notifiers * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert until(lambda: not office.pending)
        for notifier in notifiers:
            office.later(notifier)
    assert len(receiver.tried) == 1


def test_what_one_process_told_last_is_sent_by_another(office: Office) -> None:
    with hook() as receiver:
        short = office.notifier(receiver.address, delivers=False)
        short.tell(TRIP)
        short.deliver()
        short.stop()
        assert not receiver.tried
        office.notifier(receiver.address).deliver()
    assert len(receiver.arrived) == 1


@pytest.mark.parametrize("trouble", ["down", "refuses", "has_no_lease"])
def test_a_store_that_is_down_delays_no_trip_and_doubles_none(
    office: Office, trouble: str
) -> None:
    with hook() as receiver:
        notifier = office.notifier(receiver.address)
        setattr(office.store, trouble, True)
        notifier.tell(TRIP)
        notifier.deliver()
        assert len(receiver.arrived) == 1
        office.later(notifier)
        setattr(office.store, trouble, False)
        office.later(notifier)
        other = office.notifier(receiver.address)
        other.tell(TRIP)
        office.later(other)
        office.later(notifier)
    assert len(receiver.tried) == 1


def test_what_fails_while_the_store_is_down_is_tried_again_from_memory(
    office: Office,
) -> None:
    with hook(500, 500) as receiver:
        notifier = office.notifier(receiver.address)
        office.store.down = True
        notifier.tell(TRIP)
        notifier.deliver()
        notifier.deliver()
        assert len(receiver.tried) == 1
        office.later(notifier)
        office.store.down = False
        office.later(notifier)
    assert (len(receiver.tried), len(receiver.arrived)) == (3, 1)


KILLED = """
import os, signal, sys
from pathlib import Path
from flipback.config import NotifySettings
from flipback.control import SystemClock
from flipback.control._notify import Notifier
from flipback.routing import Faults
from flipback.stores import SqliteStore

class Store(SqliteStore):
    def settle(self, notice_id, *, retry_at):
        os.kill(os.getpid(), signal.SIGKILL)

clock = SystemClock()
store = Store(Path(sys.argv[1]), clock=clock)
Notifier([NotifySettings(webhook=sys.argv[2])], environ={}, outbox=store,
         leases=store, faults=Faults(), clock=clock).deliver()
"""


def test_a_kill_9_between_sending_and_settling_tells_twice_and_not_never(
    office: Office,
) -> None:
    with hook() as receiver:
        notifier = office.notifier(receiver.address)
        teller = office.notifier(receiver.address, delivers=False)
        teller.tell(TRIP)
        teller.deliver()
        ended = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", KILLED, office.path, receiver.address],
            check=False,
            timeout=30,
        )
        assert ended.returncode == -9
        assert len(receiver.arrived) == 1
        machine = SystemClock().now().timestamp()
        office.clock.advance(machine - office.clock.now().timestamp() + 60)
        notifier.deliver()
        office.later(notifier)
    assert len(receiver.arrived) == 2
    assert receiver.arrived[0] == receiver.arrived[1]


@pytest.mark.usefixtures("hurried")
def test_a_slow_receiver_holds_up_neither_the_others_nor_the_caller(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ways, "WEBHOOK_TIMEOUT_S", 60.0)
    monkeypatch.setattr(_notify, "_PATIENCE_S", 0.05)
    with hook("hang") as slow, hook() as quick:
        notifier = office.notifier(slow.address, quick.address)
        notifier.tell(TRIP)
        notifier.deliver()
        assert len(quick.arrived) == 1
        notifier.tell(told("second"))
        notifier.deliver()
        assert len(quick.arrived) == 2
        assert len(slow.tried) == 1
        slow.ends.set()
        assert until(lambda: not is_busy())
        office.later(notifier)
        office.later(notifier)
    assert {each["text"] for each in slow.arrived} == {
        TRIP.text,
        "second",
    }


def test_ways_are_told_what_they_ask_for(office: Office) -> None:
    with hook() as receiver:
        way = {"webhook": receiver.address, "on": ["advance"]}
        notifier = office.notifier(way)
        notifier.tell(TRIP)
        notifier.tell(told("stage 2", NotifyOn.ADVANCE))
        notifier.deliver()
    assert [each["event"] for each in receiver.arrived] == ["advance"]


def test_after_three_days_the_log_says_what_was_not_told(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    closed = "http://127.0.0.1:1/"
    notifier = office.notifier(closed)
    notifier.tell(TRIP)
    notifier.deliver()
    office.clock.advance(4 * 86400)
    notifier.deliver()
    assert office.pending, "a clock that jumps is no age"
    for _ in range(20):
        office.later(notifier)
    (said,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert f"[[notify]][1] (127.0.0.1) was never told, given up: {TRIP.text}" in (
        said.getMessage()
    )
    assert not office.pending


def test_a_way_that_is_configured_no_more_is_given_up_in_the_end(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    with hook() as receiver:
        before = office.notifier(receiver.address, receiver.address, delivers=False)
        before.tell(TRIP)
        before.deliver()
        after = office.notifier(receiver.address)
        after.deliver()
        assert len(office.pending) == 1
        office.clock.advance(4 * 86400)
        after.deliver()
    assert not office.pending
    assert "[[notify]][2] was never told" in caplog.text


def test_stopping_tells_what_is_due_and_waits_for_nobody(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_notify, "STOP_S", 0.2)
    with hook("hang") as slow, hook() as quick:
        notifier = office.notifier(slow.address, quick.address)
        notifier.tell(TRIP)
        notifier.stop()
        assert len(quick.arrived) == 1
    office.store.down = True
    assert until(lambda: not is_busy())


def test_who_stops_leaves_the_sending_to_others_at_once(office: Office) -> None:
    with hook() as receiver:
        first, second = (office.notifier(receiver.address) for _ in range(2))
        first.tell(TRIP)
        first.stop()
        second.tell(told("second"))
        second.deliver()
    assert len(receiver.arrived) == 2


def test_a_forked_child_tells_nothing_of_its_parent(office: Office) -> None:
    with hook() as receiver:
        notifier = office.notifier(receiver.address)
        notifier.tell(TRIP)
        notifier.after_fork()
        notifier.deliver()
        assert not receiver.tried
        notifier.tell(TRIP)
        notifier.deliver()
    assert len(receiver.arrived) == 1


def test_a_store_that_stays_down_does_not_fill_the_memory(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_notify, "MOST_WAITING", 3)
    with hook(500) as receiver:
        notifier = office.notifier(receiver.address)
        office.store.down = True
        for number in range(5):
            notifier.tell(told(f"early {number}"))
        assert "3 notices wait" in str(office.faults.details())
        for _ in range(4):
            office.later(notifier)
        for number in range(5):
            notifier.tell(told(f"late {number}"))
        office.later(notifier)
    texts = [each["text"] for each in receiver.arrived]
    assert sorted(texts) == [
        *(f"early {n}" for n in range(3)),
        *(f"late {n}" for n in range(3)),
    ]


class Broken:
    """An object that cannot even be shown."""

    @override
    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "garbage",
    [
        told("\ud800 \x00\n\x1b[31m"),
        told("x", nan=float("nan"), big=10**5000),
        told("y", text="not the text", broken=Broken()),
        Told(event=NotifyOn.TRIP, route="\ud800", key="\ud800", text="z" * 99_999),
        None,
    ],
)
def test_garbage_is_told_or_counted_and_never_raised(
    office: Office, garbage: Told
) -> None:
    with hook() as receiver:
        notifier = office.notifier(receiver.address)
        notifier.tell(garbage)
        notifier.tell(TRIP)
        notifier.deliver()
    assert TRIP.text in [each["text"] for each in receiver.arrived]


def test_a_fact_that_is_no_number_is_told_as_nothing(office: Office) -> None:
    with hook() as receiver:
        notifier = office.notifier(receiver.address)
        notifier.tell(told("one\ntwo", weight=float("inf"), text="other"))
        notifier.deliver()
    (only,) = receiver.arrived
    assert (only["weight"], only["text"]) == (None, "one two")


def test_without_any_way_nothing_is_written(office: Office) -> None:
    notifier = office.notifier()
    office.store.down = True
    notifier.tell(TRIP)
    notifier.deliver()
    notifier.stop()
    assert not office.faults.counts()


def test_a_clock_set_back_delays_no_second_try(office: Office) -> None:
    with hook() as receiver:
        notifier = office.notifier(receiver.address)
        ahead = office.clock.now().timestamp() + 86_400
        body = '{"text": "late"}'
        notice = Notice(
            id="n",
            target=0,
            event="trip",
            route="r",
            at=ahead,
            body=body,
            next_at=ahead,
        )
        office.store.post(notice)
        notifier.deliver()
    assert len(receiver.arrived) == 1
