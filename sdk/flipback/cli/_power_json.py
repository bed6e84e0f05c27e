"""What a plan takes, for machines."""

from collections.abc import Mapping
from math import isfinite

from flipback.cli._power_text import blind_sentence, sentence
from flipback.plan import RolloutPlan
from flipback.power import NEVER_DAYS, Power, Prospect, Remedy, StagePower


def power_json(plan: RolloutPlan, found: Power) -> Mapping[str, object]:
    """Return all that was found; what is infinite is null."""
    return {
        "never_after_days": NEVER_DAYS,
        "lasts_days": _finite(found.lasts_days),
        "shares": dict(found.shares),
        "stages": list(map(_stage_json, found.stages)),
        "warnings": [_remedy_json(plan, remedy) for remedy in found.remedies],
        "blind": [
            {**_test_json(test), "text": blind_sentence(test)} for test in found.blind
        ],
    }


def _stage_json(row: StagePower) -> Mapping[str, object]:
    return {
        "weight": row.stage.weight,
        "shadow": row.stage.shadow,
        "next_weight": row.next_weight,
        "within_days": row.within_days,
        "lasts_days": _finite(row.lasts_days),
        "tests": list(map(_test_json, row.tests)),
    }


def _remedy_json(plan: RolloutPlan, remedy: Remedy) -> Mapping[str, object]:
    scaled = remedy.scaled_days
    return {
        "stage": remedy.place + 1,
        "metric": remedy.metric,
        "measure": remedy.measure,
        "cohort": remedy.cohort,
        "half_days": _finite(remedy.half_days),
        "pairs": remedy.pairs,
        "pairs_days": _finite(remedy.pairs_days),
        "tolerance": remedy.tolerance,
        "scaled_days": None if scaled is None else _finite(scaled),
        "text": sentence(plan, remedy),
    }


def _test_json(test: Prospect) -> Mapping[str, object]:
    return {
        "metric": test.metric,
        "measure": test.measure,
        "cohort": test.cohort,
        "blocks": test.blocks,
        "margin": test.margin,
        "passes_days": _finite(test.passes_days),
        "harm": test.harm,
        "catches_days": _finite(test.catches_days),
        "least_harm": _finite(test.least_harm),
    }


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
