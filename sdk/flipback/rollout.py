"""Where a rollout stands, and who may move it: one table, no clock and no I/O.

    idle -> shadow -> canary -> watch -> finished
                 <-> paused <->
    everywhere -> rolled back -> (started anew)

Rules:

    1. Whoever may see the candidate can be rolled back: ROLL_BACK is legal in every
       phase, by a person always, by the evaluator until the rollout is finished.
    2. Nothing but a person starts, resumes or finishes.
    3. A kill needs no record: a latch whose trip is not the one that the attempt began
       with has ended the attempt, whatever the record says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from flipback.errors import FlipbackError
from flipback.latch import Latch


class Phase(StrEnum):
    """What a rollout is doing.

    IDLE is nothing that we do: people move the split, and the guard watches. SHADOW
    lets the candidate answer unseen, CANARY gives it a share of subjects, WATCH has
    promoted it and keeps a holdback on control. PAUSED leaves the split as it is.
    """

    IDLE = "idle"
    SHADOW = "shadow"
    CANARY = "canary"
    WATCH = "watch"
    PAUSED = "paused"
    ROLLED_BACK = "rolled back"
    FINISHED = "finished"

    @property
    def shows_candidate(self) -> bool:
        """Return whether subjects may be given the candidate's answer."""
        return self not in {Phase.SHADOW, Phase.ROLLED_BACK}

    @property
    def runs(self) -> bool:
        """Return whether the plan may move the rollout on by itself."""
        return self in {Phase.SHADOW, Phase.CANARY, Phase.WATCH}

    @property
    def is_open(self) -> bool:
        """Return whether an attempt is under way, paused or not."""
        return self.runs or self is Phase.PAUSED


class Move(StrEnum):
    """What changes a phase or a stage."""

    START = "start"
    ADVANCE = "advance"
    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    ROLL_BACK = "roll back"
    FINISH = "finish"


class By(StrEnum):
    """Who moves: a person, the evaluator on what it has proven, or the plan."""

    PERSON = "person"
    EVALUATOR = "guardrail evaluator"
    PLAN = "rollout plan"


class Rule(NamedTuple):
    """Where a move may lead, and who may make it."""

    to: frozenset[Phase]
    by: frozenset[By]


_ANYBODY = frozenset(By)
_PERSON = frozenset({By.PERSON})
_GUARDS = frozenset({By.PERSON, By.EVALUATOR})
_PROVEN = frozenset({By.PERSON, By.PLAN})


def _rule(by: frozenset[By], *to: Phase) -> Rule:
    return Rule(frozenset(to), by)


_START = _rule(_PERSON, Phase.SHADOW, Phase.CANARY)
_PAUSE = _rule(_ANYBODY, Phase.PAUSED)
_PROMOTE = _rule(_PROVEN, Phase.WATCH)
_BACK = _rule(_GUARDS, Phase.ROLLED_BACK)
_BACK_BY_HAND = _rule(_PERSON, Phase.ROLLED_BACK)

RULES: Mapping[Phase, Mapping[Move, Rule]] = MappingProxyType(
    {
        Phase.IDLE: {Move.START: _START, Move.ROLL_BACK: _BACK},
        Phase.SHADOW: {
            Move.ADVANCE: _rule(_PROVEN, Phase.SHADOW, Phase.CANARY),
            Move.PROMOTE: _PROMOTE,
            Move.PAUSE: _PAUSE,
            Move.ROLL_BACK: _BACK,
        },
        Phase.CANARY: {
            Move.ADVANCE: _rule(_PROVEN, Phase.CANARY),
            Move.PROMOTE: _PROMOTE,
            Move.PAUSE: _PAUSE,
            Move.ROLL_BACK: _BACK,
        },
        Phase.WATCH: {
            Move.PAUSE: _PAUSE,
            Move.FINISH: _rule(_PERSON, Phase.FINISHED),
            Move.ROLL_BACK: _BACK,
        },
        Phase.PAUSED: {
            Move.RESUME: _rule(_PERSON, Phase.SHADOW, Phase.CANARY, Phase.WATCH),
            Move.ROLL_BACK: _BACK,
        },
        Phase.ROLLED_BACK: {Move.START: _START, Move.ROLL_BACK: _BACK_BY_HAND},
        Phase.FINISHED: {Move.START: _START, Move.ROLL_BACK: _BACK_BY_HAND},
    }
)
"""Every legal move; what is not in here is refused."""


