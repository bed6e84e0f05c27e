"""The command line: `flipback COMMAND`; `flipback --help` names them all."""

import os
import sys
from collections.abc import Sequence

from flipback.cli._arguments import Options
from flipback.cli._exit import MEANING, ExitCode
from flipback.cli._parser import COMMANDS, build_parser
from flipback.cli._shell import (
    Shell,
    complain,
    only_commands_speak,
    speak_any_encoding,
    warn,
)
from flipback.errors import FlipbackError


__all__ = ["MEANING", "ExitCode", "build_parser", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing is raised at a person."""
    speak_any_encoding()
    try:
        options = build_parser().parse_args(argv, Options())
    except SystemExit as stop:  # argparse has said why, or printed its help
        return stop.code if isinstance(stop.code, int) else ExitCode.USAGE
    command = COMMANDS.get(options.command)
    if command is not None and command.logs:
        return _run(options)
    with only_commands_speak():
        return _run(options)


def _run(options: Options) -> int:
    try:
        code = COMMANDS[options.command].run(options, Shell.of_this_process())
        if sys.stdout is not None:  # as it is where nobody listens from the start
            sys.stdout.flush()
    except BrokenPipeError:
        return _nobody_listens()
    except (FlipbackError, OSError) as error:
        return complain(error, as_json=options.json)
    except KeyboardInterrupt:
        warn("stopped; `flipback status` shows what is done")
        return ExitCode.UNAVAILABLE
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        warn(f"a fault of flipback: {error!r}; `python -X dev` shows where")
        return ExitCode.UNAVAILABLE
    return code


def _nobody_listens() -> ExitCode:
    """Close standard output quietly: `flipback status | head` is no fault."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.UNAVAILABLE
