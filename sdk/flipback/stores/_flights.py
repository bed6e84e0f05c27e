"""Calls in flight, in a file that outlives a crash of the process.

A process that dies in the middle of a call (a segmentation fault of an inference
library, the out-of-memory killer) cannot count that call as failed. So each call
leaves a mark in a memory-mapped file when it starts and wipes it when it ends;
writing to the mapping is no system call, and the kernel keeps what is written
whatever happens to the process. Whoever finds the file of a dead process books
its marks as errors. The file is locked as long as its process lives, which is
how the dead are told from the living even when process ids come around again.

Layout: SLOTS records of (group + 1, time, subject, decision), two unsigned 32-bit
and two 64-bit numbers, a group of 0 meaning empty, the time of the decision in whole
Unix seconds or 0; behind them JSON lines, one per group of calls
that were assigned alike, in the order of their numbers. A shadow answer is marked
like a call, but its group says so.
"""

import errno
import fcntl
import json
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, cast

from pydantic import Field, TypeAdapter, ValidationError

from flipback.assignment import Assignment, Cohort
from flipback.routing import UNTRACKED


SLOTS = 1024
GROUP_BYTES = 64 * 1024
SUFFIX = ".flights"
_SLOT = struct.Struct("<IIQQ")
_LAST_SECOND = 2**32 - 1
_GROUPS_AT = SLOTS * _SLOT.size
_SIZE = _GROUPS_AT + GROUP_BYTES
_Alike = tuple[str, str | None, str, tuple[Cohort, ...], bool | None]
_Mark = tuple[int, int, int, int]
_EMPTY = _SLOT.pack(0, 0, 0, 0)


class _Group(NamedTuple):
    """A line behind the records."""

    route: str
    attempt: Annotated[int, Field(ge=0, lt=2**63)]
    epoch: str
    rule: str
    variant: str
    cohorts: tuple[Cohort, ...]
    control_failed: bool | None = None


_GROUP: TypeAdapter[_Group] = TypeAdapter(_Group)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostCall:
    """A call that was in flight when its process died.

    Attributes:
        control_failed: Of a shadow answer, whether control's answer was an error; None
            of a call that was being served.
    """

    route: str
    attempt: int
    epoch: str
    rule: str
    variant: str
    cohorts: tuple[Cohort, ...]
    subject: int
    decision_id: str
    at: float
    control_failed: bool | None = None


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
        try:
            self._map = _locked_map(self._fd)
            unseen.rename(path)
        except BaseException:
            os.close(self._fd)
            unseen.unlink()
            raise
        self._free = list(range(SLOTS))
        self._groups: dict[_Alike, int] = {}
        self._end = _GROUPS_AT
        self._lock = threading.Lock()

    def enter(
        self,
        route: str,
        assignment: Assignment,
        *,
        control_failed: bool | None = None,
    ) -> int:
        """Mark a call as begun; return its slot for `leave`.

        Args:
            route: The route that was called.
            assignment: Who answers whom.
            control_failed: See `LostCall.control_failed`.
        """
        # The epoch's digest holds route and attempt.
        alike = (
            assignment.epoch,
            assignment.rule,
            assignment.variant,
            assignment.cohorts,
            control_failed,
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
        at = int(assignment.at) & _LAST_SECOND
        _SLOT.pack_into(
            self._map, slot * _SLOT.size, group, at, assignment.subject, decision
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
            epoch, rule, variant, cohorts, control_failed = alike
            fields = _Group(
                route=route,
                attempt=assignment.attempt,
                epoch=epoch,
                rule=rule or "",
                variant=variant,
                cohorts=cohorts,
                control_failed=control_failed,
            )
            line = json.dumps(fields).encode() + b"\n"
            number = 0
            if self._end + len(line) <= _SIZE:
                self._map[self._end : self._end + len(line)] = line
                self._end += len(line)
                number = 1 + sum(map(bool, self._groups.values()))
            self._groups[alike] = number
            return number


def lost_calls(path: Path) -> tuple[LostCall, ...] | None:
    """Return what was in flight in a process that died; None while it lives.

    Marks and groups that cannot be read are left out.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = file.read()
    except OSError:
        return None
    return tuple(_marks(content)) if len(content) == _SIZE else ()


def _locked_map(file: int) -> mmap.mmap:
    """Lock an empty file, and fill it: a hole could find no room on the disk later."""
    fcntl.flock(file, fcntl.LOCK_EX)
    if os.pwrite(file, bytes(_SIZE), 0) < _SIZE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return mmap.mmap(file, _SIZE)


def _marks(content: bytes) -> Iterator[LostCall]:
    lines = content[_GROUPS_AT:].split(b"\n")
    groups = {number: _group(line) for number, line in enumerate(lines, start=1)}
    marks = cast("Iterator[_Mark]", _SLOT.iter_unpack(content[:_GROUPS_AT]))
    for number, at, subject, decision in marks:
        group = groups.get(number)
        if group is not None:
            yield _lost(group, at, subject, decision)


def _group(line: bytes) -> _Group | None:
    try:
        return _GROUP.validate_json(line, strict=True)
    except ValidationError:
        return None


def _lost(group: _Group, at: int, subject: int, decision: int) -> LostCall:
    return LostCall(
        route=group.route,
        attempt=group.attempt,
        epoch=group.epoch,
        rule=group.rule,
        variant=group.variant,
        cohorts=group.cohorts,
        subject=subject,
        decision_id=f"{decision:016x}",
        at=float(at),
        control_failed=group.control_failed,
    )
