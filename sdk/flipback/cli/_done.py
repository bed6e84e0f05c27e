"""What one look of the guard has done, and why it did no more."""

from collections.abc import Mapping
from dataclasses import dataclass

from flipback.analysis import describe
from flipback.cli._brief import brief
from flipback.cli._offer import percent_of
from flipback.control import Look, culprits
from flipback.plan import RolloutPlan
from flipback.rollout import Phase, RolloutRecord
from flipback.steering import ALL, shadow_share, weight_of
from flipback.verdict import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A look, and what came of it.

    Attributes:
        look: What was seen, and where the rollout stood then.
        after: Where it stands now.
        phase: What it does now, the latch considered.
        dry_run: Nothing was to be done.
    """

    look: Look
    after: RolloutRecord
    phase: Phase
    dry_run: bool

    @property
    def moved(self) -> bool:
        """Return whether the rollout is elsewhere than it was."""
        before, after = self.look.record, self.after
        return (before.attempt, before.phase, before.stage) != (
            after.attempt,
            after.phase,
            after.stage,
        )


def done_text(done: Done) -> str:
    """Return what was done in a sentence."""
    if done.look.kill is not None:
        latch = done.look.kill.latch
        return f"rolled back {latch.route} by trip {latch.trip}: {latch.reason}"
    if done.moved:
        return brief(_move(done))
    dry = "dry run, nothing is done: " if done.dry_run else ""
    return f"{dry}{_rest(done)}"


def done_json(done: Done) -> Mapping[str, object]:
    """Return it as JSON values; stages count from 1."""
    look, after = done.look, done.after
    return {
        "route": look.route,
        "action": look.analysis.action,
        "verdict": look.analysis.verdict,
        "trip": None if look.kill is None else look.kill.latch.trip,
        "moved": done.moved,
        "done": done_text(done),
        "phase": done.phase,
        "stage": after.stage + 1 if done.phase.is_open else None,
    }


def _move(done: Done) -> str:
    after, plan = done.after, done.look.plan
    why = f": {after.why}" if after.why else ""
    match after.phase:
        case Phase.SHADOW | Phase.CANARY:
            stage = min(after.stage, len(plan.stages) - 1)
            return f"moved to stage {stage + 1}, {_share(plan, after, stage)}{why}"
        case Phase.WATCH:
            return f"promoted, {percent_of(ALL - plan.holdback)}{why}"
        case Phase.PAUSED:
            return f"paused{why}"
        case Phase.IDLE | Phase.ROLLED_BACK | Phase.FINISHED:
            return f"{after.phase}{why}"


def _share(plan: RolloutPlan, after: RolloutRecord, stage: int) -> str:
    if unseen := shadow_share(plan, after, after.phase):
        return f"shadow {percent_of(ALL * unseen)}"
    return percent_of(weight_of(plan, stage))


def _rest(done: Done) -> str:
    """Return why the rollout stays where it is."""
    analysis = done.look.analysis
    match analysis.action:
        case Action.ROLL_BACK:
            proven = "; ".join(map(describe, culprits(analysis)))
            return f"asks for a roll back: {proven}"
        case Action.PAUSE:
            doubts = "; ".join(map(describe, analysis.paused))
            return f"asks for a pause: {doubts or 'people must look'}"
        case Action.FREEZE:
            return f"holds: {'; '.join(analysis.frozen)}"
        case Action.HOLD:
            return f"holds: {_waits(done)}"


def _waits(done: Done) -> str:
    match done.phase:
        case Phase.IDLE:
            return "no rollout is under way, and no harm is proven"
        case Phase.SHADOW | Phase.CANARY:
            return f"stage {done.after.stage + 1}, the gate does not pass yet"
        case Phase.WATCH:
            return "promoted, and watched; no harm is proven"
        case Phase.PAUSED:
            return "paused until a person resumes"
        case Phase.ROLLED_BACK:
            return "rolled back; a person starts anew"
        case Phase.FINISHED:
            return "finished"
