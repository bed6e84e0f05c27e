"""Copies of ledgers in a table: entries as their lines, by ledger and number."""

import sqlite3
from collections.abc import Iterable, Sequence

from pydantic import TypeAdapter

from flipback.ports import LedgerEntry
from flipback.stores._lines import line_of


_ENTRIES = TypeAdapter(LedgerEntry)
_ADD = "INSERT OR IGNORE INTO entries (ledger, number, entry) VALUES (?, ?, ?)"


def add(db: sqlite3.Connection, ledger: str, entries: Iterable[LedgerEntry]) -> None:
    """Keep copies; those that are there already stay as they are."""
    rows = [(ledger, entry.number, line_of(entry).decode()) for entry in entries]
    db.executemany(_ADD, rows)


def copies(db: sqlite3.Connection, ledger: str, *, after: int) -> Sequence[LedgerEntry]:
    """Return the copies of entries with a greater number, oldest first."""
    rows = db.execute(
        "SELECT entry FROM entries WHERE ledger = ? AND number > ? ORDER BY number",
        (ledger, after),
    )
    return tuple(_ENTRIES.validate_json(entry) for (entry,) in rows)


def ledgers(db: sqlite3.Connection) -> Sequence[str]:
    """Return which ledgers there are copies of, by name."""
    rows = db.execute("SELECT DISTINCT ledger FROM entries ORDER BY ledger")
    return tuple(ledger for (ledger,) in rows)
