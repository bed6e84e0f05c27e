from pathlib import Path

import pytest

from shells import Project


@pytest.fixture
def project(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Project:
    """Return a project without mistakes; it is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLIPBACK_CONFIG", raising=False)
    monkeypatch.delenv("FLIPBACK_FORCE_CONTROL", raising=False)
    made = Project(tmp_path, capsys)
    made.write("flipback.toml", "")
    made.plan("summarizer")
    made.flag("summarizer-model", v1="v1", v2="v2")
    return made
