"""The embedded store and the ledger: one file each, no server.

Every implementation of a store runs `flipback.testing.StoreContract`.
"""

from flipback.stores._flights import SUFFIX, Flights, LostCall, lost_calls
from flipback.stores._ledger import FileLedger
from flipback.stores._sqlite import SqliteStore, open_sqlite
from flipback.stores._verify import Break, Survey, survey, verify


__all__ = [
    "SUFFIX",
    "Break",
    "FileLedger",
    "Flights",
    "LostCall",
    "SqliteStore",
    "Survey",
    "lost_calls",
    "open_sqlite",
    "survey",
    "verify",
]
