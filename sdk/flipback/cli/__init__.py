"""The command line: `flipback check | status | kill | release`."""

import sys
from collections.abc import Sequence

from flipback.cli._arguments import Options
from flipback.cli._exit import MEANING, ExitCode
from flipback.cli._parser import COMMANDS, build_parser
from flipback.cli._shell import Shell, complain
from flipback.errors import FlipbackError


__all__ = ["MEANING", "ExitCode", "build_parser", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing is raised at a person."""
    try:
        options = build_parser().parse_args(argv, Options())
    except SystemExit as stop:  # argparse has said why, or printed its help
        return stop.code if isinstance(stop.code, int) else ExitCode.USAGE
    try:
        return COMMANDS[options.command].run(options, Shell.of_this_process())
    except (FlipbackError, OSError) as error:
        return complain(error, as_json=options.json)
    except KeyboardInterrupt:
        print("flipback: stopped; `flipback status` shows what is done", file=sys.stderr)
        return ExitCode.UNAVAILABLE
