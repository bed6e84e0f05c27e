"""What the application's log says of kills, without any telemetry set up."""

from collections.abc import Callable

import pytest

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
