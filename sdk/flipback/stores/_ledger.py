"""The ledger in a file: append-only, hash-chained, with room for the next kill."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from flipback.errors import LedgerError
from flipback.latch import Latch
from flipback.ports import Clock, EntryKind, Intent, LedgerEntry, LedgerNote
from flipback.stores._lines import (
    MOST_REASON_BYTES,
    Contents,
    bounded,
    bounded_findings,
    line_of,
    parse,
)
from flipback.stores._verify import Survey, survey


ROOM = 64 * 1024
"""Bytes of padding that are written ahead, so that a kill fits on a full disk."""

LEAST_ROOM = 16 * 1024
"""Bytes of padding below which more is written ahead; notes leave so much to a kill."""

LOCK_TIMEOUT_S = 5.0
_PAUSE_S = 0.002
_MODE = 0o600
_PADDING = b"\n"
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A file as it was read last, recognised by what any change of it changes."""

    signature: tuple[int, ...]
    contents: Contents


class FileLedger:
    """A `Ledger` in one file of JSON lines, for any number of processes of a host.

    Writers exclude each other by a lock on the file; readers take none. Reading an
    unchanged file again costs one look at its signature.

    Args:
        path: The file; created when first written to, its folder must exist.
        clock: Tells how long a writer has waited for the lock.
    """

    def __init__(self, path: str | Path, clock: Clock) -> None:
        self._path = Path(path)
        self._clock = clock
        self._seen: _Seen | None = None

    def prepare(self) -> bool:
        """Create the file and fill it ahead, so that a kill fits on a full disk.

        Returns whether there was no file, or an empty one.
        """
        with self._locked() as file:
            size = os.fstat(file).st_size
            contents = self._read(file)
            _make_room(file, end=contents.end, size=size)
            return size == 0

    def kill(self, route: str, *, intent: Intent, at: str, floor: Latch) -> Latch:
        """Durably append one more kill after `floor`; the same intent is one trip.

        A long reason is cut off, and of many findings the first are kept.

        Args:
            route: What to kill.
            intent: Who and why; its id recognises a retry.
            at: When, for people.
            floor: The greatest latch that the caller knows of.
        """
        with self._locked() as file:
            contents = self._read(file)
            known = contents.killed_by(route, intent.id)
            if known is not None:
                return known
            latch = (
                contents.latch(route)
                .merge(floor)
                .killed(
                    reason=intent.reason, actor=intent.actor, intent=intent.id, at=at
                )
            )
            reason = bounded(latch.reason, most=MOST_REASON_BYTES)
            latch = replace(latch, reason=reason)
            entry = contents.next_entry(
                EntryKind.KILL,
                route,
                at=at,
                latch=latch,
                note=reason,
                findings=bounded_findings(intent.findings),
            )
            self._append(file, entry, after=contents)
            return latch

    def release(self, latch: Latch) -> None:
        """Durably append a release; what the ledger already surpasses adds nothing."""
        with self._locked() as file:
            contents = self._read(file)
            if contents.latch(latch.route).order >= latch.order:
                return
            entry = contents.next_entry(
                EntryKind.RELEASE,
                latch.route,
                at=latch.at,
                latch=latch,
                note=latch.reason,
            )
            self._append(file, entry, after=contents)

    def note(self, note: LedgerNote) -> None:
        """Durably append anything else that people should find later.

        Refused where the disk is so full that no room would be left for a kill.
        """
        with self._locked() as file:
            contents = self._read(file)
            entry = contents.noted(note)
            end = contents.end + len(line_of(entry))
            size = _make_room(file, end=end, size=contents.size)
            if size - end < LEAST_ROOM:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._append(file, entry, after=replace(contents, size=size))

    def latches(self) -> Mapping[str, Latch]:
        """Return every route's latch; empty while there is no file."""
        return self._contents().latches

    def entries(self) -> Sequence[LedgerEntry]:
        """Return all entries, oldest first; empty while there is no file."""
        return self._contents().entries

    def survey(self) -> Survey:
        """Return whatever can be read, however broken the rest is."""
        return survey(self._opened_for_reading(_read_all, b""))

    def _opened_for_reading(
        self, read: Callable[[int], _Read], nothing: _Read
    ) -> _Read:
        with self._explained("read"):
            try:
                file = os.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                if self._path.parent.is_dir():
                    return nothing
                raise
            try:
                return read(file)
            finally:
                os.close(file)

    def _contents(self) -> Contents:
        return self._opened_for_reading(self._read, Contents())

    @contextmanager
    def _locked(self) -> Generator[int]:
        with self._explained("written"):
            file = None
            while file is None:
                file = self._opened()
            try:
                yield file
            finally:
                _release(file)

    def _opened(self) -> int | None:
        """Open and lock the file; None if another took its place meanwhile."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, _MODE)
        try:
            self._lock(file)
            in_place = _is_at(self._path, file)
        except BaseException:
            _release(file)
            raise
        if in_place:
            return file
        _release(file)
        return None

    def _lock(self, file: int) -> None:
        deadline = self._clock.monotonic() + LOCK_TIMEOUT_S
        while not _try_lock(file):
            if self._clock.monotonic() > deadline:
                raise LedgerError(
                    f"{self._path} was locked by another process for "
                    f"{LOCK_TIMEOUT_S:.0f} s; end that process and try again"
                )
            time.sleep(_PAUSE_S)

    @contextmanager
    def _explained(self, verb: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise LedgerError(_explain(self._path, verb, error)) from error

    def _read(self, file: int) -> Contents:
        seen = self._seen
        signature = _signature(file)
        if (
            seen is not None
            and seen.signature == signature
            and _is_free(file, seen.contents.end)
        ):
            return seen.contents
        content = _read_all(file)
        contents = parse(content, name=str(self._path))
        self._seen = _Seen(signature=signature, contents=contents)
        return contents

    def _append(self, file: int, entry: LedgerEntry, *, after: Contents) -> None:
        line = line_of(entry)
        torn = _PADDING * (after.used - after.end - len(line))
        try:
            _write(file, line + torn, at=after.end)
            os.fsync(file)
        except OSError:
            with suppress(OSError):
                _write(file, _PADDING * max(0, after.size - after.end), at=after.end)
                os.ftruncate(file, after.size)
            raise
        if not after.entries:
            _sync_folder(self._path)
        end = after.end + len(line)
        _make_room(file, end=end, size=max(after.size, end))


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _release(file: int) -> None:
    # A child forked meanwhile shares the lock; closing alone would leave it.
    fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _signature(file: int) -> tuple[int, ...]:
    status = os.fstat(file)
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _is_free(file: int, offset: int) -> bool:
    """Look where the next line would start: two appends may share a time stamp."""
    return os.pread(file, 1, offset) in {b"", _PADDING}


def _read_all(file: int) -> bytes:
    parts: list[bytes] = []
    offset = 0
    while part := os.pread(file, ROOM, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _write(file: int, content: bytes, *, at: int) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(file, content[written:], at + written)


def _make_room(file: int, *, end: int, size: int) -> int:
    """Write padding behind `size` where little is left; a full disk is no failure.

    Returns the size of the file, which may still leave too little.
    """
    if size - end >= LEAST_ROOM:
        return size
    with suppress(OSError):
        _write(file, _PADDING * (end + ROOM - size), at=size)
        os.fsync(file)
    return os.fstat(file).st_size


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _explain(path: Path, verb: str, error: OSError) -> str:
    if path.is_dir():
        return f"{path} is a folder; name a file in it as the ledger"
    if not path.parent.is_dir():
        return (
            f"{path} cannot be {verb}, its folder does not exist; create {path.parent}"
        )
    match error.errno:
        case errno.EACCES | errno.EPERM | errno.EROFS:
            remedy = "let this process write to it and its folder"
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            remedy = "the disk is full or the file may not grow; make room"
        case _:
            remedy = "see to the disk"
    return f"{path} cannot be {verb}: {error.strerror}; {remedy}"
