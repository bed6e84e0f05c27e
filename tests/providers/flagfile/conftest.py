import json
from pathlib import Path

import pytest

from flagfiles import DOCUMENT
from flipback.testing import FakeClock
from flipback_providers.flagfile import FlagFileWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flags.json"
    path.write_text(json.dumps(DOCUMENT, indent=4))
    return path


@pytest.fixture
def writer(path: Path) -> FlagFileWriter:
    return FlagFileWriter(path, clock=FakeClock(), patience_s=0)
