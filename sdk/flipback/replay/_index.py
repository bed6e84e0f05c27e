"""Which exposures had an id, so that outcomes find them and none counts twice."""

import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack, closing
from typing import NamedTuple, Self

from flipback.replay._rows import Origin
from flipback.replay._troubles import LogError


MOST_IN_MEMORY = 100_000
"""Ids that are kept in memory; the others are in a file that has no name."""

_PAGES_KB = 16_000
_TABLE = """
CREATE TABLE ids (
    id BLOB PRIMARY KEY, line INT, at REAL, subject INT, place INT, told TEXT
) WITHOUT ROWID
"""
_INSERT = "INSERT OR REPLACE INTO ids VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = "SELECT line, at, subject, place, told FROM ids WHERE id = ?"
_HALF = 1 << 63
_MOST_SETS = 10_000

_Place = tuple[str, tuple[str, ...], str, str, float | None, bool]
"""What many exposures share: variant, cohorts, rule, epoch, weight, paired."""


class Claimed(NamedTuple):
    """An exposure whose outcomes have come.

    Attributes:
        origin: The exposure.
        fresh: Metrics that were not recorded before.
    """

    origin: Origin
    fresh: frozenset[str]


class _Entry(NamedTuple):
    """An exposure as it is kept; `told` has a bit per recorded metric."""

    line: int
    at: float
    subject: int
    place: int
    told: int


class Index:
    """Finds an exposure by its id; memory does not grow with the log.

    What does not fit is in a private temporary database of SQLite, of which the
    operating system removes the file whatever happens to this process.
    """

    def __init__(self, *, most: int = MOST_IN_MEMORY) -> None:
        self._most = most
        self._recent: dict[bytes, _Entry] = {}
        self._places: dict[_Place, int] = {}
        self._by_number: list[_Place] = []
        self._bits: dict[str, int] = {}
        self._sets: dict[tuple[str, ...], int] = {}
        self._file: sqlite3.Connection | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open nothing yet: most logs fit into memory."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the file."""
        self._stack.close()

    def add(self, name: str, origin: Origin, metrics: Iterable[str] = ()) -> bool:
        """Remember an exposure and what it recorded; False if the id was there."""
        key = _key(name)
        if self._entry(key) is not None:
            return False
        place = self._place(origin)
        told = self._bits_of(tuple(metrics))
        self._keep(key, _Entry(origin.line, origin.at, origin.subject, place, told))
        return True

    def claim(self, name: str, metrics: Iterable[str]) -> Claimed | None:
        """Record outcomes of an exposure, each metric once; None for an unknown id."""
        key = _key(name)
        entry = self._entry(key)
        if entry is None:
            return None
        fresh = frozenset(m for m in metrics if not entry.told & self._bit(m))
        if fresh:
            told = entry.told | self._bits_of(tuple(fresh))
            self._keep(key, entry._replace(told=told))
        origin = Origin(
            entry.line, entry.at, entry.subject, *self._by_number[entry.place]
        )
        return Claimed(origin, fresh)

    def _place(self, origin: Origin) -> int:
        place = (
            origin.variant,
            origin.cohorts,
            origin.rule,
            origin.epoch,
            origin.weight,
            origin.paired,
        )
        number = self._places.setdefault(place, len(self._by_number))
        if number == len(self._by_number):
            self._by_number.append(place)
        return number

    def _bit(self, metric: str) -> int:
        return 1 << self._bits.setdefault(metric, len(self._bits))

    def _bits_of(self, metrics: tuple[str, ...]) -> int:
        """Return one bit per metric; rows record the same few sets again and again."""
        known = self._sets.get(metrics)
        if known is None:
            known = sum(self._bit(metric) for metric in frozenset(metrics))
            if len(self._sets) < _MOST_SETS:
                self._sets[metrics] = known
        return known

    def _entry(self, key: bytes) -> _Entry | None:
        entry = self._recent.get(key)
        if entry is not None or self._file is None:
            return entry
        try:
            row = self._file.execute(_SELECT, (key,)).fetchone()
        except sqlite3.Error as error:
            raise _unusable(error) from error
        if row is None:
            return None
        line, at, subject, place, told = row
        return _Entry(line, at, subject + _HALF, place, int(told, 16))

    def _keep(self, key: bytes, entry: _Entry) -> None:
        self._recent[key] = entry
        if len(self._recent) > self._most:
            self._spill()

    def _spill(self) -> None:
        """Move everything to the file, in the order in which it is stored there."""
        rows = (
            (key, e.line, e.at, e.subject - _HALF, e.place, f"{e.told:x}")
            for key, e in sorted(self._recent.items())
        )
        try:
            file = self._opened()
            file.execute("BEGIN")
            file.executemany(_INSERT, rows)
            file.execute("COMMIT")
        except sqlite3.Error as error:
            raise _unusable(error) from error
        self._recent.clear()

    def _opened(self) -> sqlite3.Connection:
        if self._file is None:
            # An empty name is a private database on disk, deleted while it is open.
            file = sqlite3.connect("", isolation_level=None)
            self._file = self._stack.enter_context(closing(file))
            file.execute(f"PRAGMA cache_size = -{_PAGES_KB}")
            file.execute("PRAGMA journal_mode = OFF")
            file.execute("PRAGMA synchronous = OFF")
            file.execute(_TABLE)
        return self._file


def _key(name: str) -> bytes:
    return name.encode(errors="surrogatepass")


def _unusable(error: Exception) -> LogError:
    return LogError(
        f"the temporary file of ids cannot be used ({error}); give it room, or set "
        "SQLITE_TMPDIR to a folder that has some"
    )
