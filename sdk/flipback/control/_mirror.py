"""Copy the ledger of this host to the store, where it survives the host's disk."""

import socket
from collections.abc import Sequence
from pathlib import Path

from flipback.ports import Ledger, LedgerEntry, LedgerMirror
from flipback.routing import Faults


_AT_ONCE = 500  # entries in one transaction, for which others wait


def ledger_name(path: Path) -> str:
    """Return the name by which the store keeps copies of this host's ledger."""
    return f"{socket.gethostname()}:{path.absolute()}"


class Mirror:
    """Keeps the store's copy of a ledger up to date, and never changes what is there.

    A ledger that is shorter than its copy, or another one, is not copied any more:
    whoever cut or edited it must not cut or edit the copy by it. That is noted once,
    and `flipback ledger --verify` says it too.

    Args:
        ledger: The ledger of this host.
        store: Where the copy is.
        name: Which ledger, as `host:path`.
        faults: Is told what goes wrong.
    """

    def __init__(
        self, ledger: Ledger, store: LedgerMirror, name: str, faults: Faults
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._name = name
        self._faults = faults
        self._copied = 0
        self._told = ""

    def copy(self) -> bool:
        """Copy what the store lacks; return whether it has all of the ledger now.

        Where nothing is new it costs a look at the file and at one row. Never raises.
        """
        try:
            return self._copy()
        except Exception as error:  # noqa: BLE001 - the heart goes on beating
            self._faults.note("*", "ledger not copied to the store", error)
            return False

    def _copy(self) -> bool:
        start = max(0, self._copied - 1)
        copies, entries = self._read(after=start)
        if start and not copies:  # another store has taken its place
            start = 0
            copies, entries = self._read(after=start)
        if not _fits(copies, entries):
            return self._refuse()
        known = {copy.number for copy in copies}
        missing = [entry for entry in entries[start:] if entry.number not in known]
        for first in range(0, len(missing), _AT_ONCE):
            self._store.mirror(self._name, missing[first : first + _AT_ONCE])
        self._copied = len(entries)
        self._told = ""
        return True

    def _read(
        self, *, after: int
    ) -> tuple[Sequence[LedgerEntry], Sequence[LedgerEntry]]:
        """Return copies and entries; the store first, which others may add to."""
        copies = self._store.mirrored(self._name, after=after)
        return copies, self._ledger.entries()

    def _refuse(self) -> bool:
        if not self._told:
            self._told = self._problem()
            self._faults.note("*", "ledger and its copy disagree", self._told)
        return False

    def _problem(self) -> str:
        copies, entries = self._read(after=0)
        where = f"the ledger at {self._name.partition(':')[2]}"
        for copy, entry in zip(copies, entries, strict=False):
            if copy.digest != entry.digest:
                return (
                    f"{where} differs from its copy in the store from entry "
                    f"{entry.number} on; find out who wrote to it, see "
                    "`flipback ledger --verify`"
                )
        return (
            f"{where} is shorter than its copy in the store; find out who cut or moved "
            "it, see `flipback ledger --verify`"
        )


def _fits(copies: Sequence[LedgerEntry], entries: Sequence[LedgerEntry]) -> bool:
    """Return whether each copy is that of the entry with its number."""
    return all(
        copy.number <= len(entries) and copy.digest == entries[copy.number - 1].digest
        for copy in copies
    )
