"""`flipback release`: let the flag speak again after exactly this kill."""

from argparse import ArgumentParser
from contextlib import closing
from dataclasses import asdict

from flipback.app import Operator, Release
from flipback.cli._arguments import Command, Options, said, trip_number
from flipback.cli._exit import ExitCode
from flipback.cli._shell import Shell, release_command, say_json, warn, whoami
from flipback.config import read_settings


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("route", metavar="ROUTE", help="the route to release")
    parser.add_argument(
        "--trip",
        metavar="N",
        type=trip_number,
        required=True,
        help="the trip to release, as `flipback status` shows it; another one stays",
    )
    parser.add_argument(
        "--reason",
        metavar="TEXT",
        type=said,
        required=True,
        help="why the kill is over, for the ledger",
    )
    parser.add_argument(
        "--actor",
        metavar="NAME",
        type=said,
        help="who releases; default: user@host of this shell",
    )


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
        say_json({"exit": int(code), **asdict(release)})
    else:
        _print(release)
    return code


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


def _print(release: Release) -> None:
    latch = release.latch
    if release.refused:
        print(f"not released: {release.refused}")
        if latch.held:
            print(f"  held since {latch.at} by {latch.actor}: {latch.reason}")
            print(f"  release it with: {release_command(latch.route, latch.trip)}")
        return
    print(f"{latch.route}: trip {latch.trip} is released; the flag decides again")
    print("  the kill made the flag serve control: change it there to go on")
    if not release.stored:
        print("  the store could not be written; the ledger of this host has it")
