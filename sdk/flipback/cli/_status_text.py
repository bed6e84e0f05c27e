"""A route's status for people."""

import shlex
from collections.abc import Iterator, Sequence

from flipback.analysis import Analysis, describe, explain
from flipback.app import RouteStatus
from flipback.assignment import Cohort, Reason
from flipback.cli._findings import evidence_table, gate_lines, hope, short, users
from flipback.cli._in_words import not_compared
from flipback.cli._offer import offer
from flipback.cli._page import columns, cut, folded, row
from flipback.cli._rollout_text import (
    Fact,
    Rollout,
    instant,
    next_facts,
    rollout_facts,
)
from flipback.cli._shell import plain
from flipback.config import GuardRun, GuardSettings, candidate_weight
from flipback.control import culprits, release_command
from flipback.latch import scope_of
from flipback.rollout import Phase
from flipback.verdict import Action, Finding, Gate, Verdict


_RECORDED = "see whether the application records it under this name"
_NO_GUARD = (
    "NONE RUNS: nothing is rolled back or moved by itself; start `flipback guard`"
)
_EXPLAINED = 3
"""Findings that are told in full; the table has all of them."""


def status_text(
    route: RouteStatus, guard: GuardSettings | None = None, *, whole: bool = True
) -> str:
    """Return one route in a few lines and a table of its evidence.

    Args:
        route: How it stands.
        guard: Who moves rollouts, by default a thread of each process.
        whole: Notes at the right of the table are told though a terminal is too
            narrow for them; else they are cut off.
    """
    facts = _facts(route, guard or GuardSettings())
    return "\n".join(
        [
            plain(_headline(route)),
            *(row(name, plain(text)) for name, text in facts),
            *(cut(f"  {plain(line)}", whole=whole) for line in _table(route)),
            *(row(name, plain(text)) for name, text in _details(route)),
            *(folded(f"  {plain(line)}") for line in _explained(route.analysis)),
        ]
    )


def _table(route: RouteStatus) -> Sequence[str]:
    analysis = route.analysis
    return (
        []
        if analysis is None
        else evidence_table(analysis, _gate_of(route), width=columns())
    )


def _headline(route: RouteStatus) -> str:
    plan = route.plan
    return f"{plan.route}: {plan.candidate} against {plan.control}, flag {plan.flag}"


def _facts(route: RouteStatus, guard: GuardSettings) -> Iterator[Fact]:
    yield from _distrust(route.analysis)
    yield from _rollout(route, guard)
    yield "offered", _offered(route)
    yield "served", _served(route)
    yield from _latch(route)
    yield from _cohorts(route)
    yield "processes", _processes(route)
    if _is_unguarded(route, guard):
        yield "guard", _NO_GUARD
    for exception in route.flag.exceptions if route.flag else ():
        yield "exception", exception
    for problem in route.problems:
        yield "problem", problem
    yield from _evidence(route.analysis)
    yield from _gaps(route)


def _details(route: RouteStatus) -> Iterator[Fact]:
    """Yield what explains the evidence; where there is no room, this is cut off."""
    yield from _gate(route)
    analysis = route.analysis
    if analysis is None:
        return
    if said := users(analysis):
        yield "users", said
    if analysis.hypothesis is not None:
        yield "hypothesis", hope(analysis.hypothesis)
    if analysis.excluded:
        yield "excluded", not_compared(analysis.excluded)


def _distrust(analysis: Analysis | None) -> Iterator[Fact]:
    """Yield what is wrong with the data, which comes before all that rests on it."""
    if analysis is None:
        return
    for why in analysis.frozen:
        yield "FROZEN", f"{why}; nothing moves, not even back"
    for why in analysis.faults:
        yield "FAULT", f"{why}; no stage is left while this is so"


def rollout_of(route: RouteStatus, guard: GuardSettings) -> Rollout | None:
    """Return a route's rollout; None where the store that knows it is unreadable."""
    if route.record is None:
        return None
    return Rollout(
        plan=route.plan,
        record=route.record,
        phase=route.phase,
        lasts=route.stage_lasts,
        latch=route.latch,
        split=route.flag is None or bool(route.flag.split),
        offered=None
        if route.flag is None
        else candidate_weight(route.plan, route.flag),
        harm=_proven(route) and not _acted(route),
        loosened=route.loosened,
        guard=guard,
    )


def _rollout(route: RouteStatus, guard: GuardSettings) -> Iterator[Fact]:
    rollout = rollout_of(route, guard)
    if rollout is None:
        yield "rollout", "unknown: the store cannot be read"
    else:
        yield from rollout_facts(rollout)
        yield from next_facts(rollout)
    if guard.dry_run:
        yield "dry run", "verdicts are recorded, the guard writes nothing"


def _offered(route: RouteStatus) -> str:
    if route.flag is None:
        return "unknown: the flag service cannot be read from here"
    return offer(route.plan, route.flag)


def _served(route: RouteStatus) -> str:
    match route.override:
        case None if route.flag is None:
            return "the last good flags, where a process still has them"
        case None:
            return "as offered"
        case Reason.KILLED:
            return f"{route.plan.control}: killed"
        case Reason.FORCED:
            return (
                f"{route.plan.control}: forced by FLIPBACK_FORCE_CONTROL of this shell "
                "or by the force control file"
            )
        case _:
            return (
                f"{route.plan.control} in processes that start now: ledger and store "
                "cannot both be read; processes that already run go on with what "
                "they last knew"
            )


