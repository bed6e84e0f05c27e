"""How long a flush takes, and the folding before it; what a cell costs in memory."""

import random
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from flipback.assignment import Assignment, Reason, Role
from flipback.exposure import Batch, Cell, CellKey
from flipback.latch import Latch
from flipback.plan import RolloutPlan
from flipback.ports import Intent
from flipback.routing import Recorder
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
FOLDS = 10
PLAN = RolloutPlan.model_validate(
    {
        "route": ROUTE,
        "flag": "f",
        "control": "control",
        "candidate": "candidate",
        "stages": [{"weight": 50}],
        "guardrails": [
            {"metric": "error", "fails_on": "increase", "tolerance": 0.2},
            {"metric": "latency_s", "fails_on": "increase", "tolerance": 0.2},
        ],
    }
)
CALL = Assignment(
    variant="candidate",
    role=Role.CANDIDATE,
    flag_key="f",
    flag_version="1",
    rule="default",
    randomized=True,
    reason=Reason.SPLIT,
    provider="p",
    epoch=EPOCH.digest,
    attempt=1,
    stage=0,
    cohorts=("plan=free",),
    subject=0,
    decision_id="0",
)


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
        f"folding of {OUTCOMES:,} calls with error and latency": (
            f"{statistics.median(_folds()):.1f} ms, in the thread that flushes"
        ),
        "memory of an active cell": f"{_bytes_per_cell():,.0f} bytes (target 2,000)",
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


def _folds() -> list[float]:
    """Return how long it takes to fold as many calls as a flush brings."""
    recorder = Recorder(
        writer="w", plans={ROUTE: PLAN}, due=lambda _: None, clock=FakeClock()
    )
    recorder.opened(EPOCH)
    times: list[float] = []
    for _ in range(FOLDS):
        for number in range(OUTCOMES):
            served = CALL._replace(subject=number)
            recorder.expose(ROUTE, served)
            recorder.settle(ROUTE, served, {"error": 0.0, "latency_s": 0.25})
        times.append(_ms(recorder.fold))
    return times


def _bytes_per_cell() -> float:
    tracemalloc.start()
    try:
        cells = {key(f"metric-{number}"): Cell() for number in range(OUTCOMES)}
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return used / len(cells)


def _kill(ledger: FileLedger, number: int) -> None:
    intent = Intent(id=f"i{number}", actor="ada", reason="broken")
    ledger.kill(ROUTE, intent=intent, at="", floor=Latch(route=ROUTE))


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    sys.stdout.write(main() + "\n")
