"""`flipback kill`: control serves everybody until a person releases the trip."""

from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from typing import NoReturn

from flipback.app import Operator
from flipback.cli._arguments import Command, Options, said, seconds
from flipback.cli._exit import ExitCode
from flipback.cli._shell import Shell, release_command, say_json, warn, whoami
from flipback.config import Reading, read_settings
from flipback.control import Delivered, KillReport
from flipback.errors import ConfigError, Mistake
from flipback.plan import Problem, nearest


def _declare(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "routes", metavar="ROUTE", nargs="*", default=[], help="the routes to kill"
    )
    what.add_argument("--all", action="store_true", help="kill every route")
    what.add_argument(
        "--variant", metavar="NAME", help="kill the routes whose candidate this is"
    )
    parser.add_argument(
        "--reason",
        metavar="TEXT",
        type=said,
        required=True,
        help="why, for the ledger and the flag service's audit log",
    )
    parser.add_argument(
        "--actor",
        metavar="NAME",
        type=said,
        default=None,
        help="who kills; default: user@host of this shell",
    )
    parser.add_argument(
        "--wait",
        metavar="TIME",
        type=seconds,
        default="2s",
        help="how long to wait for the processes to acknowledge; default: 2s",
    )


def _run(options: Options, shell: Shell) -> ExitCode:
    reading = read_settings(shell.config(options.config))
    for mistake in reading.mistakes:
        warn(str(mistake))
    routes = _routes(options, reading)
    with closing(Operator.open(reading.settings, clock=shell.clock)) as operator:
        reports = operator.kill(
            routes,
            reason=options.reason,
            actor=options.actor or whoami(),
            wait_s=options.wait,
        )
    missed = reading.nameless if options.all else ()
    code = _exit_code(reports, missed)
    if options.json:
        say_json(_as_json(reports, missed, code))
    else:
        _print(reports, missed, reading)
    return code


KILL = Command(
    name="kill",
    help="serve control to everybody, at once, until a person releases it",
    declare=_declare,
    run=_run,
)


def _routes(options: Options, reading: Reading) -> Sequence[str]:
    """Return what to kill; a route that is named is killed even if nobody plans it."""
    plans = reading.settings.plans
    if options.variant is not None:
        found = [plan.route for plan in plans if plan.candidate == options.variant]
        return found or _refuse(reading, "--variant", _no_candidate(options, reading))
    if options.all:
        routes = [*(plan.route for plan in plans), *reading.unplanned]
        none = Problem(problem="no plan names a route", remedy="name the route to kill")
        return list(dict.fromkeys(routes)) or _refuse(reading, "--all", none)
    return list(dict.fromkeys(options.routes))


def _no_candidate(options: Options, reading: Reading) -> Problem:
    known = sorted({plan.candidate for plan in reading.settings.plans})
    names = f"candidates are: {', '.join(known) or 'none'}"
    return Problem(
        problem=f"no plan rolls out {options.variant!r}",
        remedy=nearest(str(options.variant), known, otherwise=names),
    )


def _refuse(reading: Reading, option: str, found: Problem) -> NoReturn:
    raise ConfigError(
        [
            Mistake(
                file=str(reading.settings.path),
                table="",
                key=option,
                problem=found.problem,
                remedy=found.remedy,
            )
        ]
    )


def _exit_code(reports: Sequence[KillReport], missed: Sequence[str]) -> ExitCode:
    """Return the code of the worst that is so; a kill that a crash undoes is worst."""
    if not all(report.durable for report in reports):
        return ExitCode.NOT_DURABLE
    if not all(report.flag is Delivered.APPLIED for report in reports):
        return ExitCode.LOCAL_ONLY
    if not all(map(_obeyed, reports)):
        return ExitCode.UNACKNOWLEDGED
    return ExitCode.MISTAKES if missed else ExitCode.OK


def _obeyed(report: KillReport) -> bool:
    return report.stored and report.acknowledged >= report.processes


def _as_json(
    reports: Sequence[KillReport], missed: Sequence[str], code: ExitCode
) -> object:
    return {
        "exit": int(code),
        "kills": [
            {
                **asdict(report),
                "release": release_command(report.latch.route, report.latch.trip),
            }
            for report in reports
        ],
        "missed_files": list(missed),
    }


def _print(
    reports: Sequence[KillReport], missed: Sequence[str], reading: Reading
) -> None:
    for report in reports:
        latch = report.latch
        print(f"{latch.route}: killed by trip {latch.trip}; control serves")
        print(f"  ledger: {'written' if report.durable else 'NOT WRITTEN'}")
        print(f"  store: {'written' if report.stored else 'NOT WRITTEN'}")
        print(f"  flag service: {_flag(report, reading)}")
        print(f"  processes: {_processes(report)}")
        if report.problem:
            print(f"  problem: {report.problem}")
        print(f"  release it with: {release_command(latch.route, latch.trip)}")
    for file in missed:
        print(f"NOT KILLED: the route of {file}, which cannot be read; name the route")


def _processes(report: KillReport) -> str:
    if not report.processes:
        return "none is running"
    return f"{report.acknowledged} of {report.processes} acknowledged"


def _flag(report: KillReport, reading: Reading) -> str:
    route = report.latch.route
    if route in reading.unplanned:
        return "NOT TOLD, the plan of this route cannot be used"
    planned = [plan.route for plan in reading.settings.plans]
    if route not in planned:
        hint = nearest(route, planned, otherwise="check its name")
        return f"NOT TOLD, NO PLAN NAMES THIS ROUTE; {hint}"
    match report.flag:
        case Delivered.APPLIED:
            return "applied"
        case Delivered.PENDING:
            return "NOT APPLIED YET, running processes go on trying"
        case Delivered.BLOCKED:
            return "REFUSED, the kill stays local until it is allowed"
        case Delivered.NO_WRITER:
            return "NOT TOLD, it cannot be written from here"
