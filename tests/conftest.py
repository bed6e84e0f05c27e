from collections.abc import Mapping
from pathlib import Path

import pytest
from projects import CreateProject, Project, create_project


@pytest.fixture
def project(tmp_path: Path) -> CreateProject:
    """Write a project on disk: `project(plan=..., split=..., guard={...})`.

    See `projects.create_project` for the arguments.
    """

    def create(
        *,
        plan: Mapping[str, object] | str | None = None,
        split: Mapping[str, int] | None = None,
        **toml: object,
    ) -> Project:
        return create_project(tmp_path / "project", plan=plan, split=split, **toml)

    return create
