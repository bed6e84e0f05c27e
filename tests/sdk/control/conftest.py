import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flipback.control import _ways
from offices import Office
from projects import CreateProject, Project
from troubles import Control


@pytest.fixture
def folder(project: CreateProject) -> Project:
    """Return a project on disk whose flag splits half and half."""
    return project()


@pytest.fixture
def control(folder: Project) -> Iterator[Callable[..., Control]]:
    """Build the control part of one more process; see `Control` for arguments."""
    built: list[Control] = []

    def build(**parts: object) -> Control:
        built.append(Control(folder, **parts))  # type: ignore[arg-type]  # passed on
        return built[-1]

    yield build
    for each in built:
        each.close()


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Return processes that tell people things, without any proxy in between."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    office = Office(tmp_path / "flipback.db")
    yield office
    office.store.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody be waited for longer than a moment."""
    monkeypatch.setattr(_ways, "WEBHOOK_TIMEOUT_S", 0.1)
    monkeypatch.setattr(_ways, "COMMAND_TIMEOUT_S", 0.3)
