"""Refusals and counts as people say them, where the code has names for them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flipback.app import Moved
from flipback.cli._brief import brief
from flipback.cli._rollout_text import REASON, Rollout, command
from flipback.control import release_command
from flipback.latch import Latch
from flipback.rollout import By, Move, Phase, refusal


_COMMANDS: Mapping[Phase, Sequence[str]] = {
    Phase.IDLE: ("start", "kill"),
    Phase.SHADOW: ("promote", "pause", "kill"),
    Phase.CANARY: ("promote", "pause", "kill"),
    Phase.WATCH: ("finish", "pause", "kill"),
    Phase.PAUSED: ("resume", "kill"),
    Phase.ROLLED_BACK: ("start",),
    Phase.FINISHED: ("start", "kill"),
}
_WITH_REASON = frozenset({"pause", "kill"})
_EXCLUDED = {
    "targeting_match": "by a fixed rule of the flag",
    "static": "by a fixed value of the flag",
    "default": "by the flag's default",
    "disabled": "while the flag was off",
    "cached": "by an answer from a cache",
    "stale": "by an answer that was out of date",
    "unknown": "for a reason that the flag service does not name",
    "error": "after an error of the flag service",
    "forced_control": "while control was forced",
    "killed": "while control was served by a kill",
    "provider_not_ready": "before the flag service was ready",
    "targeting_key_missing": "without a targeting key",
    "type_mismatch": "as the flag has another type",
    "flag_not_found": "as the flag was not found",
    "unknown_variant": "by a variant that the plan does not name",
    "other_variant": "by a variant of another rollout",
    "outcome_late": "outcomes that came too late",
    "outcome_not_positive": "outcomes that are not positive",
}


def reworded(moved: Moved, move: Move, latch: Latch) -> Moved:
    """Return a refused move, its refusal and remedy in the words of commands.

    Args:
        moved: What became of it.
        move: What was asked for.
        latch: The route's latch now.
    """
    route = moved.plan.route
    unlawful = refusal(moved.phase, move, By.PERSON)
    if unlawful and moved.refused == unlawful:
        moved = replace(moved, refused=_standing(moved, move))
        moved = replace(moved, remedy=moved.remedy or _remedy(moved))
    if latch.held:
        return replace(moved, remedy=release_command(route, latch.trip))
    if move is Move.START and _never_had_split(moved, latch):
        why = f"flag {moved.plan.flag!r} has no split to move"
        remedy = "give the flag a split; `flipback check` says how"
        return replace(moved, refused=why, remedy=remedy)
    return replace(moved, refused=brief(moved.refused))


def not_compared(excluded: Mapping[str, int]) -> str:
    """Return what was counted and is not compared, and why."""
    counts = (
        f"{count:,} {_EXCLUDED.get(why, why.replace('_', ' '))}"
        for why, count in excluded.items()
    )
    return f"not compared: {', '.join(counts)}"


def _standing(moved: Moved, move: Move) -> str:
    rollout = Rollout(plan=moved.plan, record=moved.record, phase=moved.phase)
    where = f"stage {rollout.stage + 1} of {len(rollout.going.stages)}"
    match moved.phase:
        case Phase.IDLE:
            return "no rollout is under way"
        case Phase.SHADOW | Phase.CANARY:
            early = move is Move.FINISH
            return f"it {'is not promoted yet' if early else 'already runs'} ({where})"
        case Phase.WATCH:
            return "it is promoted already, and watched"
        case Phase.PAUSED:
            return f"it is paused in {where}"
        case Phase.ROLLED_BACK:
            return "it was rolled back"
        case Phase.FINISHED:
            return "it is finished"


def _remedy(moved: Moved) -> str:
    """Return the commands that are of use where the rollout stands."""
    named = [
        command(verb, moved.plan, REASON if verb in _WITH_REASON else "")
        for verb in _COMMANDS[moved.phase]
    ]
    return " or ".join(named)


def _never_had_split(moved: Moved, latch: Latch) -> bool:
    flag = moved.flag
    return not latch.trip and flag is not None and not flag.split
