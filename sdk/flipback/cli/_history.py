"""The history of this host, from its ledger and from the store's copy of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from flipback.app._open import open_store
from flipback.cli._chains import edits_of, in_order
from flipback.cli._places import is_not_there_yet
from flipback.config import Settings
from flipback.control import ledger_name
from flipback.errors import ConfigError, LedgerError, StoreError
from flipback.latch import scope_of
from flipback.ports import Clock, LedgerEntry
from flipback.stores import Break, FileLedger, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that ledger and copy tell, and where they are not whole.

    Attributes:
        entries: Entries of the ledger, and those that only the copy has, by number;
            by time where a ledger that began anew has others of the same number.
        rescued: The digests of those that only the copy has.
        copied: How many entries have a copy.
        breaks: Where the ledger is not as it was written, or not what its copy is.
        edits: What edited entries say now, and what their copies say, a line each.
        unread: What could not be read, a sentence each.
        readable: The ledger could be read, if only in part.
        elsewhere: Other ledgers of which the store has copies.
    """

    entries: Sequence[LedgerEntry] = ()
    rescued: frozenset[str] = frozenset()
    copied: int = 0
    breaks: Sequence[Break] = ()
    edits: Sequence[str] = ()
    unread: Sequence[str] = ()
    readable: bool = True
    elsewhere: Sequence[str] = ()

    def about(self, route: str | None) -> Sequence[LedgerEntry]:
        """Return the entries about a route and its cohorts, all without a name."""
        return [
            entry
            for entry in self.entries
            if route is None or route in {entry.route, scope_of(entry.route).route}
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copies:
    entries: Sequence[LedgerEntry] = ()
    elsewhere: Sequence[str] = ()
    unread: Sequence[str] = ()


def told(settings: Settings, clock: Clock) -> Told:
    """Read ledger and store; neither is created, and what is broken is passed over."""
    # The store first: what is copied meanwhile is then in the ledger too.
    copies = _copies(settings, clock)
    unread = list(copies.unread)
    readable = True
    try:
        found = FileLedger(settings.ledger, clock).survey()
        entries, breaks = found.entries, found.breaks
        breaks = (*breaks, *verify(entries, copies.entries))
    except LedgerError as error:
        entries, breaks, readable = (), (), False
        unread.insert(0, str(error))
    known = {entry.digest for entry in entries}
    rescued = [copy for copy in copies.entries if copy.digest not in known]
    return Told(
        entries=in_order(entries, rescued),
        rescued=frozenset(copy.digest for copy in rescued),
        copied=len(copies.entries),
        breaks=breaks,
        edits=tuple(edits_of(settings.ledger, copies.entries)) if breaks else (),
        unread=unread,
        readable=readable,
        elsewhere=copies.elsewhere,
    )


def _copies(settings: Settings, clock: Clock) -> _Copies:
    name = ledger_name(settings.ledger)
    try:
        store = open_store(settings, clock)
    except ConfigError as error:
        return _Copies(unread=[str(error)])
    try:
        if is_not_there_yet(settings):
            return _Copies()
        return _Copies(
            entries=store.mirrored(name),
            elsewhere=[each for each in store.ledgers() if each != name],
        )
    except StoreError as error:
        return _Copies(unread=[str(error)])
    finally:
        store.close()
