"""Where a rollout stands and what comes next, in the words of its plan."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from flipback.cli._offer import percent_of, shares
from flipback.config import GuardRun, GuardSettings
from flipback.control import release_command
from flipback.latch import Latch
from flipback.plan import RolloutPlan, lasting
from flipback.rollout import Phase, RolloutRecord
from flipback.steering import ALL, first, stage_of, weight_of


Fact = tuple[str, str]
"""A name of at most ten letters, and a sentence."""

REASON = " --reason '...'"
_ROUNDING = 0.001
"""Percent by which a split may miss a weight: it is written in whole thousandths."""
_FINISHED = "finished, without a holdback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A rollout as a page tells of it.

    Attributes:
        plan: The plan in the files.
        record: Where it stands.
        phase: What it does, the latch considered.
        lasts: How long the stage has lasted, None where that is not known.
        latch: The latch of the route, None where it does not matter.
        split: The flag has a split.
        offered: Percent of subjects that the flag offers the candidate, None where
            that is not known.
        harm: Harm is proven, and nobody has acted on it.
        loosened: What the plan in the files promises less of than the attempt's.
        guard: Who moves rollouts.
    """

    plan: RolloutPlan
    record: RolloutRecord
    phase: Phase
    lasts: timedelta | None = None
    latch: Latch | None = None
    split: bool = True
    offered: float | None = None
    harm: bool = False
    loosened: tuple[str, ...] = ()
    guard: GuardSettings = field(default_factory=GuardSettings)

    @property
    def going(self) -> RolloutPlan:
        """Return the plan that the attempt goes by; the files may have another."""
        try:
            written = self.record.plan
            return RolloutPlan.model_validate_json(written) if written else self.plan
        except ValueError:  # another version of flipback wrote it
            return self.plan

    @property
    def edited(self) -> bool:
        """Return whether the flag offers another share than the stage asks for."""
        if self.offered is None or self.record.pending:
            return False
        return abs(self.offered - weight_of(self.going, self.stage)) > _ROUNDING

    @property
    def served_by_all(self) -> bool:
        """Return whether the plan has nothing new for a rollout that is finished."""
        ended, written = self.going, self.plan
        return (ended.candidate, ended.candidate_version) == (
            written.candidate,
            written.candidate_version,
        )

    @property
    def stage(self) -> int:
        """Return the index of the stage in force, the last where there are fewer."""
        return min(self.record.stage, len(self.going.stages) - 1)

    @property
    def bound(self) -> float:
        """Return the chance that any attempt of this version is rolled back in vain."""
        return min(1.0, self.record.tries * self.going.alpha)


def rollout_facts(rollout: Rollout) -> Iterator[Fact]:
    """Yield where a rollout stands, who brought it there and which attempt it is."""
    record = rollout.record
    yield "rollout", f"{_standing(rollout)}{_since(rollout)}{_still(rollout.phase)}"
    yield from _mover(rollout)
    if record.tries:
        yield "attempt", _attempt(rollout)
    if record.pending:
        what = shares(record.pending)
        yield "pending", f"{what}: not yet acknowledged by the flag service"
    for less in rollout.loosened:
        yield "LOOSENED", f"{less}; the attempt goes by the plan that it began with"


def next_facts(rollout: Rollout) -> Iterator[Fact]:
    """Yield what comes next, and how a person brings it about."""
    plan = rollout.plan
    if rollout.harm and rollout.phase is not Phase.ROLLED_BACK:
        yield "next", f"{command('kill', plan, REASON)} rolls back: harm is proven"
        return
    match rollout.phase:
        case Phase.FINISHED if rollout.served_by_all:
            yield "next", _nothing(rollout)
        case Phase.IDLE | Phase.FINISHED:
            yield "next", _start(rollout, _first(plan))
        case Phase.SHADOW | Phase.CANARY:
            yield "next", _following(rollout)
        case Phase.WATCH:
            yield "next", _end_of_watch(rollout)
        case Phase.PAUSED:
            accept = " --accept-plan" if rollout.loosened else ""
            yield "next", f"{command('resume', plan, accept)} goes on from this split"
        case Phase.ROLLED_BACK:
            yield "next", _start(rollout, "begins another attempt")


def command(verb: str, plan: RolloutPlan, more: str = "") -> str:
    """Return a command about a plan's route, marked as one."""
    return f"`flipback {verb} {shlex.quote(plan.route)}{more}`"


