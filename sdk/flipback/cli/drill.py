"""`flipback drill`: flip a flag of its own back, and time it in every process."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict

from flipback.app import Driller, DrillReport, Drills, Times
from flipback.cli._arguments import Command, Options, by, seconds
from flipback.cli._exit import ExitCode
from flipback.cli._shell import Shell, say, say_json, warn, whoami
from flipback.config import read_settings
from flipback.control import Delivered


def _declare(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--times",
        metavar="N",
        type=_times,
        default=1,
        help="how many drills, one after another; default: 1",
    )
    what.add_argument(
        "--clean",
        action="store_true",
        help="make none; put in order what a drill that broke off has left",
    )
    parser.add_argument(
        "--within",
        metavar="TIME",
        type=seconds,
        default="500ms",
        help="time in which every process must come to control; default: 500ms",
    )
    parser.add_argument(
        "--wait",
        metavar="TIME",
        type=seconds,
        default="5s",
        help="how long to wait for the processes before and after a kill; default: 5s",
    )
    by(parser, "drills")


def _run(options: Options, shell: Shell) -> ExitCode:
    reading = read_settings(shell.config(options.config))
    for mistake in reading.mistakes:
        warn(str(mistake))
    with closing(Driller.open(reading.settings, clock=shell.clock)) as driller:
        report = _made(driller, options)
    code = _exit_code(report)
    if options.json:
        say_json(_as_json(report, code))
    else:
        for line in _cleaning(report) if options.clean else _text(report):
            say(line)
    return code


DRILL = Command(
    name="drill",
    help="flip a flag of its own back, and say how long each process takes to follow",
    declare=_declare,
    run=_run,
)


def _made(driller: Driller, options: Options) -> DrillReport:
    actor = options.actor or whoami()
    if options.clean:
        return driller.clean(actor=actor)
    drills = Drills(
        actor=actor,
        times=options.times,
        within_s=options.within,
        wait_s=max(options.wait, options.within),
    )
    try:
        return driller.run(drills)
    except KeyboardInterrupt as stop:
        for left in getattr(stop, "__notes__", ["the drill flag is as it was before"]):
            warn(left)
        raise


def _times(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number of drills; write 1 or more")
    return int(text)


def _exit_code(report: DrillReport) -> ExitCode:
    """Return the code of the worst that is so, as `kill` does."""
    if report.refused:
        return ExitCode.REFUSED
    if report.left:
        return ExitCode.UNAVAILABLE
    if any(made.durable_ms is None for made in report.rounds if made.trip):
        return ExitCode.NOT_DURABLE
    if any(made.flag is not Delivered.APPLIED for made in report.rounds if made.trip):
        return ExitCode.LOCAL_ONLY
    if report.on_time < len(report.rounds):
        return ExitCode.UNACKNOWLEDGED
    return ExitCode.OK


def _as_json(report: DrillReport, code: ExitCode) -> object:
    return {
        "exit": int(code),
        **asdict(report),
        "on_time": report.on_time,
        "control": asdict(report.control),
        "latch": asdict(report.latch),
        "by_flag": asdict(report.by_flag),
        "durable": asdict(report.durable),
        "written": asdict(report.written),
    }


def _cleaning(report: DrillReport) -> Iterator[str]:
    if report.refused:
        yield f"nothing was put in order: {report.refused}; {report.remedy}"
    elif not report.cleaned and not report.left:
        yield "no drill has left anything behind"
    yield from _order(report)


def _text(report: DrillReport) -> Iterator[str]:
    yield from _order(report)
    if report.refused:
        yield f"no drill was made: {report.refused}"
        yield f"  to do: {report.remedy}"
        return
    if not report.rounds:
        return
    yield (
        f"drill of flag {report.flag}: {report.on_time} of {len(report.rounds)} times "
        f"every process served control within {1000 * report.within_s:.0f} ms"
    )
    yield f"  control served: {_spelled(report.control)}"
    yield f"  by the kill:    {_spelled(report.latch)}"
    yield f"  by the flag:    {_spelled(report.by_flag)}"
    yield f"  in the ledger:  {_spelled(report.durable)}"
    yield f"  flag written:   {_spelled(report.written)}"
    for process in report.processes:
        yield f"  process {process}: {_spelled(report.of(process))}"
    yield from _doubts(report)
    if not report.left:
        yield f"  flag {report.flag} is as it was before"


def _order(report: DrillReport) -> Iterator[str]:
    for done in report.cleaned:
        yield f"left by a drill that broke off, and in order now: {done}"
    for left in report.left:
        yield f"NOT IN ORDER: {left}; then: flipback drill --clean"


def _doubts(report: DrillReport) -> Iterator[str]:
    """Yield what keeps the figures from meaning what they seem to."""
    seen = list(report.sightings)
    unarmed = {each.process for each in seen if not each.armed}
    for process in sorted(unarmed):
        yield (
            f"  WARNING: process {process} never saw all subjects get the candidate, "
            "so it could not be timed: it hangs, is forced to control, or its flag "
            "provider does not see the flag"
        )
    late = {each.process for each in seen if each.armed and each.control_ms is None}
    for process in sorted(late):
        yield f"  WARNING: process {process} did not come to control in time"
    if any((each.control_ms or 0.0) < 0 for each in seen):
        yield (
            "  WARNING: control was seen before the kill: clocks of hosts differ, or "
            "somebody changed the flag"
        )
    if len({process.partition(":")[0] for process in report.processes}) > 1:
        yield (
            "  NOTE: processes of several hosts; the figures are as good as their "
            "clocks agree"
        )
    if report.strangers:
        yield (
            f"  NOTE: {report.strangers} running processes do not know the drill flag "
            "and took no part; a guard never does, restart all others"
        )
    for problem in dict.fromkeys(made.problem for made in report.rounds):
        if problem:
            yield f"  problem: {problem}"


def _spelled(times: Times) -> str:
    if times.p50_ms is None or times.p99_ms is None or times.longest_ms is None:
        return "not in time, never measured"
    return (
        f"half within {times.p50_ms:.0f} ms, 99 % within {times.p99_ms:.0f} ms, "
        f"longest {times.longest_ms:.0f} ms ({times.measured} measured)"
    )
