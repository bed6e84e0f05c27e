"""Scenarios of several processes, run by the tests as `children.py SCENARIO PATH`.

A program of its own, because it forks: the process that runs the tests may have
threads. Each scenario prints what it saw as JSON.
"""

import functools
import json
import os
import resource
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from flipback.errors import LedgerError, StoreError
from flipback.exposure import Batch, Cell, CellKey
from flipback.latch import Latch
from flipback.ports import EntryKind, Intent, LedgerNote, Store
from flipback.stores import FileLedger, open_sqlite
from flipback.stores._connection import FORK_WAIT_S, Connection
from flipback.testing import FakeClock, course, mirror, outbox
from flipback.testing.evidence import ROUTE, batch, cell, key


COHORTS = 40
METRICS = [f"m{number}" for number in range(COHORTS)]
AT = "2026-01-01T00:00:00Z"


class Deadly(dict[CellKey, Cell]):
    """Cells that kill the process when so many of them have been booked."""

    def __init__(self, cells: dict[CellKey, Cell], *, after: int) -> None:
        super().__init__(cells)
        self._after = after

    @override
    def items(self) -> Iterator[tuple[CellKey, Cell]]:  # type: ignore[override]
        for place, item in enumerate(super().items()):
            if place == self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            yield item


def full_batch(sequence: int, *, writer: str) -> Batch:
    cells = {key(metric): cell([1, 0, 1]) for metric in METRICS}
    hashes = {key(): {hash((writer, sequence)) % 2**64}}
    return batch(sequence, writer=writer, cells=cells, subjects=hashes)


def open_store(path: str) -> Store:
    return open_sqlite(path, base="", clock=FakeClock())


