"""That a kill reached the flag: how the flag shows it and the ledger remembers it."""

from flipback.config import variant_named_by
from flipback.latch import Latch
from flipback.plan import RolloutPlan
from flipback.ports import EntryKind, FlagState, LedgerEntry


def arrival(latch: Latch) -> str:
    """Spell the note by which the ledger remembers that a kill reached the flag."""
    return f"kill {latch.intent}{_of_trip(latch.trip)}"


def is_arrival(entry: LedgerEntry, trip: int) -> bool:
    """Return whether an entry notes that this trip of its route reached the flag."""
    return entry.kind is EntryKind.FLAG_WRITE and entry.note.endswith(_of_trip(trip))


def offered(plan: RolloutPlan, state: FlagState) -> str:
    """Return what a flag serves besides control, empty for nothing."""
    if not state.enabled:
        return "it is off, and hands out the default of whoever asks"
    default = state.default_variant
    if default is None or not _is_control(plan, state, default):
        return f"it serves {default!r} where no rule decides, and not control"
    for split in (state.split, *state.splits.values()):
        for name, weight in split.items():
            if weight and not _is_control(plan, state, name):
                return f"a split of it still serves {name!r}"
    return ""


def _of_trip(trip: int) -> str:
    return f" of trip {trip} reached the flag service"


def _is_control(plan: RolloutPlan, state: FlagState, name: str) -> bool:
    return variant_named_by(plan, state.variants.get(name)) == plan.control
