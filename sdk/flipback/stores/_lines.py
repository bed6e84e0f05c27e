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


MOST_FINDINGS = 20
"""Sentences that go into the entry of a kill."""

MOST_FINDINGS_BYTES = 8 * 1024
"""Bytes that they may take in its line, all together."""

MOST_REASON_BYTES = 2 * 1024
"""Bytes that the reason of a kill may take in its line, where it stands twice."""

_FIELDS = TypeAdapter(dict[str, object])
_ENTRY = TypeAdapter(LedgerEntry)
_CUT = "…"
_LEAST_FINDING_BYTES = 64
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
        return replace(numbered, digest=digest_of(asdict(numbered)))


def bounded(text: str, *, most: int) -> str:
    """Return text that takes at most so many bytes in a line, cut off where it ends."""
    if _length(text) <= most:
        return text
    kept = text[:most]
    while _length(kept) > most - len(_CUT.encode()):
        kept = kept[: len(kept) * 7 // 8]
    return kept + _CUT


def bounded_findings(findings: Sequence[str]) -> tuple[str, ...]:
    """Return the first of many findings, so that a kill fits into the room ahead."""
    kept: list[str] = []
    left = MOST_FINDINGS_BYTES
    for finding in findings[: MOST_FINDINGS - 1]:
        kept.append(bounded(finding, most=min(left, MOST_FINDINGS_BYTES // 4)))
        left -= _length(kept[-1])
        if left < _LEAST_FINDING_BYTES:
            break
    if missing := len(findings) - len(kept):
        kept.append(f"and {missing} more")
    return tuple(kept)


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
        fields = fields_of(line)
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


def fields_of(line: bytes) -> dict[str, object] | None:
    """Return the fields of a line as they were written; None where it is no object."""
    try:
        return _FIELDS.validate_json(line)
    except ValidationError:
        return None


def entry_of(fields: Mapping[str, object]) -> LedgerEntry | None:
    """Return the entry that a line's fields make; None where we do not know such."""
    try:
        return _ENTRY.validate_python(fields)
    except ValidationError:
        return None


def _checked(
    fields: Mapping[str, object], before: Sequence[LedgerEntry], *, where: str
) -> LedgerEntry:
    if fields.get("digest") != digest_of(fields):
        raise LedgerError(f"{where} does not match its digest; {_REMEDY}")
    entry = entry_of(fields)
    if entry is None:
        raise LedgerError(
            f"{where} was written by a later version of flipback; upgrade flipback"
        )
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


def digest_of(fields: Mapping[str, object]) -> str:
    """Digest the fields as written: later versions may have more than we know."""
    rest = {name: value for name, value in fields.items() if name != "digest"}
    return hashlib.sha256(_canonical(rest)).hexdigest()


def _length(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode(errors="replace"))


def _canonical(fields: Mapping[str, object]) -> bytes:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace")  # a lone surrogate must not stop a kill
