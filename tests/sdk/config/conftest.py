from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest


PLAN = """
    route = "summarizer"
    flag = "summarizer-model"
    control = "v1"
    candidate = "v2"
    [cohorts]
    plan = ["free", "enterprise"]
    [[stages]]
    weight = 1
    [[stages]]
    weight = 25
    [[guardrails]]
    metric = "error"
    fails_on = "increase"
    tolerance = 0.2
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file of a project that is the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text))
        return path

    return write


@pytest.fixture
def config(write: Write) -> Path:
    """Return a correct configuration with one plan in `rollouts`."""
    write("rollouts/summarizer.toml", PLAN)
    return write("flipback.toml", "")


@pytest.fixture
def plan_text() -> str:
    return dedent(PLAN)
