"""The tables of the embedded store, and which versions of us may share them."""

import sqlite3
from pathlib import Path

from flipback.errors import StoreError


SCHEMA = 3
"""Version of the tables below; raised with any change of them."""

OLDEST = 1
"""Oldest version that may use tables of this one, so that a rolling deploy works.

Earlier versions name the columns that they read and write; those that were added have
defaults, which mean that nothing is known. No version before 3 replaces a rollout
record, so none can take away from it what it does not know.
"""

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE writers (
    writer TEXT PRIMARY KEY, last INTEGER NOT NULL, seen_at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE epochs (
    route TEXT, digest TEXT, ordinal INTEGER NOT NULL,
    attempt INTEGER NOT NULL, trip INTEGER NOT NULL, described TEXT NOT NULL,
    comparison TEXT NOT NULL, flushed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (route, digest)
) WITHOUT ROWID;

CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    route TEXT NOT NULL, attempt INTEGER NOT NULL, epoch TEXT NOT NULL,
    rule TEXT NOT NULL, slice INTEGER NOT NULL, metric TEXT NOT NULL,
    cohort TEXT NOT NULL, variant TEXT NOT NULL,
    subjects INTEGER NOT NULL DEFAULT 0,
    UNIQUE (route, attempt, epoch, rule, slice, metric, cohort, variant)
);

CREATE TABLE cells (
    key INTEGER PRIMARY KEY,
    origin REAL NOT NULL, n BLOB NOT NULL, x BLOB NOT NULL, xx REAL NOT NULL
);

CREATE TABLE subjects (
    key INTEGER, hash INTEGER, PRIMARY KEY (key, hash)
) WITHOUT ROWID;

CREATE TABLE samples (
    route TEXT, attempt INTEGER, halvings INTEGER NOT NULL,
    PRIMARY KEY (route, attempt)
) WITHOUT ROWID;

CREATE TABLE late (
    decision TEXT, metric TEXT, expires_at REAL NOT NULL,
    PRIMARY KEY (decision, metric)
) WITHOUT ROWID;
CREATE INDEX late_expiry ON late (expires_at);

CREATE TABLE excluded (
    route TEXT, trip INTEGER, reason TEXT, exposures INTEGER NOT NULL,
    PRIMARY KEY (route, trip, reason)
) WITHOUT ROWID;

CREATE TABLE latches (
    route TEXT PRIMARY KEY, trip INTEGER NOT NULL, held INTEGER NOT NULL,
    reason TEXT NOT NULL, actor TEXT NOT NULL, intent TEXT NOT NULL, at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE rollouts (
    route TEXT PRIMARY KEY, revision INTEGER NOT NULL, record TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL, fence INTEGER NOT NULL, expires_at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE processes (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL,
    seen_at REAL NOT NULL, trips TEXT NOT NULL
) WITHOUT ROWID;
"""

_SINCE = {
    2: """
ALTER TABLE epochs ADD COLUMN flag_version TEXT NOT NULL DEFAULT '';
ALTER TABLE epochs ADD COLUMN shares TEXT NOT NULL DEFAULT '{}';
ALTER TABLE epochs ADD COLUMN thresholds TEXT NOT NULL DEFAULT '{}';

ALTER TABLE samples ADD COLUMN events_halvings INTEGER NOT NULL DEFAULT 0;

CREATE TABLE histograms (
    key INTEGER, bin INTEGER, n INTEGER NOT NULL, PRIMARY KEY (key, bin)
) WITHOUT ROWID;

CREATE TABLE frozen (
    route TEXT, comparison TEXT, metric TEXT, tail REAL NOT NULL, cap REAL NOT NULL,
    PRIMARY KEY (route, comparison, metric)
) WITHOUT ROWID;
""",
    3: """
ALTER TABLE epochs ADD COLUMN seen_at REAL NOT NULL DEFAULT 0;
ALTER TABLE epochs ADD COLUMN opened_at REAL NOT NULL DEFAULT 0;

ALTER TABLE processes ADD COLUMN obeyed_at TEXT NOT NULL DEFAULT '{}';
ALTER TABLE processes ADD COLUMN drill TEXT NOT NULL DEFAULT '';
ALTER TABLE processes ADD COLUMN serves INTEGER NOT NULL DEFAULT 1;
ALTER TABLE processes ADD COLUMN guards INTEGER NOT NULL DEFAULT 0;
ALTER TABLE processes ADD COLUMN leads TEXT NOT NULL DEFAULT '[]';

CREATE TABLE entries (
    ledger TEXT, number INTEGER, entry TEXT NOT NULL, PRIMARY KEY (ledger, number)
);

CREATE TABLE notices (
    id TEXT PRIMARY KEY, target INTEGER NOT NULL, event TEXT NOT NULL,
    route TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL,
    attempts INTEGER NOT NULL, next_at REAL NOT NULL, settled_at REAL
);
CREATE INDEX notices_due ON notices (next_at) WHERE settled_at IS NULL;

CREATE TABLE course (
    route TEXT, attempt INTEGER, number INTEGER, at REAL NOT NULL, point TEXT NOT NULL,
    PRIMARY KEY (route, attempt, number)
);
""",
}
"""What each later version adds to the tables of version 1."""


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make a new connection usable: journal, tables, and a version that we know.

    Raises:
        StoreError: The file belongs to something else, or to a later version.
        sqlite3.OperationalError: Others are using the file; to be called again, as
            SQLite itself does not wait for others while it switches the journal.
    """
    if not db.execute("PRAGMA page_count").fetchone()[0]:
        # Of effect in a new file only, where pruning can then give space back by parts.
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
    db.execute("PRAGMA journal_mode=WAL").fetchone()
    with db:
        db.execute("BEGIN")
        known = _is_store(db, path)
    if not known:
        _create(db, path)
    _check_version(db, path)
    if _version(db) < SCHEMA:
        _migrate(db)


def _is_store(db: sqlite3.Connection, path: Path) -> bool:
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
    if tables and "meta" not in tables:
        raise StoreError(
            f"{path} is a database of something else; name another file in `store`"
        )
    return bool(tables)


def _create(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA synchronous=FULL")
    with db:
        db.execute("BEGIN IMMEDIATE")
        if _is_store(db, path):
            return
        _run(db, _TABLES)
        _upgrade(db, after=1)


def _migrate(db: sqlite3.Connection) -> None:
    """Add in place what an earlier version's file lacks; one of many does it."""
    db.execute("PRAGMA synchronous=FULL")
    with db:
        db.execute("BEGIN IMMEDIATE")
        _upgrade(db, after=_version(db))


def _upgrade(db: sqlite3.Connection, *, after: int) -> None:
    for version in range(after + 1, SCHEMA + 1):
        _run(db, _SINCE[version])
    if after < SCHEMA:
        versions = (("schema", SCHEMA), ("oldest", OLDEST))
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", versions)


def _run(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        db.execute(statement)


def _version(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    return int(row[0]) if row else SCHEMA


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    rows = db.execute("SELECT name, value FROM meta WHERE name IN ('schema', 'oldest')")
    versions = {str(name): int(value) for name, value in rows}
    if versions.get("oldest", SCHEMA + 1) > SCHEMA:
        raise StoreError(
            f"{path} was written by a later version of flipback (schema "
            f"{versions.get('schema', 'unknown')}, this one knows {SCHEMA}); "
            "upgrade flipback, or name another file in `store`"
        )
