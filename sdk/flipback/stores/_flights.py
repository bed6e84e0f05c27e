"""Calls in flight, in a file that outlives a crash of the process.

A process that dies in the middle of a call (a segmentation fault of an inference
library, the out-of-memory killer) cannot count that call as failed. So each call
leaves a mark in a memory-mapped file when it starts and wipes it when it ends;
writing to the mapping is no system call, and the kernel keeps what is written
whatever happens to the process. Whoever finds the file of a dead process books
its marks as errors. The file is locked as long as its process lives, which is
how the dead are told from the living even when process ids come around again.

Layout: SLOTS records of (group + 1, subject, decision), three unsigned 64-bit
numbers, a group of 0 meaning empty; behind them JSON lines, one per group of calls
that were assigned alike, in the order of their numbers.
"""

import fcntl
import json
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from flipback.assignment import Assignment, Cohort


SLOTS = 1024
GROUP_BYTES = 64 * 1024
UNTRACKED = -1
SUFFIX = ".flights"
_SLOT = struct.Struct("<QQQ")
_GROUPS_AT = SLOTS * _SLOT.size
_SIZE = _GROUPS_AT + GROUP_BYTES
_Alike = tuple[str, str | None, str, tuple[Cohort, ...]]
_Mark = tuple[int, int, int]
_EMPTY = _SLOT.pack(0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostCall:
    """A call that was in flight when its process died."""

    route: str
    attempt: int
    epoch: str
    rule: str
    variant: str
    cohorts: tuple[Cohort, ...]
    subject: int
    decision_id: str


class Flights:
    """The marks of one process.

    Beyond `SLOTS` calls at a time, or more groups than fit, calls go untracked:
    this is a record for accidents and never a reason to wait.

    Raises:
        OSError: The file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(exist_ok=True)
        # Nobody may see the file before it is locked, and take its owner for dead.
        unseen = path.with_suffix(".new")
        self._fd = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.posix_fallocate(self._fd, 0, _SIZE)
        self._map = mmap.mmap(self._fd, _SIZE)
        unseen.rename(path)
        self._free = list(range(SLOTS))
        self._groups: dict[_Alike, int] = {}
        self._end = _GROUPS_AT
        self._lock = threading.Lock()

    def enter(self, route: str, assignment: Assignment) -> int:
        """Mark a call as begun; return its slot for `leave`."""
        # The epoch's digest holds route and attempt.
        alike = (
            assignment.epoch,
            assignment.rule,
            assignment.variant,
            assignment.cohorts,
        )
        group = self._groups.get(alike)
        if group is None:
            group = self._add_group(alike, route, assignment)
        if not group:
            return UNTRACKED
        try:
            slot = self._free.pop()
        except IndexError:
            return UNTRACKED
        decision = int(assignment.decision_id, 16)
        _SLOT.pack_into(
            self._map, slot * _SLOT.size, group, assignment.subject, decision
        )
        return slot

    def leave(self, slot: int) -> None:
        """Wipe the mark of a call that ended, however it ended."""
        if slot != UNTRACKED:
            start = slot * _SLOT.size
            self._map[start : start + _SLOT.size] = _EMPTY
            self._free.append(slot)

    def close(self) -> None:
        """End in good order: nothing was lost, so the file goes."""
        self.path.unlink(missing_ok=True)
        self.abandon()

    def abandon(self) -> None:
        """Let go of the file without touching it, as a forked child must."""
        self._map.close()
        os.close(self._fd)

    def _add_group(self, alike: _Alike, route: str, assignment: Assignment) -> int:
        """Return the number of a new group, 0 if there is no room for it."""
        with self._lock:
            if alike in self._groups:
                return self._groups[alike]
            epoch, rule, variant, cohorts = alike
            fields = (route, assignment.attempt, epoch, rule or "", variant, cohorts)
            line = json.dumps(fields).encode() + b"\n"
            number = 0
            if self._end + len(line) <= _SIZE:
                self._map[self._end : self._end + len(line)] = line
                self._end += len(line)
                number = 1 + sum(map(bool, self._groups.values()))
            self._groups[alike] = number
            return number


def lost_calls(path: Path) -> tuple[LostCall, ...] | None:
    """Return what was in flight in a process that died; None while it lives."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = file.read()
    except OSError:
        return None
    return tuple(_marks(content)) if len(content) == _SIZE else ()


def _marks(content: bytes) -> Iterator[LostCall]:
    groups = content[_GROUPS_AT:].rstrip(b"\0").splitlines()
    marks = cast("Iterator[_Mark]", _SLOT.iter_unpack(content[:_GROUPS_AT]))
    for group, subject, decision in marks:
        if group and group <= len(groups):
            yield _lost(groups[group - 1], subject, decision)


def _lost(group: bytes, subject: int, decision: int) -> LostCall:
    route, attempt, epoch, rule, variant, cohorts = json.loads(group)
    return LostCall(
        route=route,
        attempt=attempt,
        epoch=epoch,
        rule=rule,
        variant=variant,
        cohorts=tuple(cohorts),
        subject=subject,
        decision_id=f"{decision:016x}",
    )
