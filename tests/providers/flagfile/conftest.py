import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cohort_flags import Served
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


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    bench = Served(tmp_path_factory.mktemp("cohorts") / "flags.json")
    yield bench
    bench.provider.shutdown()
