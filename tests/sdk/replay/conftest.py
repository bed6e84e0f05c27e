from pathlib import Path

import pytest

from flipback.replay import Replay
from logs import Bench, hashed, plan_of


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, Replay(plan=plan_of(), subject=hashed))
