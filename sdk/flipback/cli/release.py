"""`flipback release`: let the flag speak again after exactly this kill."""

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict

from flipback.app import Operator, Release
from flipback.assignment import EVERYBODY
from flipback.cli._arguments import Command, Options, trip_number, who_and_why
from flipback.cli._exit import ExitCode
from flipback.cli._offer import candidate_percent
from flipback.cli._rollout_text import REASON, command, instant
from flipback.cli._routes import not_planned, planned
from flipback.cli._shell import Shell, say, say_json, tell, warn, whoami
from flipback.cli._status_json import flag_json
from flipback.config import Reading, read_settings
from flipback.control import release_command
from flipback.latch import scope_of
from flipback.plan import RolloutPlan, nearest
from flipback.ports import FlagState


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("route", metavar="ROUTE", help="the route to release")
    parser.add_argument(
        "--trip",
        metavar="N",
        type=trip_number,
        required=True,
        help="the trip to release, as `flipback status` shows it; another one stays",
    )
    who_and_why(parser, who="releases", why="why the kill is over, for the ledger")


def _run(options: Options, shell: Shell) -> ExitCode:
    reading = read_settings(shell.config(options.config))
    for mistake in reading.mistakes:
        warn(str(mistake))
    with closing(Operator.open(reading.settings, clock=shell.clock)) as operator:
        release = operator.release(
            options.route,
            trip=options.trip,
            reason=options.reason,
            actor=options.actor or whoami(),
        )
    code = _exit_code(release)
    if options.json:
        return tell(lambda: say_json(_as_json(release, code)), code)
    return tell(lambda: _print(release, reading), code)


RELEASE = Command(
    name="release",
    help="release one trip of a route; control stays until the flag says otherwise",
    declare=_declare,
    run=_run,
)


def _exit_code(release: Release) -> ExitCode:
    if release.refused:
        return ExitCode.REFUSED
    return ExitCode.OK if release.stored else ExitCode.UNAVAILABLE


def _as_json(release: Release, code: ExitCode) -> object:
    return {
        "exit": int(code),
        "latch": asdict(release.latch),
        "refused": release.refused,
        "stored": release.stored,
        "flag": None if release.flag is None else flag_json(release.flag),
    }


def _print(release: Release, reading: Reading) -> None:
    latch = release.latch
    if release.refused:
        say(f"not released: {release.refused}")
        if latch.held:
            say(f"  held since {instant(latch.at)} by {latch.actor}: {latch.reason}")
            say(f"  release it with: {release_command(latch.route, latch.trip)}")
    else:
        say(f"{latch.route}: trip {latch.trip} is released")
        for line in _now(release, reading):
            say(f"  {line}")
    known, route = planned(reading), scope_of(latch.route).route
    if route not in known:
        hint = nearest(route, known, otherwise="check its name")
        say(f"  no such route: {not_planned(route, reading)}; {hint}")


def _now(release: Release, reading: Reading) -> Iterator[str]:
    """Yield what subjects get from now on, as far as the flag tells."""
    plans = {plan.route: plan for plan in reading.settings.plans}
    (route, cohort), flag = scope_of(release.latch.route), release.flag
    plan = plans.get(route)
    if plan is not None and cohort != EVERYBODY:
        yield f"the flag decides for {cohort} again, by its rules"
    elif plan is not None:
        yield _offered(plan, flag)
    for exception in flag.exceptions if flag is not None else ():
        yield f"the flag has an exception: {exception}"
    if not release.stored:
        yield "the store could not be written; the ledger of this host has it"


def _offered(plan: RolloutPlan, flag: FlagState | None) -> str:
    if flag is None:
        return "the flag decides again; what it offers cannot be read from here"
    if percent := candidate_percent(plan, flag):
        return (
            f"WARNING: the flag offers {percent} to {plan.candidate} now: "
            "subjects get it from the next call on"
        )
    return f"the flag serves {plan.control}; {_onward(plan, flag)}"


def _onward(plan: RolloutPlan, flag: FlagState) -> str:
    """Return how to show the candidate again, which a release never does."""
    start = command("start", plan)
    if flag.split:
        return f"go on with {start}"
    return f"go on with {command('restore', plan, REASON)} and {start}"
