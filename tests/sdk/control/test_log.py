"""What the application's log says of kills, without any telemetry set up."""

import logging
from collections.abc import Callable

import pytest

from flipback.control._telling import DRILL_ROUTE, tell_of_latch, tell_of_moves
from flipback.latch import Latch
from flipback.ports import EntryKind, LedgerNote
from flipback.rollout import RolloutRecord
from projects import ROUTE
from troubles import INTENT, Control


Build = Callable[..., Control]


def test_a_kill_is_in_the_log_of_every_process_with_the_command_that_ends_it(
    control: Build, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = control(), control()
    here.switch.kill(ROUTE, intent=INTENT)
    caplog.clear()
    there.switch.refresh()
    there.switch.refresh()
    (said,) = [r.getMessage() for r in caplog.records if "control serves" in r.msg]
    assert f"flipback release {ROUTE} --trip 1" in said


def test_a_release_is_in_the_log(
    control: Build, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = control(), control()
    here.switch.kill(ROUTE, intent=INTENT)
    there.switch.refresh()
    here.release(1)
    there.switch.refresh()
    assert "trip 1 released by ada: fixed" in caplog.text


def test_a_misspelled_route_in_break_glass_is_said_once(
    control: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FLIPBACK_FORCE_CONTROL", "suport")
    process = control()
    process.switch.refresh()
    process.switch.refresh()
    assert caplog.text.count("'suport' is forced to control") == 1
    assert "did you mean `support`" in caplog.text


def test_a_drill_is_logged_as_one_and_asks_nobody_to_end_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "flipback")
    held = Latch(route=DRILL_ROUTE, trip=1, held=True, actor="ada")
    tell_of_latch(Latch(route=DRILL_ROUTE), held)
    tell_of_latch(held, held.released(1, reason="over", actor="ada", at=""))
    tell_of_moves({}, {DRILL_ROUTE: RolloutRecord(route=DRILL_ROUTE, revision=1)})
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "drill of ada, trip 1: control serves"),
        ("INFO", "drill of ada, trip 1: over"),
    ]


def test_a_rollout_that_the_store_has_lost_is_in_the_log_once(
    control: Build, caplog: pytest.LogCaptureFixture
) -> None:
    process = control()
    process.ground.ledger.note(
        LedgerNote(kind=EntryKind.START, route=ROUTE, at="today", text="", attempt=3)
    )
    process.switch.refresh()
    process.switch.resume()
    process.switch.resume()
    assert caplog.text.count("the ledger has attempt 3 under way since today") == 1
