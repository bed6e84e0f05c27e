"""`flipback restore`: put a flag's rules back after a kill, without the candidate."""

from argparse import ArgumentParser
from contextlib import closing

from flipback.app import Operator
from flipback.cli._arguments import Command, Options, who_and_why
from flipback.cli._exit import ExitCode
from flipback.cli._move_text import restored_json, restored_text
from flipback.cli._routes import latch_of, plan_named
from flipback.cli._shell import Shell, say_json, tell, warn, whoami
from flipback.config import read_settings


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("route", metavar="ROUTE", help="the route to restore")
    who_and_why(
        parser,
        who="restores",
        why="why, for the ledger and the flag service's audit log",
    )


def _run(options: Options, shell: Shell) -> ExitCode:
    reading = read_settings(shell.config(options.config))
    for mistake in reading.mistakes:
        warn(str(mistake))
    plan = plan_named(options.route, reading)
    with closing(Operator.open(reading.settings, clock=shell.clock)) as operator:
        restored = operator.restore(
            plan.route, reason=options.reason, actor=options.actor or whoami()
        )
        latch = latch_of(plan.route, operator)
    code = ExitCode.REFUSED if restored.refused else ExitCode.OK
    if options.json:
        return tell(lambda: say_json(restored_json(restored, code)), code)
    return tell(lambda: print(*restored_text(restored, latch), sep="\n"), code)


RESTORE = Command(
    name="restore",
    help="put a flag's rules back after a kill; nobody is offered the candidate",
    declare=_declare,
    run=_run,
)
