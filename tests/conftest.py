from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from projects import CreateProject, Project, create_project


# A busy machine is no finding, and a run that failed must fail again.
settings.register_profile(
    "flipback",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("flipback")


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
