"""A route's status for people."""

import math
import shlex
from collections.abc import Iterator, Sequence

from flipback.analysis import Analysis
from flipback.app import RouteStatus
from flipback.assignment import EVERYBODY, Reason
from flipback.cli._offer import offer
from flipback.cli._shell import plain, release_command
from flipback.control import culprits, describe
from flipback.verdict import Finding, Interval, Verdict


_COLUMNS = (
    "metric",
    "cohort",
    "n control",
    "n candidate",
    "control",
    "candidate",
    "effect",
    "interval of the difference",
    "log E",
    "verdict",
)
_RECORDED = "see whether the application records it under this name"
_TEXT_COLUMNS = frozenset({"metric", "cohort", "verdict"})


def status_text(route: RouteStatus) -> str:
    """Return one route in a few lines and a table of its evidence."""
    return "\n".join(
        [
            plain(_headline(route)),
            *(f"  {name:<10} {plain(text)}" for name, text in _facts(route)),
            *(f"  {plain(line)}" for line in _table(route.analysis)),
        ]
    )


def _headline(route: RouteStatus) -> str:
    plan = route.plan
    return f"{plan.route}: {plan.candidate} against {plan.control}, flag {plan.flag}"


def _facts(route: RouteStatus) -> Iterator[tuple[str, str]]:
    yield "offered", _offered(route)
    yield "served", _served(route)
    yield from _latch(route)
    yield "processes", _processes(route)
    for exception in route.flag.exceptions if route.flag else ():
        yield "exception", exception
    for problem in route.problems:
        yield "problem", problem
    yield from _evidence(route.analysis)
    yield from _gaps(route)


def _offered(route: RouteStatus) -> str:
    if route.flag is None:
        return "unknown: the flag service cannot be read from here"
    return offer(route.plan, route.flag)


def _served(route: RouteStatus) -> str:
    match route.override:
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


def _latch(route: RouteStatus) -> Iterator[tuple[str, str]]:
    latch = route.latch
    if latch.held:
        yield "killed", f"trip {latch.trip}, since {latch.at}, by {latch.actor}"
        yield "reason", latch.reason
        yield "release", release_command(latch.route, latch.trip)
    elif latch.trip:
        yield "released", f"trip {latch.trip}, {latch.at}, by {latch.actor}"
        yield "reason", latch.reason


def _processes(route: RouteStatus) -> str:
    if route.processes is None:
        return "unknown: the store cannot be read"
    alive = len(route.processes)
    if not alive:
        return "none is running"
    if not route.latch.trip:
        return f"{alive} running"
    return f"{alive} running, {route.acknowledged} obey trip {route.latch.trip}"


def _evidence(analysis: Analysis | None) -> Iterator[tuple[str, str]]:
    if analysis is None:
        yield "evidence", "cannot be read"
        return
    total, threshold = _short(analysis.log_g), _short(analysis.log_threshold)
    yield "evidence", f"{analysis.verdict}; log E {total}, rolls back at {threshold}"
    yield from _alarms(analysis)
    if analysis.excluded:
        counts = ", ".join(f"{n} {why}" for why, n in analysis.excluded.items())
        yield "excluded", counts


def _gaps(route: RouteStatus) -> Iterator[tuple[str, str]]:
    """Yield what a person must see to, because nothing else will."""
    proven = route.analysis is not None and route.analysis.verdict is Verdict.FAIL
    if proven and not route.latch.held:
        command = f"flipback kill {shlex.quote(route.plan.route)} --reason '...'"
        yield "warning", f"harm is proven, but no process has acted: run `{command}`"
    for metric in route.unobserved:
        said = f"candidate exposed {route.exposures} times, no `{metric}` observed"
        yield "warning", f"{said}; {_RECORDED}"


def _alarms(analysis: Analysis) -> Iterator[tuple[str, str]]:
    if analysis.verdict is Verdict.FAIL:
        for finding in culprits(analysis):
            yield "harm", f"proven: {describe(finding)}"
    for finding in analysis.paused:
        yield "pause", f"should pause: {describe(finding)}"
    for finding in analysis.warned:
        yield "warning", describe(finding)


def _table(analysis: Analysis | None) -> Sequence[str]:
    """Return the evidence as aligned columns; nothing where there are no findings."""
    if analysis is None or not analysis.findings:
        return []
    failed = analysis.verdict is Verdict.FAIL
    blamed = culprits(analysis) if failed else ()
    rows = [
        _COLUMNS,
        *(_row(finding, blamed=finding in blamed) for finding in analysis.findings),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_line(row, widths) for row in rows]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(_COLUMNS, row, widths, strict=True)
    return "  ".join(
        text.ljust(width) if name in _TEXT_COLUMNS else text.rjust(width)
        for name, text, width in cells
    ).rstrip()


def _row(finding: Finding, *, blamed: bool) -> Sequence[str]:
    effect = finding.relative_effect
    verdict = f"{Verdict.FAIL} (blamed)" if blamed else finding.verdict
    note = f": {finding.note}" if finding.note else ""
    return (
        finding.metric,
        "(everybody)" if finding.cohort == EVERYBODY else finding.cohort,
        str(finding.control_n),
        str(finding.candidate_n),
        _short(finding.control_value),
        _short(finding.candidate_value),
        "-" if effect is None else f"{effect:+.1%}",
        _interval(finding.interval),
        _short(finding.log_e),
        f"{verdict}{note}",
    )


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{_short(interval.low)} .. {_short(interval.high)}"


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if math.isfinite(value) else f"{value:+}"