def moment(unix_s: float) -> str:
    """Return when something was, to the minute, as every time zone understands it."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M} UTC"


def instant(at: str) -> str:
    """Return a time of the ledger, to the second; as it is where it is none."""
    try:
        return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return at


def _mover(rollout: Rollout) -> Iterator[Fact]:
    """Yield who moved it last: of a killed route, who killed or released it."""
    record, latch = rollout.record, rollout.latch
    if rollout.phase is Phase.ROLLED_BACK and latch is not None and latch.trip:
        did = "rolled back" if latch.held else f"trip {latch.trip} released"
        yield "moved", f"{did} by {latch.actor}, {instant(latch.at)}: {latch.reason}"
    elif record.actor:
        why = f": {record.why}" if record.why else ""
        yield "moved", f"by {record.actor}{why}"


def _standing(rollout: Rollout) -> str:
    plan, phase = rollout.going, rollout.phase
    where = f"stage {rollout.stage + 1} of {len(plan.stages)}"
    match phase:
        case Phase.IDLE | Phase.FINISHED:
            return "none is under way" if phase is Phase.IDLE else _FINISHED
        case Phase.SHADOW | Phase.CANARY:
            return f"{phase}, {where}{_extent(rollout)}"
        case Phase.WATCH:
            return f"promoted, and watched: {_promoted(plan)}"
        case Phase.PAUSED:
            doing = rollout.record.resumes or Phase.CANARY
            return f"PAUSED in {doing}, {where}"
        case Phase.ROLLED_BACK if rollout.record.phase is Phase.IDLE:
            return "rolled back; none was under way"
        case Phase.ROLLED_BACK:
            return f"rolled back from {where}"


def _extent(rollout: Rollout) -> str:
    """Return who meets the candidate, also where the flag says other than the plan."""
    if rollout.phase is Phase.CANARY and rollout.edited:
        return f", at {percent_of(rollout.offered or 0.0)} as the flag was edited"
    return f": {_share(rollout.going, rollout.stage)}"


def _since(rollout: Rollout) -> str:
    """Return since when and how long; an attempt that ended has no stage that lasts."""
    ended = {Phase.IDLE, Phase.ROLLED_BACK}
    if rollout.phase in ended or not rollout.record.since:
        return ""
    began = ", which began" if rollout.phase is Phase.PAUSED else ", since"
    return f"{began} {moment(rollout.record.since)}{_for(rollout)}"


def _for(rollout: Rollout) -> str:
    """Return how long a stage has lasted, without the parts of a second."""
    if rollout.lasts is None:
        return ""
    long = lasting(timedelta(seconds=int(rollout.lasts.total_seconds())))
    return f", {long} ago" if rollout.phase is Phase.PAUSED else f", for {long}"


def _still(phase: Phase) -> str:
    """Return who may move the split in a phase in which the plan does not."""
    match phase:
        case Phase.IDLE | Phase.FINISHED:
            return "; people move the split in the flag service"
        case Phase.PAUSED:
            return "; the split stays as it is"
        case _:
            return ""


def _attempt(rollout: Rollout) -> str:
    record, plan = rollout.record, rollout.going
    version = f" {record.version}" if record.version else ""
    text = (
        f"{record.tries} of this candidate version{version}, cumulative "
        f"false-rollback bound {percent_of(100 * rollout.bound)}"
    )
    if record.tries >= plan.max_attempts:
        text += "; another one needs a reason"
    return text


def _share(plan: RolloutPlan, stage: int) -> str:
    """Return who meets the candidate in a stage."""
    shadow = plan.stages[stage].shadow
    if shadow is None:
        return f"{percent_of(weight_of(plan, stage))} of subjects"
    return f"the candidate answers {percent_of(100 * shadow)} of control's calls unseen"


def _promoted(plan: RolloutPlan) -> str:
    given = f"{percent_of(ALL - plan.holdback)} of subjects"
    if not plan.holdback:
        return given
    return f"{given}, {percent_of(plan.holdback)} stay on control"


def _first(plan: RolloutPlan) -> str:
    if first(plan).to is Phase.SHADOW:
        return f"begins in shadow: {_share(plan, 0)}"
    return f"gives the candidate {_share(plan, 0)}"


def _start(rollout: Rollout, does: str) -> str:
    start, latch = f"{command('start', rollout.plan)} {does}", rollout.latch
    steps: list[str] = []
    if latch is not None and latch.held:
        steps.append(f"`{release_command(latch.route, latch.trip)}` comes first")
    if not rollout.split:
        steps.append(_back(rollout))
    return "; then ".join([*steps, start])


def _back(rollout: Rollout) -> str:
    """Return how a flag comes to a split that can be moved."""
    if rollout.latch is not None and not rollout.latch.trip:
        return "give the flag a split (`flipback check` says how)"
    restore = command("restore", rollout.plan, REASON)
    return f"{restore} brings back the split that a kill took"


def _nothing(rollout: Rollout) -> str:
    serves = ""
    if rollout.offered is None or rollout.offered >= ALL:
        serves = f": {rollout.plan.candidate} serves everybody"
    return f"nothing{serves}; for another candidate, edit the plan"


def _following(rollout: Rollout) -> str:
    plan, by_hand = rollout.going, command("promote", rollout.plan)
    to, guard = _next_stage(plan, rollout.stage + 1), rollout.guard
    if guard.dry_run:
        return f"{to}: by {by_hand} alone, a dry run moves nothing"
    if guard.run is GuardRun.MANUAL:
        return f"{to}: by {by_hand}; nothing moves it by itself, [guard] is manual"
    window = stage_of(plan, rollout.record).window
    soonest = f", not before {_end(rollout, window)}" if window else ""
    return f"{to}: by itself once the gate passes{soonest}; or {by_hand}"


def _next_stage(plan: RolloutPlan, stage: int) -> str:
    if stage == len(plan.stages):
        return f"promotion, {_promoted(plan)}"
    return f"stage {stage + 1} of {len(plan.stages)}, {_share(plan, stage)}"


def _end_of_watch(rollout: Rollout) -> str:
    plan = rollout.going
    finish = command("finish", rollout.plan)
    if not plan.watch:
        return f"{finish} gives the candidate to everybody"
    over = _end(rollout, plan.watch)
    return f"{finish}, without a reason from {over} on, ends the watch and the holdback"


def _end(rollout: Rollout, span: timedelta) -> str:
    return moment(rollout.record.since + span.total_seconds())
