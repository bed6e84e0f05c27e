"""A connection to the embedded database: opened late, never carried across a fork."""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from flipback.errors import StoreError


FORK_WAIT_S = 1.0
"""How long a fork waits for what other threads are doing with their connections."""

_TRY_S = 0.05
_PAUSE_S = 0.01
_PRIVATE = 0o600
_READ = ("BEGIN", "SELECT 1 FROM sqlite_schema LIMIT 1")  # BEGIN alone locks nothing
_PRIMARY_CODE = 0xFF
_NO_ACCESS = "cannot be {0}; let this process write to it and its folder"
_START_EMPTY = (
    "move it away to start with an empty store (kills are kept in the ledger)"
)
_PROBLEMS = {
    sqlite3.SQLITE_BUSY: (
        "was locked by another process for too long; try again, "
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
    a fork and both sides open their own when they need one. One that cannot be
    closed in time leaves the child without this file: SQLite would take the locks
    of the parent for the child's own. A file that was removed or replaced meanwhile
    is opened anew instead of writing to its remains.

    Waiting for other processes is done in short tries without the lock held, so
    that neither a fork nor another thread has to wait along.

    Args:
        path: The database file, created for its owner alone; its folder must exist.
        prepare: Called with each newly opened connection, before anything else, and
            again with another one where it found the file locked.
        timeout_s: How long to wait for other processes, opening included.
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

    @property
    def path(self) -> Path:
        """Return the database file."""
        return self._path

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Hold one consistent view of the database; any fault is a `StoreError`."""
        with self._transaction(_READ) as db:
            yield db

    @contextmanager
    def writing(self, *, durable: bool = False) -> Generator[sqlite3.Connection]:
        """Hold a write transaction, committed at the end or undone by an exception.

        Args:
            durable: Survive a power cut and not only the end of the process.
        """
        synchronous = f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}"
        with self._transaction((synchronous, "BEGIN IMMEDIATE")) as db:
            yield db

    @contextmanager
    def bare(self) -> Generator[sqlite3.Connection]:
        """Hold the connection without a transaction, for what cannot be in one."""
        with self._transaction(()) as db:
            yield db

    def close(self) -> None:
        """Close for good; any later use is a `StoreError`."""
        with self._lock:
            self._closed = True
            self._drop()

    def suspend(self, *, wait_s: float) -> bool:
        """Take the lock and close, so that a fork finds nothing open.

        Returns whether the lock came free in time.
        """
        if not self._lock.acquire(timeout=wait_s):
            return False
        self._drop()
        return True

    def resume(self) -> None:
        """Let threads in again after a fork."""
        self._lock.release()

    def renew_lock(self) -> None:
        """Replace a lock whose holder may not exist in this child."""
        self._lock = threading.Lock()

    def abandon(self) -> None:
        """Give up, in a child, the file that the parent was using during the fork."""
        if self._db is not None:
            _inherited.append(self._db)
            _lost.add(self._identity[1:])
        self._db = None

    @contextmanager
    def _transaction(self, begin: Sequence[str]) -> Generator[sqlite3.Connection]:
        deadline = time.monotonic() + self._timeout_s
        while True:
            with self._lock, explained(self._path):
                db = self._try_begin(begin, last=time.monotonic() >= deadline)
                if db is not None:
                    with db:
                        yield db
                    return
            time.sleep(_PAUSE_S)

    def _try_begin(
        self, begin: Sequence[str], *, last: bool
    ) -> sqlite3.Connection | None:
        """Return None where others hold the file and this was not the last try."""
        try:
            return self._begun(begin)
        except sqlite3.OperationalError as error:
            if last or _code(error) != sqlite3.SQLITE_BUSY:
                raise
        return None

    def _begun(self, begin: Sequence[str]) -> sqlite3.Connection:
        db = self._ready()
        try:
            for statement in begin:
                db.execute(statement).fetchall()
        except BaseException:
            db.rollback()
            raise
        return db

    def _ready(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"{self._path} was closed by this process; open it again")
        if self._db is not None and self._identity != _identity(self._path):
            self._drop()
        return self._db or self._opened()

    def _opened(self) -> sqlite3.Connection:
        _create(self._path)
        self._identity = _identity(self._path)
        if self._identity[1:] in _lost:
            raise StoreError(
                f"{self._path} was in use while this process was forked, and cannot "
                "be used in it any more; end this process and start another"
            )
        # Known before it is prepared, for a fork meanwhile.
        self._db = db = sqlite3.connect(
            self._path,
            timeout=min(self._timeout_s, _TRY_S),
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(db, self._path)
        except BaseException:
            self._drop()
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
_creation_lock = threading.Lock()
_suspended: list[Connection] = []
_busy: list[Connection] = []
_inherited: list[sqlite3.Connection] = []  # closing a parent's would break its locks
_lost: set[tuple[int, ...]] = set()  # files of which SQLite has a parent's locks


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
    problem = _PROBLEMS.get(_code(error), "cannot be used")
    return f"{path} {problem} (SQLite: {error})"


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & _PRIMARY_CODE


def _create(path: Path) -> None:
    """Create the file for its owner alone, as it keeps a secret; SQLite would not.

    Closing any descriptor of a file releases all locks that this process has on it.
    So only a new file is opened, and no thread goes on before it is closed.
    """
    with _creation_lock, suppress(OSError):  # SQLite says what is wrong with it
        path.touch(_PRIVATE, exist_ok=False)


def _identity(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return (os.getpid(),)
    return (os.getpid(), status.st_dev, status.st_ino)


def _before_fork() -> None:
    _registry_lock.acquire()
    deadline = time.monotonic() + FORK_WAIT_S
    for connection in _registry:
        wait_s = max(0.0, deadline - time.monotonic())
        in_time = connection.suspend(wait_s=wait_s)
        (_suspended if in_time else _busy).append(connection)


def _after_in_parent() -> None:
    while _suspended:
        _suspended.pop().resume()
    _busy.clear()
    _registry_lock.release()


def _after_in_child() -> None:
    global _registry_lock, _creation_lock  # noqa: PLW0603 - nobody here may hold them
    _registry_lock = threading.Lock()
    _creation_lock = threading.Lock()
    for connection in _registry:
        connection.renew_lock()
    while _busy:
        _busy.pop().abandon()
    _suspended.clear()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_in_parent,
    after_in_child=_after_in_child,
)
