"""A route's status for machines."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

from flipback.analysis import Analysis, as_json, describe
from flipback.app import RouteStatus
from flipback.cli._rollout_json import rollout_json
from flipback.cli._status_text import rollout_of
from flipback.config import GuardSettings
from flipback.control import culprits, release_command
from flipback.latch import Latch, scope_of
from flipback.ports import SCALE, FlagState, ProcessRecord
from flipback.verdict import Verdict


Json = Mapping[str, object]


def status_json(route: RouteStatus, guard: GuardSettings | None = None) -> Json:
    """Return one route as JSON values; what is unknown is null."""
    plan, latch = route.plan, route.latch
    rollout = rollout_of(route, guard or GuardSettings())
    return {
        "route": plan.route,
        "control": plan.control,
        "candidate": plan.candidate,
        "flag": None if route.flag is None else flag_json(route.flag),
        "serves_control_because": route.override,
        "rollout": None if rollout is None else rollout_json(rollout),
        "latch": _latch(latch),
        "killed_cohorts": list(map(_cohort, route.killed_cohorts)),
        "processes": None
        if route.processes is None
        else list(map(partial(_process, plan.route), route.processes)),
        "acknowledged": None if route.processes is None else route.acknowledged,
        "guards": route.guards,
        "leader": route.leader or None,
        "evidence": None if route.analysis is None else _analysis(route.analysis),
        "gate": None if route.gate is None else as_json(route.gate),
        "exposures": route.exposures,
        "unobserved": list(route.unobserved),
        "problems": list(route.problems),
    }


def flag_json(flag: FlagState) -> Json:
    """Return what a flag offers as JSON values."""
    return {
        "key": flag.ref.key,
        "enabled": flag.enabled,
        "percent": {name: 100 * weight / SCALE for name, weight in flag.split.items()},
        "default_variant": flag.default_variant,
        "exceptions": list(flag.exceptions),
        "version": flag.version.token,
    }


def _latch(latch: Latch) -> Json:
    held = latch.held
    release = release_command(latch.route, latch.trip) if held else None
    return {**asdict(latch), "release": release}


def _cohort(latch: Latch) -> Json:
    return {"cohort": scope_of(latch.route).cohort, **_latch(latch)}


def _process(route: str, process: ProcessRecord) -> Json:
    return {
        "id": process.id,
        "host": process.host,
        "pid": process.pid,
        "trip": process.trips.get(route, 0),
        "serves": process.serves,
        "guards": process.guards,
    }


def _analysis(analysis: Analysis) -> Json:
    failed = analysis.verdict is Verdict.FAIL
    return {
        **as_json(analysis),
        "harm": list(map(describe, culprits(analysis))) if failed else [],
        "should_pause": list(map(describe, analysis.paused)),
        "warnings": list(map(describe, analysis.warned)),
    }