def child(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:  # noqa: BLE001 - a child must never return
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def reap(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def totals(store: Store) -> dict[str, object]:
    observed = store.evidence(ROUTE, attempt=1, trip=0)
    return {
        "n": sorted({each.total_n for each in observed.cells.values()}),
        "cells": len(observed.cells),
        "subjects": sum(observed.subjects.values()),
    }


def killed_in_a_flush(path: str) -> dict[str, object]:
    """Be killed inside of a flush, after each of some numbers of cells; then retry."""
    store = open_store(path)
    exits: list[int] = []
    retried: list[bool] = []
    for sequence, after in enumerate(range(0, COHORTS, 4), start=1):
        whole = full_batch(sequence, writer="w")
        torn = full_batch(sequence, writer="w")
        torn.cells = Deadly(whole.cells, after=after)
        exits.append(reap(child(lambda torn=torn: flush_in_child(path, torn))))
        retried += [store.flush(whole), store.flush(whole)]
    seen = totals(store)
    store.close()
    return {"exits": exits, "retried": retried, **seen}


def flush_in_child(path: str, torn: Batch) -> None:
    store = open_store(path)
    store.flush(torn)
    store.close()


def killed_at_any_time(path: str) -> dict[str, object]:
    """Be killed while flushing in a loop, then have everything unknown retried."""
    store = open_store(path)
    expected = 0
    for acknowledged in range(1, 21):
        writer = f"w{acknowledged}"
        known = flushed_before_death(store, writer, acknowledged)
        for sequence in range(1, known + 3):
            store.flush(full_batch(sequence, writer=writer))
        expected += known + 2
    seen = totals(store)
    store.close()
    return {"expected": expected, **seen}


def flushed_before_death(store: Store, writer: str, acknowledged: int) -> int:
    """Return how many flushes a child acknowledged, killed after at least so many."""
    reader, pipe = os.pipe()
    pid = child(lambda: flush_for_ever(store, writer, pipe))
    os.close(pipe)
    known = 0
    while known < acknowledged:
        known += len(os.read(reader, acknowledged - known))
    os.kill(pid, signal.SIGKILL)
    reap(pid)
    return known + rest_of(reader)


def flush_for_ever(store: Store, writer: str, pipe: int) -> None:
    sequence = 0
    while True:
        sequence += 1
        store.flush(full_batch(sequence, writer=writer))
        os.write(pipe, b".")


def four_at_once(path: str) -> dict[str, object]:
    """Create and fill one store from four processes at the same time."""

    def work(writer: str) -> None:
        store = open_store(path)
        flush_often(store, writer, 25)
        store.close()

    pids = [child(lambda name=f"w{number}": work(name)) for number in range(4)]
    exits = [reap(pid) for pid in pids]
    store = open_store(path)
    seen = totals(store)
    store.close()
    return {"exits": exits, **seen}


def latches_both_ways(path: str) -> dict[str, object]:
    """Let a parent and its forked child tell each other of a kill by the store."""
    store = open_store(path)
    first = Latch(route=ROUTE).killed(reason="", actor="", intent="i1", at=AT)
    second = first.killed(reason="", actor="", intent="i2", at=AT)
    reaped = reap(child(lambda: put(store, first)))
    seen_by_parent = store.latches()[ROUTE].trip
    store.put_latch(second)
    pid = child(lambda: os._exit(store.latches()[ROUTE].trip))
    seen_by_child = reap(pid)
    store.close()
    return {"exit": reaped, "parent": seen_by_parent, "child": seen_by_child}


def forks_amid_flushes(path: str) -> dict[str, object]:
    """Fork while a thread flushes to the same store; each child flushes too."""
    store = open_store(path)
    flushing = threading.Thread(target=flush_often, args=(store, "parent", 100))
    flushing.start()
    exits: list[int] = []
    for number in range(20):
        work = functools.partial(flush_often, store, f"child{number}", 2)
        exits.append(reap(child(work)))
    flushing.join()
    seen = totals(store)
    store.close()
    return {"exits": exits, **seen}


def forks_while_locked(path: str) -> dict[str, object]:
    """Fork while a thread waits for a lock of another process, then let all go on."""
    store = open_store(path)
    locked, is_locked = os.pipe()
    free, let_go = os.pipe()
    holder = child(lambda: hold(path, is_locked, free))
    os.read(locked, 1)
    flushing = threading.Thread(target=flush_often, args=(store, "parent", 1))
    flushing.start()
    began = time.monotonic()
    pid = child(lambda: flush_often(store, "child", 1))
    waited = time.monotonic() - began > FORK_WAIT_S / 2
    os.write(let_go, b".")
    flushing.join()
    exits = reap(holder) or reap(pid)
    seen = totals(store)
    store.close()
    return {"waited": waited, "exit": exits, "n": seen["n"]}


def hold(path: str, is_locked: int, free: int) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    os.write(is_locked, b".")
    os.read(free, 1)
    holder.close()


def forks_in_a_transaction(path: str) -> dict[str, object]:
    """Fork in the middle of a write, with another file that nobody uses."""
    write = Connection(Path(path), prepare=lambda *_: None, timeout_s=1)
    beside = Connection(Path(path), prepare=lambda *_: None, timeout_s=1)
    elsewhere = Connection(Path(f"{path}2"), prepare=lambda *_: None, timeout_s=1)
    with write.writing() as db:
        db.execute("CREATE TABLE kept (number)")
        began = time.monotonic()
        pid = child(lambda: refused((write, beside), elsewhere))
        waited = time.monotonic() - began > 2 * FORK_WAIT_S
        exited = reap(pid)
        db.execute("INSERT INTO kept VALUES (1)")
    with beside.reading() as db:
        (kept,) = db.execute("SELECT number FROM kept").fetchone()
    for each in (write, beside, elsewhere):
        each.close()
    return {"waited": waited, "exit": exited, "kept": kept}


def refused(lost: Iterable[Connection], elsewhere: Connection) -> None:
    """Raise unless the lost say that they are, and the other one works."""
    with elsewhere.writing() as db:
        db.execute("CREATE TABLE child (number)")
    elsewhere.close()
    for each in lost:
        try:
            with each.reading():
                raise AssertionError
        except StoreError as error:
            if "was in use while this process was forked" not in str(error):
                raise
        each.close()


def flush_often(store: Store, writer: str, times: int) -> None:
    for sequence in range(1, times + 1):
        store.flush(full_batch(sequence, writer=writer))


def put(store: Store, latch: Latch) -> None:
    store.put_latch(latch)


def eight_kills(path: str) -> dict[str, object]:
    """Kill one route eightfold, each time for a reason of its own and a shared one."""
    pids = [child(lambda name=f"i{n}": kill_twice(path, name)) for n in range(8)]
    exits = [reap(pid) for pid in pids]
    entries = FileLedger(path, FakeClock()).entries()
    trips = {entry.latch.intent: entry.latch.trip for entry in entries if entry.latch}
    return {"exits": exits, "lines": len(entries), "trips": trips}


def kill_twice(path: str, name: str) -> None:
    ledger = FileLedger(path, FakeClock())
    for intent in (name, "shared"):
        ledger.kill(
            ROUTE,
            intent=Intent(id=intent, actor="ada", reason="broken"),
            at=AT,
            floor=Latch(route=ROUTE),
        )


def full_disk(path: str) -> dict[str, object]:
    """Kill and take notes where the ledger file may not grow any more."""
    ledger = FileLedger(path, FakeClock())
    ledger.prepare()
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(path).stat().st_size,) * 2)
    intent = Intent(id="i1", actor="ada", reason="broken")
    latch = ledger.kill(ROUTE, intent=intent, at=AT, floor=Latch(route=ROUTE))
    error = ""
    while not error:
        try:
            ledger.note(
                LedgerNote(kind=EntryKind.EPOCH, route=ROUTE, text="x" * 5000, at=AT)
            )
        except LedgerError as refused:
            error = str(refused)
    held = FileLedger(path, FakeClock()).latches()[ROUTE].held
    again = ledger.kill(ROUTE, intent=intent, at=AT, floor=Latch(route=ROUTE))
    return {"trip": latch.trip, "again": again.trip, "held": held, "error": error}


