"""The embedded store and the ledger: one file each, no server.

Every implementation of a store runs `flipback.testing.StoreContract`.
"""

from flipback.stores._ledger import FileLedger
from flipback.stores._sqlite import SqliteStore, open_sqlite


__all__ = ["FileLedger", "SqliteStore", "open_sqlite"]
