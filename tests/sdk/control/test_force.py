from collections.abc import Callable

import pytest

from flipback.assignment import Reason
from flipback.control._force import VARIABLE
from projects import ROUTE, Project
from troubles import INTENT, Control


Build = Callable[..., Control]


@pytest.mark.parametrize("text", [ROUTE, "*", f"other, {ROUTE}", f"other {ROUTE}"])
def test_break_glass_forces_a_route_by_environment(
    control: Build, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    process = control()
    process.switch.refresh()
    assert process.override is Reason.FORCED


def test_break_glass_leaves_other_routes_alone(
    control: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "other")
    process = control()
    process.switch.refresh()
    assert process.override is None


@pytest.mark.parametrize("text", ["", ROUTE, "*\n", "other\nsupport\n", b"\xff\xfe"])
def test_break_glass_forces_a_route_by_a_file(
    control: Build, text: str | bytes
) -> None:
    process = control()
    sentinel = process.settings.force_control_file
    sentinel.write_bytes(text if isinstance(text, bytes) else text.encode())
    process.switch.refresh()
    assert process.override is Reason.FORCED
    sentinel.unlink()
    process.switch.refresh()
    assert process.override is None


def test_a_break_glass_file_that_cannot_be_read_means_every_route(
    control: Build,
) -> None:
    process = control()
    process.settings.force_control_file.mkdir()
    process.switch.refresh()
    assert process.override is Reason.FORCED


def test_forced_comes_before_killed(
    control: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, ROUTE)
    process = control()
    process.switch.refresh()
    process.switch.kill(ROUTE, intent=INTENT)
    process.switch.refresh()
    assert process.override is Reason.FORCED
    assert process.switch.switches[ROUTE].standing.trip == 1


def test_break_glass_works_without_ledger_and_store(
    control: Build, folder: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "*")
    folder.ledger.write_text("no ledger\nat all\n")
    folder.store.write_text("no database either, but long enough to look like one")
    process = control()
    process.switch.refresh()
    assert process.override is Reason.FORCED
