from pathlib import Path

import pytest

from flipback.stores import FileLedger
from flipback.testing import FakeClock, LedgerContract


@pytest.fixture
def ledger(tmp_path: Path) -> FileLedger:
    return FileLedger(tmp_path / "ledger.jsonl", FakeClock())


@pytest.fixture
def again(tmp_path: Path) -> FileLedger:
    return FileLedger(tmp_path / "ledger.jsonl", FakeClock())


class TestFileLedger(LedgerContract):
    """Everything that a ledger promises, of the one in a file."""
