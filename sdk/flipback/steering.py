"""What a plan asks of a running rollout next. It decides; others act on it.

The order of the reasons is the order of their urgency: what a person did to the split
comes before anything that the evidence says, and nothing moves on a doubt.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from flipback.analysis import Analysis
from flipback.assignment import Cohort
from flipback.plan import OnDeadline, RolloutPlan, Stage, lasting
from flipback.rollout import By, Move, Phase, RolloutRecord
from flipback.verdict import Action, Gate, Hoped, Verdict


ALL = 100.0
DEADLINE = "deadline"
"""The name of a deadline among what a person may overrule."""

EDITED = "the split was edited in the flag service"
LATE = "not promoted within"

_ROUNDING = 0.000501
"""Percent by which a split may miss a weight: it is written in whole thousandths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that the next move depends on.

    Attributes:
        plan: The plan that the attempt goes by.
        record: Where the rollout stands.
        phase: What it is doing, the latch considered.
        split: The managed split as the flag service has it now.
        analysis: What the evidence says.
        gate: Whether the stage may be left.
        loosened: What another plan, which the files have now, promises less of.
        now: Unix seconds.
    """

    plan: RolloutPlan
    record: RolloutRecord
    phase: Phase
    split: Mapping[str, int]
    analysis: Analysis
    gate: Gate
    loosened: Collection[str] = ()
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NextMove:
    """What to do next.

    Attributes:
        move: The move; None where the rollout stays as it is.
        by: Whose move it is.
        to: The phase that it leads to.
        stage: Index of the stage that it leads to.
        weight: Percent of subjects to give the candidate, None to leave the split.
        why: The reason, for people.
    """

    move: Move | None
    by: By
    to: Phase
    stage: int
    weight: float | None
    why: str


def weight_of(plan: RolloutPlan, stage: int) -> float:
    """Return the percent of subjects in a stage: none in a shadow stage.

    The holdback is kept on control whatever the last stage asks for.
    """
    return plan.weight_in(stage)


def stage_of(plan: RolloutPlan, record: RolloutRecord) -> Stage:
    """Return the stage in force; the last where the plan has fewer by now."""
    return plan.stages[min(record.stage, len(plan.stages) - 1)]


def shadow_share(plan: RolloutPlan, record: RolloutRecord, phase: Phase) -> float:
    """Return the share of control's calls that the candidate answers too, unseen."""
    doing = record.resumes if phase is Phase.PAUSED else phase
    if doing is not Phase.SHADOW:
        return 0.0
    return stage_of(plan, record).shadow or 0.0


def first(plan: RolloutPlan) -> NextMove:
    """Return how an attempt starts."""
    return _stage(plan, 0, Move.START, By.PERSON, why="")


def onward(plan: RolloutPlan, record: RolloutRecord, *, by: By, why: str) -> NextMove:
    """Return the move that leaves the stage in force: the next one, or promotion."""
    following = record.stage + 1
    if following < len(plan.stages):
        return _stage(plan, following, Move.ADVANCE, by, why=why)
    return NextMove(
        move=Move.PROMOTE,
        by=by,
        to=Phase.WATCH,
        stage=len(plan.stages) - 1,
        weight=ALL - plan.holdback,
        why=why,
    )


def stage_reached(plan: RolloutPlan, weight: float) -> int:
    """Return the index of the last stage whose weight is reached.

    Below the first weight that is the last shadow stage; without one, the first stage.
    """
    stages = list(enumerate(plan.stages))
    reached = [
        index
        for index, stage in stages
        if stage.weight is not None and weight_of(plan, index) <= weight + _ROUNDING
    ]
    shadows = [index for index, stage in stages if stage.shadow is not None]
    return (reached or shadows or [0])[-1]


def resumed(plan: RolloutPlan, record: RolloutRecord, weight: float | None) -> NextMove:
    """Return how a paused rollout goes on from the split that it finds.

    A person may have changed it: it goes on from the last stage whose weight is
    reached, and in the stage that it was paused in where the split is the same. Who
    has met the candidate is no longer in its shadow.

    Args:
        plan: The plan that it goes on by; may have other stages than before.
        record: Where it was paused.
        weight: Percent of subjects that the flag gives the candidate now, None where
            that is not known: then nothing is taken to have changed.
    """
    to = record.resumes or Phase.CANARY
    stage = min(record.stage, len(plan.stages) - 1)
    if weight is not None and not _is_as_left(plan, stage, to, weight):
        stage = stage_reached(plan, weight)
        unseen = plan.stages[stage].shadow is not None and weight <= _ROUNDING
        to = Phase.SHADOW if unseen else Phase.CANARY
    return NextMove(
        move=Move.RESUME, by=By.PERSON, to=to, stage=stage, weight=None, why=""
    )


def _is_as_left(plan: RolloutPlan, stage: int, phase: Phase, weight: float) -> bool:
    """Return whether the split is still that of the stage, or of a promotion."""
    if phase is Phase.WATCH:
        return weight >= ALL - plan.holdback - _ROUNDING
    return abs(weight - weight_of(plan, stage)) <= _ROUNDING


