from collections.abc import Callable, Iterator

import pytest

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
