"""`flipback status`: what is offered, what is served, who obeys, what is known."""

from argparse import ArgumentParser
from contextlib import closing
from dataclasses import asdict

from flipback.app import Operator
from flipback.cli._arguments import Command, Options
from flipback.cli._exit import ExitCode
from flipback.cli._routes import forced_for_nothing
from flipback.cli._shell import Shell, say_json, warn
from flipback.cli._status_json import status_json
from flipback.cli._status_text import status_text
from flipback.config import read_settings


def _declare(_: ArgumentParser) -> None:
    """Declare no options of its own."""


def _run(options: Options, shell: Shell) -> ExitCode:
    reading = read_settings(shell.config(options.config))
    mistakes = [*reading.mistakes, *forced_for_nothing(reading, shell)]
    for mistake in mistakes:
        warn(str(mistake))
    with closing(Operator.open(reading.settings, clock=shell.clock)) as operator:
        routes = operator.status()
    if options.json:
        say_json(
            {
                "routes": list(map(status_json, routes)),
                "mistakes": list(map(asdict, mistakes)),
            }
        )
    else:
        print("\n\n".join(map(status_text, routes)) or "no plan can be used")
    if any(route.problems for route in routes):
        return ExitCode.UNAVAILABLE
    return ExitCode.MISTAKES if mistakes else ExitCode.OK


STATUS = Command(
    name="status",
    help="show what each route is offered and serves, who obeys, and the evidence",
    declare=_declare,
    run=_run,
)
