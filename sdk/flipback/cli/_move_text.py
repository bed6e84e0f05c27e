"""What became of a move or a restore, for the person who asked for it."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from flipback.analysis import as_json
from flipback.app import Moved, Restored
from flipback.cli._exit import ExitCode
from flipback.cli._findings import gate_lines
from flipback.cli._offer import offer
from flipback.cli._page import folded, row
from flipback.cli._rollout_json import rollout_json
from flipback.cli._rollout_text import Fact, Rollout, command, next_facts, rollout_facts
from flipback.cli._shell import plain
from flipback.cli._status_json import flag_json
from flipback.config import GuardSettings, candidate_weight
from flipback.control import release_command
from flipback.latch import Latch
from flipback.plan import RolloutPlan, lasting
from flipback.ports import FlagState
from flipback.verdict import Verdict


_NOTHING = timedelta(0)


def moved_text(
    moved: Moved,
    past: str,
    guard: GuardSettings,
    *,
    latch: Latch | None = None,
    skips: timedelta = _NOTHING,
) -> Iterator[str]:
    """Yield the lines of one move; the first says whether it was made.

    Args:
        moved: What became of it.
        past: What the rollout was to become, such as `paused`.
        guard: Who moves rollouts.
        latch: The latch of the route, None where it does not matter.
        skips: What is left of the window of the stage that was left.
    """
    if moved.refused:
        yield folded(plain(f"{moved.plan.route}: not {past}: {moved.refused}"))
    elif moved.pending:
        yield plain(f"{moved.plan.route}: {past}, but the flag is not moved yet")
    else:
        yield plain(f"{moved.plan.route}: {past}")
    if skips:
        yield row("skips", f"{lasting(skips)} of the window of the stage before")
    rollout = _rollout(moved, guard, latch)
    yield from (row(name, plain(text)) for name, text in _moved(moved, rollout))


def restored_text(restored: Restored, latch: Latch | None = None) -> Iterator[str]:
    """Yield the lines of one restore; the first says whether anything changed.

    Args:
        restored: What became of it.
        latch: The latch of the route, None where it does not matter.
    """
    plan = restored.plan
    yield folded(plain(f"{plan.route}: {_restored(restored)}"))
    yield from (
        row(name, plain(text)) for name, text in _after_restore(restored, latch)
    )


def moved_json(
    moved: Moved,
    move: str,
    guard: GuardSettings,
    code: ExitCode,
    *,
    skips: timedelta = _NOTHING,
) -> Mapping[str, object]:
    """Return one move as JSON values."""
    return {
        "exit": int(code),
        "route": moved.plan.route,
        "move": move,
        "moved": not moved.refused,
        "refused": moved.refused,
        "remedy": moved.remedy,
        "recorded": moved.recorded,
        "pending": moved.pending,
        "skips_s": skips.total_seconds(),
        "rollout": rollout_json(_rollout(moved, guard, None)),
        "gate": None if moved.gate is None else as_json(moved.gate),
        "flag": None if moved.flag is None else flag_json(moved.flag),
    }


def restored_json(restored: Restored, code: ExitCode) -> Mapping[str, object]:
    """Return one restore as JSON values."""
    return {
        "exit": int(code),
        "route": restored.plan.route,
        "restored": not restored.refused,
        "changed": restored.changed,
        "refused": restored.refused,
        "remedy": restored.remedy,
        "flag": None if restored.flag is None else flag_json(restored.flag),
    }


def _moved(moved: Moved, rollout: Rollout) -> Iterator[Fact]:
    if moved.remedy:
        yield "remedy", moved.remedy
    if moved.pending:
        yield "problem", f"{moved.pending}; whoever guards the route tries again"
    if not moved.recorded:
        yield "ledger", "NOT WRITTEN; the store has the move, and the report lacks it"
    yield from rollout_facts(rollout)
    yield "offered", _offered(moved.plan, moved.flag)
    if moved.gate is not None:
        yield from (("gate", line) for line in gate_lines(moved.gate))
    if not moved.remedy:
        yield from next_facts(rollout)
    if rollout.guard.dry_run:
        yield "dry run", "verdicts are recorded, the guard writes nothing"


def _rollout(moved: Moved, guard: GuardSettings, latch: Latch | None) -> Rollout:
    flag = moved.flag
    return Rollout(
        plan=moved.plan,
        record=moved.record,
        phase=moved.phase,
        latch=latch,
        split=flag is None or bool(flag.split),
        offered=None if flag is None else candidate_weight(moved.plan, flag),
        harm=moved.gate is not None and moved.gate.verdict is Verdict.FAIL,
        guard=guard,
    )


def _restored(restored: Restored) -> str:
    if restored.refused:
        return f"not restored: {restored.refused}"
    if not restored.changed:
        return "nothing to restore: the flag is as it should be"
    return f"the flag's rules are back, without {restored.plan.candidate}"


def _after_restore(restored: Restored, latch: Latch | None) -> Iterator[Fact]:
    plan, flag = restored.plan, restored.flag
    if restored.remedy:
        yield "remedy", restored.remedy
    yield "offered", _offered(plan, flag)
    for exception in flag.exceptions if flag is not None else ():
        yield "exception", exception
    if restored.refused:
        return
    start = f"{command('start', plan)} begins another attempt"
    if latch is not None and latch.held:
        start = (
            f"`{release_command(latch.route, latch.trip)}` comes first; then {start}"
        )
    yield "next", start


def _offered(plan: RolloutPlan, flag: FlagState | None) -> str:
    if flag is None:
        return "unknown: the flag service cannot be read from here"
    return offer(plan, flag)
