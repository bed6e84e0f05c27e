"""A file that is replaced as a whole, under a lock, with a journal beside it."""

import contextlib
import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import Clock


_LOGGER = logging.getLogger("flipback.flagfile")
_RETRY_S = 0.01
_TICK_NS = 1_000_000  # readers that compare time stamps must see a later one


class StoredFile:
    """A file on a disk of this machine; a symbolic link is written through.

    Beside the file lie `<file>.lock`, on which writers queue, and the append-only
    `<file>.audit.jsonl`. All methods raise `FlagWriteError`.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self.path = path
        self._clock = clock

    @property
    def target(self) -> Path:
        """Return the file itself where `path` is a symbolic link to it."""
        return Path(os.path.realpath(self.path))

    def read(self) -> bytes:
        """Return the content as it is now."""
        with self._explained("read"):
            return self.target.read_bytes()

    @contextlib.contextmanager
    def locked(self, *, patience_s: float) -> Generator[bool]:
        """Hold the writers' lock; yield False if it cannot be had in time."""
        target = self.target
        try:
            lock = target.with_name(f"{target.name}.lock").open("a")
        except OSError as error:
            why = error.strerror or error
            _LOGGER.warning("%s.lock cannot be opened (%s)", target, why)
            yield False
            return
        with lock:
            held = _lock(lock.fileno(), patience_s=patience_s)
            try:
                yield held
            finally:
                # A child forked meanwhile has the descriptor too: unlock, not close.
                fcntl.flock(lock, fcntl.LOCK_UN)

    def replace(self, content: bytes, *, instead_of: bytes) -> bool:
        """Replace the content; False if it is not `instead_of` any more.

        A crash leaves the old file or the new one, whole. Mode and owner stay;
        the time stamp grows even where the clock went back.
        """
        target = self.target
        with self._explained("written"):
            status = target.stat()
            name = _write_beside(target, content, like=status)
            try:
                now_ns = int(self._clock.now().timestamp() * 1e9)
                later_ns = max(now_ns, status.st_mtime_ns + _TICK_NS)
                os.utime(name, ns=(later_ns, later_ns))
                if target.read_bytes() != instead_of:
                    return False
                Path(name).replace(target)
            finally:
                Path(name).unlink(missing_ok=True)
            _sync_folder(target.parent)
        return True

    def append_audit(self, line: str) -> None:
        """Append a line to the audit file; a failure is logged, the write stands."""
        path = self.path.with_name(f"{self.path.name}.audit.jsonl")
        try:
            with path.open("a", encoding="utf-8") as audit:
                audit.write(f"{line}\n")
                audit.flush()
                os.fsync(audit.fileno())
        except OSError as error:
            why = error.strerror or error
            _LOGGER.error(  # noqa: TRY400 - a traceback tells an operator nothing
                "%s cannot be appended to (%s); lost: %s", path, why, line
            )

    @contextlib.contextmanager
    def _explained(self, what: str) -> Generator[None]:
        try:
            yield
        except PermissionError as error:
            raise FlagWriteError(
                f"{self.path} may not be {what} by this process; give its user the"
                f" right to write the file and the folder {self.target.parent}",
                kind=FlagProblem.FORBIDDEN,
            ) from error
        except OSError as error:
            raise FlagWriteError(
                f"{self.path} cannot be {what} ({error.strerror or error}); see to"
                " the file and its disk, then try again",
                kind=FlagProblem.UNAVAILABLE,
            ) from error


def _lock(descriptor: int, *, patience_s: float) -> bool:
    for _ in range(int(patience_s / _RETRY_S) + 1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_RETRY_S)
        else:
            return True
    return False


def _write_beside(target: Path, content: bytes, *, like: os.stat_result) -> str:
    """Return the name of a durable temporary file in the target's folder."""
    descriptor, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.name}.", suffix=".tmp"
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            with contextlib.suppress(PermissionError):  # only root gives files away
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, like.st_mode & 0o7777)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return name


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
