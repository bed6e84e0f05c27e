"""The gate of the stage in force, the same for the controller and for people."""

from collections.abc import Collection
from dataclasses import dataclass

from flipback.analysis import Analysis, gate
from flipback.assignment import Cohort
from flipback.exposure import Evidence
from flipback.plan import RolloutPlan
from flipback.rollout import Phase, RolloutRecord
from flipback.steering import elapsed, stage_of
from flipback.verdict import Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A stage whose gate is asked.

    Attributes:
        plan: The plan in force.
        record: Where the rollout stands.
        phase: What it does, the latch considered.
        weight: Percent of subjects offered the candidate, None where it is not known.
        without: Cohorts that are rolled back already.
        now: Unix seconds.
    """

    plan: RolloutPlan
    record: RolloutRecord
    phase: Phase
    weight: float | None
    without: Collection[Cohort]
    now: float


def gate_of(
    asked: Asked,
    evidence: Evidence,
    analysis: Analysis,
    *,
    accepted: Collection[Cohort] = (),
) -> Gate:
    """Say whether the stage may be left.

    Where no attempt is under way, the stage is the one that the weight belongs to, and
    how long it has lasted is not known.
    """
    running = asked.phase.is_open
    return gate(
        asked.plan,
        evidence,
        weight=0.0 if asked.phase is Phase.SHADOW else asked.weight,
        stage=stage_of(asked.plan, asked.record) if running else None,
        elapsed=elapsed(asked.record, asked.now) if running else None,
        now=asked.now,
        analysis=analysis,
        accepted=accepted,
        without=asked.without,
    )
