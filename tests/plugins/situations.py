"""A canary in its first weight, and everything that may ask it for something."""

from dataclasses import replace
from math import log

from flipback.analysis import Analysis
from flipback.plan import RolloutPlan
from flipback.rollout import Phase, RolloutRecord
from flipback.steering import Situation
from flipback.verdict import Action, Gate, Verdict


DAY = 86_400.0
STAGES = ({"shadow": 0.5}, {"weight": 1}, {"weight": 25}, {"weight": 100})


def plan_of(*stages: dict[str, object], **keys: object) -> RolloutPlan:
    return RolloutPlan.model_validate(
        {
            "route": "answer",
            "flag": "answer-model",
            "control": "v1",
            "candidate": "v2",
            "stages": list(stages or STAGES),
            "guardrails": [
                {"metric": "error", "fails_on": "increase", "tolerance": 0.2}
            ],
            **keys,
        }
    )


PLAN = plan_of()
SPLIT = {"v1": 99_000, "v2": 1_000}


def asks(action: Action) -> Analysis:
    return Analysis(
        verdict=Verdict.FAIL if action is Action.ROLL_BACK else Verdict.INCONCLUSIVE,
        findings=(),
        log_g=0.0,
        log_threshold=log(20),
        broken=(),
        suspect=None,
        paused=(),
        warned=(),
        peaks={},
        excluded={},
        action=action,
    )


def gate_of(verdict: Verdict, *waits: str, asks: tuple[str, ...] = ()) -> Gate:
    return Gate(
        weight=1.0,
        next_weight=25.0,
        verdict=verdict,
        findings=(),
        waits=waits,
        asks=asks,
    )


def record_in(phase: Phase, **fields: object) -> RolloutRecord:
    record = RolloutRecord(route="answer", phase=phase, stage=1, split=SPLIT)
    return replace(record, **fields)  # type: ignore[arg-type] # fields of a record


def situation(**changes: object) -> Situation:
    """Return a canary in its first weight, in which nothing asks for anything."""
    calm = Situation(
        plan=PLAN,
        record=record_in(Phase.CANARY),
        phase=Phase.CANARY,
        split=SPLIT,
        analysis=asks(Action.HOLD),
        gate=gate_of(Verdict.INCONCLUSIVE),
        now=DAY,
    )
    return replace(calm, **changes)  # type: ignore[arg-type] # fields of a situation


PASSES = gate_of(Verdict.PASS)
OTHER = {"v1": 50_000, "v2": 50_000}
LATE = plan_of(deadline="12h")