def killed_while_telling(path: str) -> dict[str, object]:
    """Be killed while copying a ledger, posting notices and keeping points."""
    store = open_store(path)
    lost: list[int] = []
    for acknowledged in range(1, 7):
        reader, pipe = os.pipe()
        name = f"w{acknowledged}"
        pid = child(lambda name=name, pipe=pipe: tell_for_ever(store, name, pipe))
        os.close(pipe)
        known = 0
        while known < acknowledged:
            known += len(os.read(reader, acknowledged - known))
        os.kill(pid, signal.SIGKILL)
        reap(pid)
        known += rest_of(reader)
        told = [notice for notice in store.due(now=1e9) if notice.route == name]
        kept = (
            len(store.mirrored(name)),
            len(told),
            len(store.course(name, attempt=1)),
        )
        lost += [known - each for each in kept if not known <= each <= known + 1]
    store.close()
    return {"lost": lost}


def rest_of(reader: int) -> int:
    """Return how many bytes are left in a pipe whose writer is dead; close it."""
    count = 0
    while more := os.read(reader, 1024):
        count += len(more)
    os.close(reader)
    return count


def tell_for_ever(store: Store, name: str, pipe: int) -> None:
    for number in range(1, 1_000_000):
        store.mirror(name, [mirror.entry(number)])
        store.post(replace(outbox.NOTICE, id=f"{name} {number}", route=name))
        store.keep(replace(course.POINT, route=name))
        os.write(pipe, b".")


SCENARIOS = (
    killed_while_telling,
    full_disk,
    killed_in_a_flush,
    killed_at_any_time,
    four_at_once,
    latches_both_ways,
    forks_amid_flushes,
    forks_while_locked,
    forks_in_a_transaction,
    eight_kills,
)


if __name__ == "__main__":
    chosen = {scenario.__name__: scenario for scenario in SCENARIOS}[sys.argv[1]]
    sys.stdout.write(json.dumps(chosen(str(Path(sys.argv[2]).absolute()))))
