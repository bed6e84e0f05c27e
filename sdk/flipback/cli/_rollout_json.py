"""Where a rollout stands, for machines."""

from collections.abc import Mapping
from datetime import UTC, datetime

from flipback.cli._rollout_text import Rollout
from flipback.ports import SCALE
from flipback.rollout import Phase
from flipback.steering import shadow_share, weight_of


def rollout_json(rollout: Rollout) -> Mapping[str, object]:
    """Return a rollout as JSON values; what does not apply is null.

    Stages count from 1, as people count them; shares are percentages.
    """
    record, plan = rollout.record, rollout.going
    shadow = shadow_share(plan, record, rollout.phase)
    under_way = rollout.phase.is_open
    return {
        "phase": rollout.phase,
        "resumes": record.resumes,
        "stage": rollout.stage + 1 if under_way else None,
        "stages": len(plan.stages),
        "weight": _weight(rollout),
        "shadow": 100 * shadow if shadow else None,
        "since": _iso(record.since),
        "lasts_s": None if rollout.lasts is None else rollout.lasts.total_seconds(),
        "started": _iso(record.started),
        "attempt": record.attempt,
        "tries": record.tries,
        "false_rollback_bound": rollout.bound,
        "version": record.version,
        "trip": record.trip,
        "revision": record.revision,
        "actor": record.actor,
        "why": record.why,
        "acknowledged_percent": _percent(record.split),
        "pending_percent": _percent(record.pending),
        "loosened": list(rollout.loosened),
        "dry_run": rollout.guard.dry_run,
    }


def _weight(rollout: Rollout) -> float | None:
    """Return the percent of subjects that the plan gives the candidate now."""
    if not rollout.phase.is_open:
        return None
    if Phase.WATCH in {rollout.phase, rollout.record.resumes}:
        return 100.0 - rollout.going.holdback
    return weight_of(rollout.going, rollout.stage)


def _percent(split: Mapping[str, int]) -> Mapping[str, float]:
    return {name: 100 * weight / SCALE for name, weight in split.items()}


def _iso(unix_s: float) -> str | None:
    return datetime.fromtimestamp(unix_s, UTC).isoformat() if unix_s else None