def next_move(now: Situation) -> NextMove:
    """Return what the plan asks for now; mostly nothing."""
    if not now.phase.runs:
        return _stays(now)
    if why := _edited(now) or _loosened(now):
        return _pause(now, By.PLAN, why)
    match now.analysis.action:
        case Action.FREEZE | Action.ROLL_BACK:  # who proves harm rolls back at once
            return _stays(now)
        case Action.PAUSE if not _is_overruled(now):
            return _pause(now, By.EVALUATOR, _doubt(now))
        case Action.PAUSE:
            return _in_time(now)
        case Action.HOLD:
            return _in_time(now)


def _in_time(now: Situation) -> NextMove:
    if now.phase is Phase.WATCH:
        return _stays(now)
    if (why := _late(now)) and DEADLINE not in now.record.overruled:
        return _overdue(now, why)
    if now.gate.verdict is Verdict.PASS:
        return onward(now.plan, now.record, by=By.PLAN, why="the gate passes")
    return _stays(now)


def doubts_of(analysis: Analysis) -> tuple[str, ...]:
    """Return the names of all that asks for a pause, by which it can be overruled."""
    named = [
        f"{finding.metric} {finding.measure} of {finding.cohort or 'everybody'}"
        for finding in analysis.paused
    ]
    hoped = analysis.hypothesis
    if hoped is not None and hoped.verdict is Hoped.CONTRADICTED:
        named.append(f"what was hoped of {hoped.metric}")
    return tuple(dict.fromkeys(named))


def elapsed(record: RolloutRecord, now: float) -> timedelta:
    """Return how long the stage has lasted; not less than nothing."""
    return timedelta(seconds=max(0.0, now - record.since))


def offered(split: Mapping[str, int]) -> Mapping[str, int]:
    """Return a split without the variants that nobody gets."""
    return {name: weight for name, weight in split.items() if weight}


def is_late(plan: RolloutPlan, record: RolloutRecord, now: float) -> bool:
    """Return whether the attempt has passed its deadline; Unix seconds."""
    deadline = plan.deadline
    return deadline is not None and now - record.started >= deadline.total_seconds()


def _stage(plan: RolloutPlan, index: int, move: Move, by: By, *, why: str) -> NextMove:
    unseen = plan.stages[index].shadow is not None
    return NextMove(
        move=move,
        by=by,
        to=Phase.SHADOW if unseen else Phase.CANARY,
        stage=index,
        weight=weight_of(plan, index),
        why=why,
    )


def _is_overruled(now: Situation) -> bool:
    """Return whether a person has heard all of it; what has no name was never heard."""
    doubts = doubts_of(now.analysis)
    return bool(doubts) and {*doubts} <= {*now.record.overruled}


def _stays(now: Situation) -> NextMove:
    return NextMove(
        move=None,
        by=By.PLAN,
        to=now.phase,
        stage=now.record.stage,
        weight=None,
        why="",
    )


def _pause(now: Situation, by: By, why: str) -> NextMove:
    return NextMove(
        move=Move.PAUSE,
        by=by,
        to=Phase.PAUSED,
        stage=now.record.stage,
        weight=None,
        why=why,
    )


def _overdue(now: Situation, why: str) -> NextMove:
    if now.plan.on_deadline is OnDeadline.PAUSE:
        return _pause(now, By.PLAN, why)
    return NextMove(
        move=Move.ROLL_BACK,
        by=By.EVALUATOR,
        to=Phase.ROLLED_BACK,
        stage=now.record.stage,
        weight=None,
        why=why,
    )


def _edited(now: Situation) -> str:
    known = now.record.split
    begun = bool(known) or bool(now.record.started)
    if now.record.pending or not begun or offered(now.split) == offered(known):
        return ""
    return f"{EDITED}: {_spelled(now.record.split)} became {_spelled(now.split)}"


def _loosened(now: Situation) -> str:
    if not now.loosened:
        return ""
    return f"the plan was loosened: {'; '.join(now.loosened)}"


def _doubt(now: Situation) -> str:
    return "; ".join(now.gate.waits) or "people must look"


def _late(now: Situation) -> str:
    deadline = now.plan.deadline
    if deadline is None or not is_late(now.plan, now.record, now.now):
        return ""
    return f"{LATE} {lasting(deadline)}, its deadline"


def _spelled(split: Mapping[str, int]) -> str:
    total = sum(split.values()) / ALL
    shares = (f"{name} {weight / total:g} %" for name, weight in offered(split).items())
    return ", ".join(shares) or "no split"


def accepted_alone(gate: Gate, accepted: Collection[Cohort]) -> tuple[Cohort, ...]:
    """Return the cohorts that a person accepts and the gate does not ask about."""
    return tuple(sorted(set(accepted) - set(gate.asks)))
