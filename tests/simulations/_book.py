"""Plans and streams of numbers, for simulations and for tests of the analysis."""

from collections.abc import Iterable, Mapping
from random import Random

from flipback.plan import RolloutPlan


def seeded(seed: int) -> Random:
    """Return a stream of numbers that is the same on every machine."""
    return Random(seed)  # noqa: S311 - a simulation must be repeatable, not secret


def plan_of(
    *guardrails: Mapping[str, object],
    segments: Iterable[str] = (),
    alpha: float = 0.05,
    **keys: object,
) -> RolloutPlan:
    """Return a plan with these guardrails, cohorts `segment=...` and other keys."""
    names = tuple(segments)
    return RolloutPlan.model_validate(
        {
            "route": "answer",
            "flag": "answer-model",
            "control": "control",
            "candidate": "candidate",
            "cohorts": {"segment": names} if names else {},
            "stages": [{"weight": 5}],
            "guardrails": list(guardrails),
            "alpha": alpha,
            **keys,
        }
    )
