"""A connection to the embedded database: opened late, never carried across a fork."""

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from flipback.errors import StoreError


_PRIMARY_CODE = 0xFF
_NO_ACCESS = "cannot be {0}; let this process write to it and its folder"
_START_EMPTY = (
    "move it away to start with an empty store (kills are kept in the ledger)"
)
_PROBLEMS = {
    sqlite3.SQLITE_BUSY: (
        "is locked by another process for too long; try again, "
        "or end the process that holds it"
    ),
    sqlite3.SQLITE_CANTOPEN: _NO_ACCESS.format("opened"),
    sqlite3.SQLITE_CORRUPT: f"is damaged; {_START_EMPTY}",
    sqlite3.SQLITE_FULL: "cannot grow, the disk is full; free some space",
    sqlite3.SQLITE_IOERR: "cannot be read or written, the disk reports an error",
    sqlite3.SQLITE_NOTADB: (
        f"is no SQLite database; name another file in `store`, or {_START_EMPTY}"
    ),
    sqlite3.SQLITE_PERM: _NO_ACCESS.format("opened"),
    sqlite3.SQLITE_READONLY: _NO_ACCESS.format("written"),
}


class Connection:
    """One SQLite connection and the lock around it; opened when first used.

    SQLite loses its file locks in a forked child, so connections are closed before
    a fork and both sides open their own when they need one. A file that was removed
    or replaced meanwhile is opened anew instead of writing to its remains.

    Args:
        path: The database file; its folder must exist.
        prepare: Called with each newly opened connection, before anything else.
        timeout_s: How long to wait for the writes of other processes.
    """

    def __init__(
        self,
        path: Path,
        *,
        prepare: Callable[[sqlite3.Connection, Path], None],
        timeout_s: float,
    ) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._prepare = prepare
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._identity: tuple[int, ...] = ()
        self._closed = False
        with _registry_lock:
            _registry.add(self)

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Hold one consistent view of the database; any fault is a `StoreError`."""
        with self._lock, explained(self._path):
            db = self._ready()
            with db:
                db.execute("BEGIN")
                yield db

    @contextmanager
    def writing(self, *, durable: bool = False) -> Generator[sqlite3.Connection]:
        """Hold a write transaction, committed at the end or undone by an exception.

        Args:
            durable: Survive a power cut and not only the end of the process.
        """
        with self._lock, explained(self._path):
            db = self._ready()
            db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            with db:
                db.execute("BEGIN IMMEDIATE")
                yield db

    def close(self) -> None:
        """Close for good; any later use is a `StoreError`."""
        with self._lock:
            self._closed = True
            self._drop()

    def suspend(self) -> None:
        """Take the lock and close, so that a fork finds nothing open."""
        self._lock.acquire()
        self._drop()

    def resume(self) -> None:
        """Let threads in again after a fork."""
        self._lock.release()

    def renew_lock(self) -> None:
        """Replace a lock whose holder may not exist in this child."""
        self._lock = threading.Lock()

    def _ready(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"{self._path} was closed by this process; open it again")
        if self._db is not None and self._identity != _identity(self._path):
            self._drop()
        if self._db is None:
            self._db = self._opened()
            self._identity = _identity(self._path)
        return self._db

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path,
            timeout=self._timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(db, self._path)
        except BaseException:
            db.close()
            raise
        return db

    def _drop(self) -> None:
        if self._db is None:
            return
        if self._identity[0] == os.getpid():
            self._db.close()
        else:
            _inherited.append(self._db)
        self._db = None


_registry: weakref.WeakSet[Connection] = weakref.WeakSet()
_registry_lock = threading.Lock()
_suspended: list[Connection] = []
_inherited: list[sqlite3.Connection] = []  # closing a parent's would break its locks


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Turn whatever SQLite raises into a `StoreError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(_explain(path, error)) from error
    except ValidationError as error:
        raise StoreError(
            f"{path} holds a record that this version cannot read; upgrade flipback"
        ) from error


def _explain(path: Path, error: sqlite3.Error) -> str:
    if path.is_dir():
        return f"{path} is a folder; name a file in it, as in sqlite:{path.name}/x.db"
    if not path.parent.is_dir():
        return f"{path} cannot be opened; its folder {path.parent} does not exist"
    code = int(getattr(error, "sqlite_errorcode", 0)) & _PRIMARY_CODE
    return f"{path} {_PROBLEMS.get(code, 'cannot be used')} (SQLite: {error})"


def _identity(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return (os.getpid(),)
    return (os.getpid(), status.st_dev, status.st_ino)


def _before_fork() -> None:
    _registry_lock.acquire()
    for connection in _registry:
        connection.suspend()
        _suspended.append(connection)


def _after_in_parent() -> None:
    while _suspended:
        _suspended.pop().resume()
    _registry_lock.release()


def _after_in_child() -> None:
    global _registry_lock  # noqa: PLW0603 - its holder may not exist in this child
    _suspended.clear()
    _registry_lock = threading.Lock()
    for connection in _registry:
        connection.renew_lock()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_in_parent,
    after_in_child=_after_in_child,
)
