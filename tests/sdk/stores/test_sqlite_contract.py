from collections.abc import Iterator
from pathlib import Path

import pytest

from flipback.ports import Store
from flipback.stores import open_sqlite
from flipback.testing import FakeClock, StoreContract


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    opened = open_sqlite("evidence.db", base=str(tmp_path), clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def other(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    opened = open_sqlite("evidence.db", base=str(tmp_path), clock=clock)
    yield opened
    opened.close()


class TestSqliteStore(StoreContract):
    """Everything that a store promises, of the embedded one."""