def _latch(route: RouteStatus) -> Iterator[Fact]:
    latch = route.latch
    if latch.held:
        yield (
            "killed",
            f"trip {latch.trip}, since {instant(latch.at)}, by {latch.actor}",
        )
        yield "reason", latch.reason
        yield "release", release_command(latch.route, latch.trip)
    elif latch.trip:
        yield "released", f"trip {latch.trip}, {instant(latch.at)}, by {latch.actor}"
        yield "reason", latch.reason


def _cohorts(route: RouteStatus) -> Iterator[Fact]:
    """Yield which cohorts are killed, each with the command that releases it."""
    for latch in route.killed_cohorts:
        cohort = scope_of(latch.route).cohort
        since = f"trip {latch.trip}, since {instant(latch.at)}, by {latch.actor}"
        yield "killed", f"{cohort} alone: {since}: {latch.reason}"
        yield "release", release_command(latch.route, latch.trip)


def _processes(route: RouteStatus) -> str:
    if route.processes is None:
        cannot = "read" if route.analysis is None else "written"
        return f"unknown: the store cannot be {cannot}"
    if not route.processes:
        return "none is running"
    serving = sum(process.serves for process in route.processes)
    alone = len(route.processes) - serving
    said = [f"{serving} running" if serving else "no application is running"]
    if alone:
        said.append(f"{alone} {'guard' if alone == 1 else 'guards'}")
    if route.latch.trip:
        said.append(f"{route.acknowledged} obey trip {route.latch.trip}")
    return ", ".join(said)


def _is_unguarded(route: RouteStatus, guard: GuardSettings) -> bool:
    """Return whether something could be harmed, and nobody would act on it."""
    if route.guards != 0 or guard.dry_run:
        return False
    return bool(route.processes) or guard.run is GuardRun.ELSEWHERE


def _evidence(analysis: Analysis | None) -> Iterator[Fact]:
    if analysis is None:
        yield "evidence", "cannot be read"
        return
    total, threshold = short(analysis.log_g), short(analysis.log_threshold)
    yield "evidence", f"{analysis.verdict}; log E {total}, rolls back at {threshold}"
    yield "action", _action(analysis)
    yield from _alarms(analysis)


def _action(analysis: Analysis) -> str:
    match analysis.action:
        case Action.ROLL_BACK if analysis.cohorts:
            whose = ", ".join(analysis.cohorts)
            return f"{Action.ROLL_BACK}: the harm is that of {whose} alone"
        case Action.PAUSE:
            return f"{Action.PAUSE}: people must look, the split stays as it is"
        case Action.FREEZE:
            return f"{Action.FREEZE}: the data cannot be trusted"
        case action:
            return action


def _gate(route: RouteStatus) -> Iterator[Fact]:
    gate = _gate_of(route)
    if gate is not None and route.analysis is not None:
        for line in gate_lines(gate, route.analysis):
            yield "gate", line


def _gate_of(route: RouteStatus) -> Gate | None:
    """Return the gate, None once the rollout is finished: no stage is left."""
    return None if route.phase is Phase.FINISHED else route.gate


def _explained(analysis: Analysis | None) -> Iterator[str]:
    """Yield all that is known of the findings that ask most loudly for something."""
    if analysis is None:
        return
    blamed = culprits(analysis) if analysis.verdict is Verdict.FAIL else ()
    named = dict.fromkeys([*blamed, *analysis.paused])
    for finding in sorted(named, key=_log_e, reverse=True)[:_EXPLAINED]:
        yield from explain(finding).splitlines()


def _log_e(finding: Finding) -> float:
    return finding.log_e


def _gaps(route: RouteStatus) -> Iterator[Fact]:
    """Yield what a person must see to, because nothing else will."""
    if _proven(route) and not _acted(route):
        command = f"flipback kill {shlex.quote(route.plan.route)} --reason '...'"
        yield "warning", f"harm is proven, but no process has acted: run `{command}`"
    for metric in route.unobserved:
        said = f"candidate exposed {route.exposures} times, no `{metric}` observed"
        yield "warning", f"{said}; {_RECORDED}"


def _proven(route: RouteStatus) -> bool:
    return route.analysis is not None and route.analysis.verdict is Verdict.FAIL


def _acted(route: RouteStatus) -> bool:
    """Return whether all whose harm is proven are given control."""
    killed = {scope_of(latch.route).cohort for latch in route.killed_cohorts}
    blamed = set[Cohort]() if route.analysis is None else {*route.analysis.cohorts}
    return route.latch.held or (bool(blamed) and blamed <= killed)


def _alarms(analysis: Analysis) -> Iterator[Fact]:
    if analysis.verdict is Verdict.FAIL:
        for finding in culprits(analysis):
            yield "harm", f"proven: {describe(finding)}"
    for finding in analysis.paused:
        yield "pause", f"should pause: {describe(finding)}"
    for finding in analysis.warned:
        yield "warning", describe(finding)
