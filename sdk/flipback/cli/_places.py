"""Whether store and ledger can be used, found out without creating either."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from flipback.app._open import open_store
from flipback.config import Settings
from flipback.control import ledger_name
from flipback.errors import ConfigError, FlipbackError, LedgerError, Mistake, StoreError
from flipback.latch import Latch, merge_all
from flipback.ports import Clock, EntryKind, LedgerEntry, Store
from flipback.stores import FileLedger


PUT_BACK = (
    "put the file back from a backup; without one, keep it elsewhere and name another "
    "file as `ledger`: that one begins anew with the kills that the store knows, and "
    "the copy of this one stays in the store"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened to routes, as far as store and ledger can be read."""

    latches: Sequence[Latch] = ()
    entries: Sequence[LedgerEntry] = ()

    def killed(self, route: str) -> Latch | None:
        """Return the kill after which the flag has no split, None without one.

        That is a kill that is held, or was released after it had reached the flag.
        """
        latch = merge_all(route, [each for each in self.latches if each.route == route])
        arrived = any(
            entry.kind is EntryKind.FLAG_WRITE
            and entry.route == route
            and latch.intent in entry.note
            for entry in self.entries
        )
        return latch if latch.trip and (latch.held or arrived) else None


def open_places(settings: Settings, clock: Clock, mistakes: list[Mistake]) -> History:
    """Read store and ledger; name what keeps them from being read."""
    entries: Sequence[LedgerEntry] = ()
    latches: list[Latch] = []
    ledger = FileLedger(settings.ledger, clock)
    try:
        entries = ledger.entries()
        latches.extend(ledger.latches().values())
    except LedgerError as error:
        mistakes.append(_unusable(settings, "ledger", error))
    try:
        stored = _stored(settings, clock)
        latches.extend(stored.latches)
        if not any(mistake.key == "ledger" for mistake in mistakes):
            mistakes.extend(_lost(settings, ledger, stored.copies))
    except StoreError as error:
        mistakes.append(_unusable(settings, "store", error))
    except ConfigError as error:
        mistakes.extend(error.mistakes)
    return History(latches=latches, entries=entries)


def kind_of_store(settings: Settings, clock: Clock) -> Iterator[Mistake]:
    """Yield a mistake if nothing installed serves such a store; it is not opened."""
    try:
        open_store(settings, clock).close()
    except ConfigError as error:
        yield from error.mistakes


class _Stored(NamedTuple):
    latches: Sequence[Latch] = ()
    copies: Sequence[LedgerEntry] = ()


def _stored(settings: Settings, clock: Clock) -> _Stored:
    store = open_store(settings, clock)
    try:
        return _Stored() if is_not_there_yet(settings) else _read(store, settings)
    finally:
        store.close()


def _read(store: Store, settings: Settings) -> _Stored:
    copies = store.mirrored(ledger_name(settings.ledger))
    return _Stored(tuple(store.latches().values()), copies)


def _lost(
    settings: Settings, ledger: FileLedger, copies: Sequence[LedgerEntry]
) -> Iterator[Mistake]:
    """Yield a mistake if entries that have a copy are not in the ledger any more."""
    entries = ledger.entries()  # after the copies: others may write meanwhile
    known = {entry.digest for entry in entries}
    lost = [copy for copy in copies if copy.digest not in known]
    if not lost:
        return
    has = f"{len(entries):,} entries" if entries else "no entry"
    yield Mistake(
        file=str(settings.path),
        table="",
        key="ledger",
        problem=f"{settings.ledger} has {has}, and {len(lost):,} that the store has "
        "copies of are not among them: the file was lost or cut, or edited",
        remedy=f"look at `flipback ledger --verify`, and {PUT_BACK}",
    )


def is_not_there_yet(settings: Settings) -> bool:
    """Return whether opening the store would create its file.

    Raises:
        StoreError: The file could not even be created.
    """
    scheme, _, location = settings.store.partition(":")
    if scheme != "sqlite" or not location or location.startswith(":"):
        return False
    path = Path(settings.base, location)
    if not path.parent.is_dir():
        raise StoreError(f"its folder {path.parent} does not exist; create it")
    return not path.exists() or (path.is_file() and not path.stat().st_size)


def _unusable(settings: Settings, key: str, error: FlipbackError) -> Mistake:
    """Return a mistake whose remedy is what the error says to do."""
    problem, _, remedy = str(error).partition("; ")
    return Mistake(
        file=str(settings.path),
        table="",
        key=key,
        problem=f"cannot be used: {problem}",
        remedy=remedy or f"see to it, or correct `{key}`",
    )
