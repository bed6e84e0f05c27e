"""`flipback kill`: control serves everybody until a person releases the trip."""

from argparse import ArgumentParser
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict

from flipback.app import Kill, Operator
from flipback.cli._arguments import Command, Options, said, seconds, who_and_why
from flipback.cli._cohorts import declared
from flipback.cli._exit import ExitCode
from flipback.cli._kill_text import kill_text
from flipback.cli._routes import plan_named, refuse
from flipback.cli._shell import Shell, say, say_json, tell, warn, whoami
from flipback.config import Reading, read_settings
from flipback.control import Delivered, release_command
from flipback.errors import ConfigError
from flipback.plan import Problem, nearest


_WITHOUT_CONFIGURATION = (
    "nothing was killed; to force control without configuration: "
    "touch flipback.force-control beside the application's flipback.toml, "
    "or set FLIPBACK_FORCE_CONTROL=* for the application and restart it"
)


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
        "--cohort",
        metavar="ATTRIBUTE=VALUE",
        type=said,
        help="kill for this cohort only; the plan must declare it",
    )
    who_and_why(
        parser, who="kills", why="why, for the ledger and the flag service's audit log"
    )
    parser.add_argument(
        "--wait",
        metavar="TIME",
        type=seconds,
        default="2s",
        help="how long to wait for the processes to acknowledge; default: 2s",
    )


def _run(options: Options, shell: Shell) -> ExitCode:
    with _break_glass():
        reading = read_settings(shell.config(options.config))
    for mistake in reading.mistakes:
        warn(str(mistake))
    routes = _routes(options, reading)
    if options.cohort:
        routes = _declaring(routes, options, reading)
    with _break_glass():
        operator = Operator.open(reading.settings, clock=shell.clock)
    with closing(operator):
        kills = operator.kill(
            routes,
            reason=options.reason,
            actor=options.actor or whoami(),
            wait_s=options.wait,
            cohort=options.cohort or "",
        )
    missed = reading.nameless if options.all else ()
    code = _exit_code(kills, missed)
    if options.json:
        return tell(lambda: say_json(_as_json(kills, missed, code)), code)
    return tell(lambda: _print(kills, missed, reading), code)


KILL = Command(
    name="kill",
    help="serve control to everybody, at once, until a person releases it",
    declare=_declare,
    run=_run,
)


_COHORT_OF_A_ROUTE = Problem(
    problem="no route has a `[` in its name",
    remedy="to kill one cohort: flipback kill ROUTE --cohort attribute=value",
)


@contextmanager
def _break_glass() -> Generator[None]:
    """Add to an error what a person can still do at night."""
    try:
        yield
    except ConfigError as error:
        error.add_note(_WITHOUT_CONFIGURATION)
        raise


def _routes(options: Options, reading: Reading) -> Sequence[str]:
    """Return what to kill; a route that is named is killed even if nobody plans it."""
    plans = reading.settings.plans
    if options.variant is not None:
        found = [plan.route for plan in plans if plan.candidate == options.variant]
        return found or refuse(reading, "--variant", _no_candidate(options, reading))
    if options.all:
        routes = [*(plan.route for plan in plans), *reading.unplanned]
        none = Problem(problem="no plan names a route", remedy="name the route to kill")
        return list(dict.fromkeys(routes)) or refuse(reading, "--all", none)
    for route in options.routes:
        if "[" in route:
            refuse(reading, route, _COHORT_OF_A_ROUTE)
    return list(dict.fromkeys(options.routes))


def _declaring(
    routes: Sequence[str], options: Options, reading: Reading
) -> Sequence[str]:
    """Return the routes that can be killed for one cohort.

    A route that is named must declare it. A route whose plan has mistakes may, and
    is killed: its processes run by the plan as it was.
    """
    plans = {plan.route: plan for plan in reading.settings.plans}
    for route in options.routes:
        if route not in reading.unplanned:
            plan = plan_named(route, reading)
            declared([options.cohort], plan, reading, option="--cohort")
    found = [
        route
        for route in routes
        if route not in plans or options.cohort in plans[route].declared_cohorts
    ]
    return found or refuse(reading, "--cohort", _undeclared(options, reading))


def _undeclared(options: Options, reading: Reading) -> Problem:
    known = {c for plan in reading.settings.plans for c in plan.declared_cohorts}
    names = f"declared are: {', '.join(sorted(known)) or 'none'}"
    return Problem(
        problem=f"no plan declares cohort {options.cohort!r}",
        remedy=nearest(options.cohort, sorted(known), otherwise=names),
    )


def _no_candidate(options: Options, reading: Reading) -> Problem:
    known = sorted({plan.candidate for plan in reading.settings.plans})
    names = f"candidates are: {', '.join(known) or 'none'}"
    return Problem(
        problem=f"no plan rolls out {options.variant!r}",
        remedy=nearest(str(options.variant), known, otherwise=names),
    )


def _exit_code(kills: Sequence[Kill], missed: Sequence[str]) -> ExitCode:
    """Return the code of the worst that is so; worst is what looks like a kill."""
    applied = [kill.flag is Delivered.APPLIED for kill in kills]
    if not all(kill.recorded or kill.flag is Delivered.APPLIED for kill in kills):
        return ExitCode.NOT_KILLED
    if not all(kill.durable for kill in kills):
        return ExitCode.NOT_DURABLE
    if not all(applied):
        return ExitCode.LOCAL_ONLY
    if not all(kill.obeyed for kill in kills):
        return ExitCode.UNACKNOWLEDGED
    return ExitCode.MISTAKES if missed else ExitCode.OK


def _as_json(kills: Sequence[Kill], missed: Sequence[str], code: ExitCode) -> object:
    return {
        "exit": int(code),
        "kills": list(map(_kill_json, kills)),
        "missed_files": list(missed),
    }


def _kill_json(kill: Kill) -> object:
    """Return one kill; how many run is null where that is not known."""
    latch = kill.latch
    return {
        "killed": kill.recorded or kill.flag is Delivered.APPLIED,
        "latch": asdict(latch),
        "durable": kill.durable,
        "stored": kill.stored,
        "flag": kill.flag,
        "problem": kill.problem,
        "processes": kill.processes if kill.counted else None,
        "acknowledged": kill.acknowledged if kill.counted else None,
        "release": release_command(latch.route, latch.trip) if kill.recorded else None,
    }


def _print(kills: Sequence[Kill], missed: Sequence[str], reading: Reading) -> None:
    for kill in kills:
        for line in kill_text(kill, reading):
            say(line)
    for file in missed:
        say(f"NOT KILLED: the route of {file}, which cannot be read; name the route")
