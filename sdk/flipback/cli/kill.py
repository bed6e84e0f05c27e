"""`flipback kill`: control serves everybody until a person releases the trip."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict

from flipback.app import Operator
from flipback.cli._arguments import Command, Options, said, seconds
from flipback.cli._exit import ExitCode
from flipback.cli._shell import Shell, say_json, warn, whoami
from flipback.config import Reading, read_settings
from flipback.control import Delivered, KillReport
from flipback.errors import ConfigError, Mistake
from flipback.plan import nearest


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
    routes = _routes(options, reading)
    for mistake in reading.mistakes:
        warn(str(mistake))
    with closing(Operator.open(reading.settings, shell.clock)) as operator:
        reports = operator.kill(
            routes,
            reason=options.reason,
            actor=options.actor or whoami(),
            wait_s=options.wait,
        )
    if options.json:
        say_json(_as_json(reports))
    else:
        _print(reports, planned={plan.route for plan in reading.settings.plans})
    return exit_code(reports)


KILL = Command(
    name="kill",
    help="serve control to everybody, at once, until a person releases it",
    declare=_declare,
    run=_run,
)


def _routes(options: Options, reading: Reading) -> Sequence[str]:
    """Return what to kill; a route that is named is killed even if nobody plans it."""
    if options.routes:
        return list(dict.fromkeys(options.routes))
    plans = reading.settings.plans
    if options.variant is None:
        return [*(plan.route for plan in plans), *reading.unplanned]
    found = [plan.route for plan in plans if plan.candidate == options.variant]
    if not found:
        known = {plan.candidate for plan in plans}
        raise ConfigError([_no_such_candidate(reading, options.variant, known)])
    return found


def _no_such_candidate(reading: Reading, variant: str, known: set[str]) -> Mistake:
    names = ", ".join(sorted(known)) or "none"
    return Mistake(
        file=str(reading.settings.path),
        table="",
        key="--variant",
        problem=f"no plan rolls out {variant!r}",
        remedy=nearest(variant, known, otherwise=f"candidates are: {names}"),
    )


def exit_code(reports: Sequence[KillReport]) -> ExitCode:
    """Return the code of the worst report: a kill that a crash forgets comes first."""
    if not all(report.durable for report in reports):
        return ExitCode.NOT_DURABLE
    if not all(report.flag is Delivered.APPLIED for report in reports):
        return ExitCode.LOCAL_ONLY
    if not all(report.acknowledged >= report.processes for report in reports):
        return ExitCode.UNACKNOWLEDGED
    return ExitCode.OK


def _as_json(reports: Sequence[KillReport]) -> object:
    return {
        "exit": int(exit_code(reports)),
        "kills": [
            {**asdict(report), "release": release_command(report.latch)}
            for report in reports
        ],
    }
