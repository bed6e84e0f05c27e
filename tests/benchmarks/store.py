"""How long a flush of 10,000 outcomes takes, and a poll of an unchanged latch."""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flipback.exposure import Batch, Cell, CellKey
from flipback.latch import Latch
from flipback.ports import Intent
from flipback.stores import FileLedger, SqliteStore
from flipback.testing import FakeClock
from flipback.testing.evidence import EPOCH, ROUTE, key


OUTCOMES = 10_000
COHORTS = ("", *(f"plan=p{number}" for number in range(9)))
METRICS = ("exposure", "error", "latency_s", "cost")
CELLS = [key(metric, cohort=cohort) for metric in METRICS for cohort in COHORTS]
REPEATS = 30
POLLS = 2_000
TARGET_MS = 50


def main() -> str:
    """Measure and return one line per figure."""
    numbers = random.Random(1)  # noqa: S311 - not a secret
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder, "x.db"), clock=FakeClock())
        batches = [_batch(sequence, numbers) for sequence in range(1, REPEATS + 1)]
        flushes = [_ms(lambda each=each: store.flush(each)) for each in batches]
        poll = _ms(lambda: [store.latches() for _ in range(POLLS)])
        store.close()
        ledger = FileLedger(Path(folder, "ledger.jsonl"), FakeClock())
        appends = [
            _ms(lambda each=each: _kill(ledger, each)) for each in range(REPEATS)
        ]
        look = _ms(lambda: [ledger.latches() for _ in range(POLLS)])
    figures = {
        f"flush of {OUTCOMES:,} outcomes, {len(CELLS)} cells, all subjects new": (
            f"{statistics.median(flushes):.1f} ms (target {TARGET_MS} ms), "
            f"slowest of {REPEATS}, which thins the sample: {max(flushes):.1f} ms"
        ),
        "poll of the store's latches": f"{1000 * poll / POLLS:.1f} us",
        "kill in the ledger": f"{statistics.median(appends):.1f} ms",
        "poll of an unchanged ledger": f"{1000 * look / POLLS:.1f} us",
    }
    return "\n".join(f"{what}: {figure}" for what, figure in figures.items())


def _batch(sequence: int, numbers: random.Random) -> Batch:
    cells: dict[CellKey, Cell] = {each: Cell() for each in CELLS}
    subjects: dict[CellKey, set[int]] = {}
    for place in range(OUTCOMES):
        booked = CELLS[place % len(CELLS)]
        subject = numbers.getrandbits(64)
        cells[booked].add(subject % 64, numbers.gauss())
        subjects.setdefault(booked, set()).add(subject)
    return Batch(
        writer="w",
        sequence=sequence,
        epochs={EPOCH.digest: EPOCH},
        cells=cells,
        subjects=subjects,
    )


def _kill(ledger: FileLedger, number: int) -> None:
    intent = Intent(id=f"i{number}", actor="ada", reason="broken")
    ledger.kill(ROUTE, intent=intent, at="", floor=Latch(route=ROUTE))


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    sys.stdout.write(main() + "\n")
