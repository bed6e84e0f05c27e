"""The embedded store and the ledger: one file each, no server.

Every implementation of a store runs `flipback.testing.StoreContract`.
"""

from flipback.stores._flights import SUFFIX, Flights, LostCall, lost_calls
from flipback.stores._ledger import FileLedger
from flipback.stores._sqlite import SqliteStore, open_sqlite


__all__ = [
    "SUFFIX",
    "FileLedger",
    "Flights",
    "LostCall",
    "SqliteStore",
    "lost_calls",
    "open_sqlite",
]
