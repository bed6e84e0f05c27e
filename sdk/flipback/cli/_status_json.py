"""A route's status for machines."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

from flipback.analysis import Analysis
from flipback.app import RouteStatus
from flipback.cli._shell import release_command
from flipback.control import culprits, describe
from flipback.ports import SCALE, FlagState, ProcessRecord
from flipback.verdict import Finding, Verdict


Json = Mapping[str, object]


def status_json(route: RouteStatus) -> Json:
    """Return one route as JSON values; what is unknown is null."""
    plan, latch = route.plan, route.latch
    return {
        "route": plan.route,
        "control": plan.control,
        "candidate": plan.candidate,
        "flag": None if route.flag is None else flag_json(route.flag),
        "serves_control_because": route.override,
        "latch": {
            **asdict(latch),
            "release": release_command(plan.route, latch.trip) if latch.held else None,
        },
        "processes": None
        if route.processes is None
        else list(map(partial(_process, plan.route), route.processes)),
        "acknowledged": None if route.processes is None else route.acknowledged,
        "evidence": None if route.analysis is None else _analysis(route.analysis),
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


def _process(route: str, process: ProcessRecord) -> Json:
    return {
        "id": process.id,
        "host": process.host,
        "pid": process.pid,
        "trip": process.trips.get(route, 0),
    }


def _analysis(analysis: Analysis) -> Json:
    failed = analysis.verdict is Verdict.FAIL
    return {
        "verdict": analysis.verdict,
        "log_g": _number(analysis.log_g),
        "log_threshold": _number(analysis.log_threshold),
        "harm": list(map(describe, culprits(analysis))) if failed else [],
        "should_pause": list(map(describe, analysis.paused)),
        "warnings": list(map(describe, analysis.warned)),
        "findings": list(map(_finding, analysis.findings)),
        "excluded": dict(analysis.excluded),
    }


def _finding(finding: Finding) -> Json:
    interval = finding.interval
    return {
        "metric": finding.metric,
        "cohort": finding.cohort,
        "verdict": finding.verdict,
        "control": {"n": finding.control_n, "value": _number(finding.control_value)},
        "candidate": {
            "n": finding.candidate_n,
            "value": _number(finding.candidate_value),
        },
        "relative_effect": _number(finding.relative_effect),
        "interval": interval and [_number(interval.low), _number(interval.high)],
        "log_e": _number(finding.log_e),
        "peak_log_e": _number(finding.peak_log_e),
        "engine": finding.engine,
        "note": finding.note,
    }


def _number(value: float | None) -> float | None:
    """Return a number that JSON has: an infinite end of an interval is null."""
    return value if value is not None and math.isfinite(value) else None
