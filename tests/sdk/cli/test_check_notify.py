"""`flipback check` names what the environment lacks to tell people."""

import pytest

from flipback.cli import ExitCode
from shells import Project


CONFIG = """
    [[notify]]
    webhook_from = "HOOK"
"""
SAID = "flipback.toml: [notify[1]] webhook_from: the environment variable HOOK is not"


def test_a_variable_that_is_not_set_is_a_mistake(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    project.write("flipback.toml", CONFIG)
    said = project.run("check")
    assert said.code == ExitCode.MISTAKES
    assert SAID in said.out


def test_offline_it_is_mentioned_as_no_service_is_asked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    project.write("flipback.toml", CONFIG)
    said = project.run("check", "--offline")
    assert said.code == ExitCode.OK
    assert f"note: {SAID}" in said.out


def test_a_variable_that_is_set_is_not_shown(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "https://hooks.example/T0SECRET")
    project.write("flipback.toml", CONFIG)
    said = project.run("check")
    assert said.code == ExitCode.OK
    assert "T0SECRET" not in said.out + said.err