class MoveRefused(FlipbackError):  # noqa: N818 - says what happened to the move
    """A move that the rollout does not allow where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """Where a rollout stands; replaced by compare-and-set on `revision`.

    Attributes:
        route: The route.
        revision: Raised by one with each change; 0 before the first.
        attempt: Which run of the rollout, from 1.
        stage: Index of the plan's stage in force.
        phase: What it was doing when this was written; see `phase_of`.
        resumes: Of a paused rollout, the phase that it goes back to.
        trip: The trip after which the attempt began.
        split: The managed split as it was last acknowledged, by the flag's own names
            of variants; empty where none has been.
        pending: A split that is being written; empty once it is acknowledged.
        since: When the stage began, Unix seconds.
        started: When the attempt began, Unix seconds.
        actor: Who moved it last.
        why: Why, for people.
        overruled: Reasons to pause that a person has heard and gone on.
        renewals: How often a stage has begun since the attempt did.
        renewed_at: When the last one was decided on, Unix seconds: what is seen of
            its split comes after.
        plan: The plan that this attempt goes by, as JSON; empty before any attempt.
        replaced: Digests of the plans that the attempt went by before, which processes
            may still have that were started with them.
        version: The candidate's version, as the plan states it.
        tries: How many attempts this version has had, this one included.
    """

    route: str
    revision: int = 0
    attempt: int = 1
    stage: int = 0
    phase: Phase = Phase.IDLE
    resumes: Phase | None = None
    trip: int = 0
    split: Mapping[str, int] = field(default_factory=dict[str, int])
    pending: Mapping[str, int] = field(default_factory=dict[str, int])
    since: float = 0.0
    started: float = 0.0
    actor: str = ""
    why: str = ""
    overruled: tuple[str, ...] = ()
    renewals: int = 0
    renewed_at: float = 0.0
    plan: str = ""
    replaced: tuple[str, ...] = ()
    version: str = ""
    tries: int = 0


def phase_of(record: RolloutRecord, latch: Latch) -> Phase:
    """Return the phase, given what the latch says: a kill ends any attempt.

    A route that people ramp by hand is idle again once its kill is released.
    """
    if latch.held:
        return Phase.ROLLED_BACK
    if latch.trip > record.trip and record.phase is not Phase.IDLE:
        return Phase.ROLLED_BACK
    return record.phase


def refusal(phase: Phase, move: Move, by: By) -> str:
    """Return why a move is not legal, or an empty string if it is."""
    rule = RULES[phase].get(move)
    if rule is None:
        legal = ", ".join(each for each, r in RULES[phase].items() if by in r.by)
        return f"a rollout that is {phase} cannot {move}; it can: {legal or 'nothing'}"
    if by not in rule.by:
        who = " or ".join(sorted(rule.by))
        return f"{move} is for: {who}; not for: {by}"
    return ""


def moved(  # noqa: PLR0913 - each a part of a move
    record: RolloutRecord,
    latch: Latch,
    move: Move,
    *,
    by: By,
    to: Phase,
    stage: int,
    actor: str,
    why: str,
    now: float,
) -> RolloutRecord:
    """Return the next record, after a legal move.

    Args:
        record: Where the rollout stood.
        latch: The greatest copy of the latch.
        move: What moves it.
        by: Who moves it.
        to: The phase that it comes to.
        stage: Index of the stage that it comes to.
        actor: The name of who moves it.
        why: The reason, for people.
        now: Unix seconds.

    Raises:
        MoveRefused: The move is not legal where the rollout stands.
    """
    phase = phase_of(record, latch)
    problem = refusal(phase, move, by)
    if move is Move.START and latch.held:
        problem = f"the route is killed (trip {latch.trip}); release that first"
    if not problem and to not in RULES[phase][move].to:
        problem = f"{move} does not lead from {phase} to {to}"
    if problem:
        raise MoveRefused(problem)
    stays = move is Move.PAUSE
    renews = move in {Move.ADVANCE, Move.PROMOTE}
    return replace(
        record,
        renewals=record.renewals + 1 if renews else record.renewals,
        renewed_at=now if renews else record.renewed_at,
        revision=record.revision + 1,
        phase=to,
        resumes=phase if stays else None,
        stage=stage,
        since=record.since if stays else now,
        actor=actor,
        why=why,
    )
