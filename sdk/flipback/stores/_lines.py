"""The lines of a ledger: how one is written, and how a whole file is checked.

A line is a JSON object. Its `digest` is the SHA-256 of the same object without
it, with sorted keys and no blanks; `previous` is the digest of the line before.
Blank lines are padding and carry nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from pydantic import TypeAdapter, ValidationError

from flipback.errors import LedgerError
from flipback.latch import Latch
from flipback.ports import EntryKind, LedgerEntry, LedgerNote


_FIELDS = TypeAdapter(dict[str, object])
_ENTRY = TypeAdapter(LedgerEntry)
_REMEDY = (
    "it was edited or damaged; move the file away, so that a new ledger is "
    "rebuilt from the store, and find out who wrote to it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A ledger file as it was read.

    Attributes:
        entries: All entries, oldest first.
        latches: The greatest latch of each route.
        end: Offset at which the next line starts, in bytes.
        used: Offset behind the last byte that is no padding; beyond `end` where
            the last append was torn.
        size: Size of the file in bytes, padding included.
    """

    entries: tuple[LedgerEntry, ...] = ()
    latches: dict[str, Latch] = field(default_factory=dict[str, Latch])
    end: int = 0
    used: int = 0
    size: int = 0

    def latch(self, route: str) -> Latch:
        """Return a route's latch; never killed where the ledger knows of none."""
        return self.latches.get(route, Latch(route=route))

    def killed_by(self, route: str, intent: str) -> Latch | None:
        """Return the latch that this intent has left, None if it is new."""
        kills = (each for each in self.entries if each.kind is EntryKind.KILL)
        latches = (kill.latch for kill in kills if kill.route == route)
        return next((each for each in latches if each and each.intent == intent), None)

    def next_entry(
        self,
        kind: EntryKind,
        route: str,
        *,
        at: str,
        latch: Latch,
        note: str,
        findings: tuple[str, ...] = (),
    ) -> LedgerEntry:
        """Return the entry of a kill or a release that comes after these."""
        return self._chained(
            LedgerEntry(
                number=0,
                kind=kind,
                at=at,
                route=route,
                latch=latch,
                note=note,
                previous="",
                digest="",
                actor=latch.actor,
                findings=findings,
            )
        )

    def noted(self, note: LedgerNote) -> LedgerEntry:
        """Return the entry of anything else that comes after these."""
        return self._chained(
            LedgerEntry(
                number=0,
                kind=note.kind,
                at=note.at,
                route=note.route,
                latch=None,
                note=note.text,
                previous="",
                digest="",
                actor=note.actor,
                attempt=note.attempt,
                stage=note.stage,
                before=note.before,
                after=note.after,
                findings=note.findings,
                snapshot=note.snapshot,
            )
        )

    def _chained(self, entry: LedgerEntry) -> LedgerEntry:
        previous = self.entries[-1].digest if self.entries else ""
        numbered = replace(entry, number=len(self.entries) + 1, previous=previous)
        return replace(numbered, digest=_digest(asdict(numbered)))


def line_of(entry: LedgerEntry) -> bytes:
    """Return an entry as its line, line feed included."""
    return _canonical(asdict(entry)) + b"\n"


def parse(content: bytes, *, name: str) -> Contents:
    """Return what a ledger holds, having checked every line and the chain.

    What follows the last good line and is no JSON is an append that a crash has
    torn: it was never acknowledged and is left out.

    Args:
        content: The whole file.
        name: What to call the file in errors.

    Raises:
        LedgerError: Any other line is broken or out of order; names the first.
    """
    used = len(content.rstrip(b"\n"))
    entries: list[LedgerEntry] = []
    end = offset = torn_at = 0
    for number, line in enumerate(content[:used].split(b"\n"), start=1):
        offset += len(line) + 1
        if not line:
            continue
        fields = _fields(line)
        if fields is None:
            torn_at = torn_at or number
            continue
        if torn_at:
            raise LedgerError(f"{name}:{torn_at} is no ledger entry; {_REMEDY}")
        entries.append(_checked(fields, entries, where=f"{name}:{number}"))
        end = offset
    return Contents(
        entries=tuple(entries),
        latches=_latches(entries),
        end=end,
        used=used,
        size=len(content),
    )


def _fields(line: bytes) -> dict[str, object] | None:
    try:
        return _FIELDS.validate_json(line)
    except ValidationError:
        return None


def _checked(
    fields: Mapping[str, object], before: Sequence[LedgerEntry], *, where: str
) -> LedgerEntry:
    if fields.get("digest") != _digest(fields):
        raise LedgerError(f"{where} does not match its digest; {_REMEDY}")
    try:
        entry = _ENTRY.validate_python(fields)
    except ValidationError as error:
        raise LedgerError(
            f"{where} was written by a later version of flipback; upgrade flipback"
        ) from error
    previous = before[-1].digest if before else ""
    if entry.previous != previous or entry.number != len(before) + 1:
        raise LedgerError(f"{where} does not follow the line before; {_REMEDY}")
    return entry


def _latches(entries: Iterable[LedgerEntry]) -> dict[str, Latch]:
    merged: dict[str, Latch] = {}
    for entry in entries:
        if entry.latch is not None:
            known = merged.get(entry.route, Latch(route=entry.route))
            merged[entry.route] = known.merge(entry.latch)
    return merged


def _digest(fields: Mapping[str, object]) -> str:
    """Digest the fields as written: later versions may have more than we know."""
    rest = {name: value for name, value in fields.items() if name != "digest"}
    return hashlib.sha256(_canonical(rest)).hexdigest()


def _canonical(fields: Mapping[str, object]) -> bytes:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace")  # a lone surrogate must not stop a kill
