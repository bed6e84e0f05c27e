"""What the ledger knows of rollouts that the store has lost."""

from collections.abc import Sequence
from dataclasses import replace

from flipback.control._commands import rollout_command
from flipback.ports import EntryKind, LedgerEntry
from flipback.rollout import RolloutRecord


_OVER = frozenset({EntryKind.KILL, EntryKind.FINISH})
LOST = "the store has lost a rollout"


def lost(record: RolloutRecord, entries: Sequence[LedgerEntry]) -> str:
    """Return that the ledger has an attempt under way, empty where the store knows.

    Args:
        record: What a store that can be read has of the route.
        entries: Of the ledger, oldest first.
    """
    begun = None if record.revision else _under_way(record.route, entries)
    if begun is None:
        return ""
    return (
        f"the store knows no rollout, but the ledger has attempt {begun.attempt} "
        f"under way since {begun.at}; nothing moves it on: put the store back, or "
        f"start it again with: {rollout_command('start', record.route)}"
    )


def after_lost(
    record: RolloutRecord, before: RolloutRecord, entries: Sequence[LedgerEntry]
) -> RolloutRecord:
    """Return the record of a new attempt with a number that none had before.

    A store that was lost, or put back from a copy, counts from too early, and what
    was seen of another attempt would be taken for this one's. Where it knows no
    attempt at all, those since the last finish count as tries of this version.
    """
    starts = [e for e in _of(record.route, entries) if e.kind is EntryKind.START]
    if not starts:
        return record
    attempt = max(record.attempt, 1 + max(each.attempt for each in starts))
    if before.revision:
        return replace(record, attempt=attempt)
    finished = [e.number for e in entries if _is_finish(e, record.route)]
    tries = sum(each.number > max(finished, default=0) for each in starts)
    return replace(record, attempt=attempt, tries=tries + 1)


def _under_way(route: str, entries: Sequence[LedgerEntry]) -> LedgerEntry | None:
    begun = None
    for entry in _of(route, entries):
        if entry.kind is EntryKind.START:
            begun = entry
        elif entry.kind in _OVER:
            begun = None
    return begun


def _of(route: str, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    return [entry for entry in entries if entry.route == route]


def _is_finish(entry: LedgerEntry, route: str) -> bool:
    return entry.route == route and entry.kind is EntryKind.FINISH
