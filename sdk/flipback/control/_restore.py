"""Put the rules of a flag back as they were before a kill, without the candidate."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from flipback.assignment import Cohort
from flipback.config import flag_ref, flag_variant, variant_named_by
from flipback.control._arrival import is_arrival
from flipback.control._commands import release_command
from flipback.errors import FlagProblem, FlagWriteError
from flipback.latch import Latch, scope_of
from flipback.plan import RolloutPlan
from flipback.ports import (
    EntryKind,
    FlagChange,
    FlagState,
    FlagWriter,
    Intent,
    LedgerEntry,
    LedgerMirror,
    Version,
)


_BY_HAND = (
    "take the rules from the service's own history (flag file: `*.audit.jsonl` beside "
    "it) and put them back by hand, with the candidate at 0 %"
)
_OWN = "the ledger"
_WRITES = frozenset({EntryKind.FLAG_WRITE, EntryKind.RELEASE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A flag as it was before a kill was written to it.

    Attributes:
        raw: As the service spells it.
        after: Token of the version that the kill left.
        entry: Number of the ledger's entry that holds it.
        ledger: Which ledger, in words.
    """

    raw: str
    after: str
    entry: int
    ledger: str = _OWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What became of restoring a flag.

    Attributes:
        change: What was written; None where nothing was.
        refused: Why nothing was written; empty where the flag is as wanted now.
        remedy: What to do about that, or about what is not as before.
    """

    change: FlagChange | None = None
    refused: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCopy:
    """What a store has of a ledger, oldest first."""

    name: str
    entries: Sequence[LedgerEntry]


def copies_in(store: LedgerMirror) -> Iterator[LedgerCopy]:
    """Yield the store's copies of the ledgers of all hosts.

    Raises:
        StoreError: The store cannot be read.
    """
    for name in store.ledgers():
        yield LedgerCopy(name=name, entries=store.mirrored(name))


def snapshot_for(
    entries: Sequence[LedgerEntry], name: str, trip: int
) -> Snapshot | None:
    """Return the flag as it was before this trip, None if no entry holds it.

    A kill that found the flag killed already has no snapshot of its own. Then it is
    that of an earlier kill which left this very version, and of which no release
    came since: after one, people may have given the flag other rules.

    Args:
        entries: Of a ledger, oldest first.
        name: Of the latch: the route's, or a cohort's in it.
        trip: Which kill.
    """
    arrivals = [e for e in entries if e.route == name and is_arrival(e, trip)]
    for entry in arrivals:
        if entry.snapshot:
            return _snapshot(entry)
    if not arrivals:
        return None
    return _left_by_others(arrivals[0], entries)


def restore_flag(
    plan: RolloutPlan,
    latch: Latch,
    *,
    writer: FlagWriter,
    entries: Sequence[LedgerEntry],
    intent: Intent,
    killed: Iterable[Cohort] = (),
    copies: Callable[[], Iterable[LedgerCopy]] = tuple,
) -> Restoration:
    """Put the flag's rules of before a kill back, the candidate at weight 0.

    Nothing is written if anybody changed the flag since the kill. Whoever was
    pinned to the candidate gets control. Afterwards the flag has its managed split
    again, which `start` ramps. Never raises.

    Args:
        plan: The plan of the route.
        latch: The kill, of the route or of a cohort in it.
        writer: Writes the flag.
        entries: Of the ledger, oldest first.
        intent: Who and why.
        killed: Cohorts whose latches are held: they get control whatever the split.
        copies: Asked for the ledgers of all hosts where this one lacks the rules.
    """
    snapshot = snapshot_for(entries, latch.route, latch.trip)
    if snapshot is None:
        snapshot = _of_others(copies(), latch)
    if snapshot is None:
        return Restoration(
            refused=f"neither the ledger of this host nor a copy in the store has the "
            f"rules of flag {plan.flag!r} from before trip {latch.trip}",
            remedy=_BY_HAND,
        )

    def act() -> Restoration:
        state = writer.read(flag_ref(plan))
        if _is_restored(plan, snapshot, state.version, entries):
            return Restoration()
        change = _put_back(plan, snapshot, state, writer=writer, intent=intent)
        return _without_cohorts(plan, state, change, writer=writer, killed=killed)

    return _told(act, conflict=_edited_since(plan, latch, snapshot))


def readmit_cohort(
    plan: RolloutPlan,
    latch: Latch,
    *,
    writer: FlagWriter,
    intent: Intent,
    newest: Callable[[], Latch],
) -> Restoration:
    """Take the rule back that a kill of a cohort put in; the split stays.

    Args:
        plan: The plan of the route.
        latch: The kill of the cohort.
        writer: Writes the flag.
        intent: Who and why.
        newest: Reads the latch: a kill that comes meanwhile keeps its rule.
    """
    return _told(
        lambda: _readmitted(plan, latch, writer=writer, intent=intent, newest=newest),
        conflict=_failed(f"flag {plan.flag!r} was written by somebody else meanwhile"),
    )


def _told(act: Callable[[], Restoration], *, conflict: Restoration) -> Restoration:
    """Return what was done, or why not: a bug of a writer is told, not thrown."""
    try:
        return act()
    except FlagWriteError as error:
        is_conflict = error.kind is FlagProblem.CONFLICT
        return conflict if is_conflict else _failed(str(error))
    except Exception as error:  # noqa: BLE001 - see above
        return _failed(repr(error))


def _readmitted(
    plan: RolloutPlan,
    latch: Latch,
    *,
    writer: FlagWriter,
    intent: Intent,
    newest: Callable[[], Latch],
) -> Restoration:
    state, ref = writer.read(flag_ref(plan)), flag_ref(plan)
    now, cohort = newest(), scope_of(latch.route).cohort
    if now.held:
        return _still_held(now)
    control = flag_variant(plan, state, plan.control) or plan.control
    change = writer.readmit(
        ref, control=control, cohort=cohort, expect=state.version, intent=intent
    )
    now = newest()
    if not now.held:
        return Restoration(change=change)
    writer.kill(ref, control=control, intent=intent, cohort=cohort)
    return _still_held(now)


def _still_held(latch: Latch) -> Restoration:
    return Restoration(
        refused=f"{latch.route} is killed: trip {latch.trip}, {latch.reason}",
        remedy=release_command(latch.route, latch.trip),
    )


def _of_others(copies: Iterable[LedgerCopy], latch: Latch) -> Snapshot | None:
    for copy in copies:
        found = snapshot_for(copy.entries, latch.route, latch.trip)
        if found is not None:
            return replace(found, ledger=f"the ledger {copy.name}")
    return None


def _put_back(
    plan: RolloutPlan,
    snapshot: Snapshot,
    state: FlagState,
    *,
    writer: FlagWriter,
    intent: Intent,
) -> FlagChange:
    candidates = [
        name
        for name, value in state.variants.items()
        if variant_named_by(plan, value) == plan.candidate
    ]
    if len(candidates) > 1:
        named = ", ".join(map(repr, candidates))
        raise FlagWriteError(
            f"the variants {named} of flag {plan.flag!r} all mean the candidate, and "
            f"only one can be left out; {_BY_HAND}",
            kind=FlagProblem.INVALID_WRITE,
        )
    return writer.restore(
        replace(state, raw=snapshot.raw),
        expect=Version(token=snapshot.after, scope=state.version.scope),
        intent=intent,
        without=next(iter(candidates), None),
    )


def _without_cohorts(
    plan: RolloutPlan,
    state: FlagState,
    change: FlagChange,
    *,
    writer: FlagWriter,
    killed: Iterable[Cohort],
) -> Restoration:
    """Put rules of killed cohorts back, which a snapshot need not have."""
    control = flag_variant(plan, state, plan.control) or plan.control
    ref, missed = flag_ref(plan), list[str]()
    for cohort in killed:
        try:
            again = writer.kill(
                ref, control=control, intent=change.intent, cohort=cohort
            )
        except FlagWriteError as error:
            missed.append(f"{cohort} gets control only where flipback decides: {error}")
        else:
            change = replace(change, after=again.after)
    return Restoration(change=change, remedy="; ".join(missed))


def _left_by_others(
    arrival: LedgerEntry, entries: Sequence[LedgerEntry]
) -> Snapshot | None:
    for entry in _back_from(arrival, entries):
        if entry.kind is EntryKind.RELEASE or entry.after != arrival.after:
            return None
        if entry.snapshot:
            return _snapshot(entry)
    return None


def _back_from(
    arrival: LedgerEntry, entries: Sequence[LedgerEntry]
) -> Iterator[LedgerEntry]:
    """Yield what was written to the flag before, and releases, latest first."""
    route = scope_of(arrival.route).route
    earlier = [entry for entry in entries if entry.number < arrival.number]
    for entry in reversed(earlier):
        if scope_of(entry.route).route != route:
            continue
        if entry.after or entry.kind in _WRITES:
            yield entry


def _snapshot(entry: LedgerEntry) -> Snapshot:
    return Snapshot(raw=entry.snapshot, after=entry.after, entry=entry.number)


def _is_restored(
    plan: RolloutPlan,
    snapshot: Snapshot,
    now: Version,
    entries: Sequence[LedgerEntry],
) -> bool:
    """Return whether the flag is as an earlier restore of this snapshot left it."""
    return any(
        entry.kind is EntryKind.RESTORE
        and entry.route == plan.route
        and (entry.number > snapshot.entry or snapshot.ledger != _OWN)
        and (entry.before, entry.after) == (snapshot.after, now.token)
        for entry in entries
    )


def _edited_since(plan: RolloutPlan, latch: Latch, snapshot: Snapshot) -> Restoration:
    return Restoration(
        refused=f"flag {plan.flag!r} was edited after trip {latch.trip} had been "
        "written to it, and a restore would undo that",
        remedy="keep the flag as it is now; its rules from before the kill are in "
        f"entry {snapshot.entry} of {snapshot.ledger}",
    )


def _failed(why: str) -> Restoration:
    remedy = "see to the flag and its service, then restore again"
    return Restoration(refused=why, remedy=remedy)
