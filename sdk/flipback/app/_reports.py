"""What the operator answers: how a route stands, what a kill or release reached."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from flipback.analysis import Analysis
from flipback.assignment import Reason
from flipback.control import KillReport
from flipback.latch import Latch
from flipback.plan import RolloutPlan
from flipback.ports import FlagState, ProcessRecord
from flipback.rollout import Phase, RolloutRecord
from flipback.verdict import Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteStatus:
    """One route as it stands.

    Attributes:
        plan: Its rollout plan.
        latch: The greatest of all copies of its latch.
        override: Why control serves whatever the flag says, None if the flag may.
        flag: What the flag service offers, None if it cannot be read.
        analysis: What the evidence says: of a killed route, what it said before the
            kill. None if it cannot be read.
        processes: Processes of this host that run the route, None if the store,
            which knows them, cannot be read.
        problems: What could not be read, one sentence each.
        unobserved: Guarded metrics of which the candidate, exposed often enough, has
            no observation at all; a misspelled name guards nothing.
        exposures: How often the candidate was exposed.
        gate: Whether the stage that the flag is in may be left. None while the route
            is killed, or where evidence or split are not known.
        record: Where its rollout stands, None if the store cannot be read.
        phase: What the rollout does, the latch considered.
        killed_cohorts: Held latches of single cohorts.
        loosened: What the plan in the files promises less of than the one that the
            attempt goes by.
        stage_lasts: How long the stage in force has lasted, None outside of one.
        guards: How many of the processes look at evidence and may act on it, None
            where the processes are not known.
        leader: The process that moves the rollout now, as `host:pid`; empty where
            none is known to.
    """

    plan: RolloutPlan
    latch: Latch
    override: Reason | None
    flag: FlagState | None
    analysis: Analysis | None
    processes: tuple[ProcessRecord, ...] | None
    problems: tuple[str, ...]
    unobserved: tuple[str, ...] = ()
    exposures: int = 0
    gate: Gate | None = None
    record: RolloutRecord | None = None
    phase: Phase = Phase.IDLE
    killed_cohorts: tuple[Latch, ...] = ()
    loosened: tuple[str, ...] = ()
    stage_lasts: timedelta | None = None
    guards: int | None = None
    leader: str = ""

    @property
    def acknowledged(self) -> int:
        """Return how many processes are known to obey the latch."""
        return acknowledged(self.processes or (), self.latch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill(KillReport):
    """What a kill reached, and whether the processes that run are known.

    Attributes:
        counted: The store could be read; else `processes` and `acknowledged` say
            nothing.
    """

    counted: bool = False

    @property
    def recorded(self) -> bool:
        """Return whether anything of flipback has it, so that others will obey."""
        return self.durable or self.stored

    @property
    def obeyed(self) -> bool:
        """Return whether every process that runs is known to obey."""
        return self.stored and self.counted and self.acknowledged >= self.processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a release did.

    Attributes:
        latch: The latch now.
        refused: Why nothing was released; empty where it was.
        stored: The store has it, so that running processes obey.
        flag: What the flag service offers after the release; None if nothing was
            released, or it cannot be read.
    """

    latch: Latch
    refused: str = ""
    stored: bool = False
    flag: FlagState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of a move that a person asked for.

    Attributes:
        record: Where the rollout stands now.
        phase: What it does now, the latch considered.
        plan: The plan that it goes by.
        refused: Why it was not moved; empty where it was.
        remedy: What to do about that, in a sentence; empty where nothing helps.
        gate: What the gate says, where the move depends on it.
        flag: What the flag service offers now, None if it cannot be read.
        recorded: The ledger has it; else it is in the store only.
        pending: Why the flag service has not taken the split yet, empty where it has;
            it is tried again by whoever guards the route.
    """

    record: RolloutRecord
    phase: Phase
    plan: RolloutPlan
    refused: str = ""
    remedy: str = ""
    gate: Gate | None = None
    flag: FlagState | None = None
    recorded: bool = True
    pending: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What became of restoring a flag's rules after a kill.

    Attributes:
        plan: The plan of the route.
        refused: Why nothing was restored; empty where it was.
        remedy: What to do about that.
        flag: What the flag service offers now, None if it cannot be read.
        changed: False where the flag was as wanted before.
    """

    plan: RolloutPlan
    refused: str = ""
    remedy: str = ""
    flag: FlagState | None = None
    changed: bool = False


def acknowledged(processes: Iterable[ProcessRecord], latch: Latch) -> int:
    """Return how many of these processes obey the latch."""
    return sum(process.trips.get(latch.route, 0) >= latch.trip for process in processes)
