"""The route that drills are made on, which every process knows and no plan names."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flipback.config import Settings
from flipback.control import DRILL_ROUTE, Ground, Told
from flipback.plan import RolloutPlan
from flipback.rollout import Phase, RolloutRecord


__all__ = [
    "BY_FLAG",
    "BY_LATCH",
    "CANDIDATE",
    "CONTROL",
    "DRILL_ROUTE",
    "DrillNews",
    "drill_plan",
    "drill_under_way",
    "with_drill",
]

BY_LATCH = f"{DRILL_ROUTE}@latch"
BY_FLAG = f"{DRILL_ROUTE}@flag"
CONTROL = "control"
CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillNews:
    """What a process has seen of a drill, for its heartbeat.

    Attributes:
        drill: The drill in which it has seen all subjects get the candidate, empty
            before.
        obeyed_at: Unix seconds since which all subjects get control: under
            `DRILL_ROUTE` as calls are decided, under `BY_LATCH` because of the kill,
            under `BY_FLAG` as the flag itself says.
    """

    drill: str = ""
    obeyed_at: Mapping[str, float] = field(default_factory=dict[str, float])


def drill_plan(flag: str) -> RolloutPlan:
    """Return the plan of the route that drills are made on."""
    return RolloutPlan.model_validate(
        {
            "route": DRILL_ROUTE,
            "flag": flag,
            "control": CONTROL,
            "candidate": CANDIDATE,
            "stages": [{"weight": 100}],
            "guardrails": [{"metric": "error", "fails_on": "increase"}],
        }
    )


def with_drill(ground: Ground, settings: Settings) -> Ground:
    """Return the ground with the drill's route, where a drill flag is configured.

    For kill switches alone: nobody looks at the evidence of that route, and nobody
    is told of its kills.
    """
    flag = settings.drill_flag
    if flag is None or DRILL_ROUTE in ground.plans:
        return ground

    def tell(told: Told) -> None:
        if told.route != DRILL_ROUTE:
            ground.tell(told)

    plans = {**ground.plans, DRILL_ROUTE: drill_plan(flag)}
    return replace(ground, plans=plans, tell=tell)


def drill_under_way(record: RolloutRecord) -> str:
    """Return the id of the drill that is on, or was broken off; empty for none."""
    return record.why if record.phase is Phase.CANARY else ""
