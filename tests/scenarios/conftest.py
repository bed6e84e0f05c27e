import subprocess
import sys
from collections.abc import Callable

import pytest

from projects import Project


@pytest.fixture
def run_cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a project's folder, as a person would."""

    def run(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "flipback.cli", *arguments],
            cwd=project.path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
