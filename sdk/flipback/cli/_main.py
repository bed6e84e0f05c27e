"""Run one command: read its arguments, do it, and say what went wrong."""

import argparse
import sys
from collections.abc import Sequence

from flipback.cli import _parser
from flipback.cli._arguments import Options
from flipback.cli._exit import ExitCode
from flipback.cli._shell import (
    Shell,
    complain,
    only_commands_speak,
    say_json,
    speak_any_encoding,
    warn,
)
from flipback.cli._speech import hush
from flipback.errors import FlipbackError


def run(words: Sequence[str]) -> int:
    """Run the command that the words ask for; return its exit code."""
    speak_any_encoding()
    try:
        options = _parser_of(words).parse_args(words, Options())
    except _parser.Misuse as misuse:
        return _misused(str(misuse), words)
    except SystemExit:  # argparse has printed its help
        return ExitCode.OK
    command = _parser.command_named(options.command)
    if command.logs:
        return _guarded(options)
    with only_commands_speak():
        return _guarded(options)


def _parser_of(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of the command in question, of all where that is not plain."""
    if words and words[0] in _parser.COMMANDS:
        return _parser.build_parser([words[0]])
    return _parser.build_parser()


def _misused(problem: str, words: Sequence[str]) -> ExitCode:
    said = "flipback: NOTHING WAS KILLED" if "kill" in words else ""
    if said:
        print(said, file=sys.stderr)
    if "--json" in words:
        error = f"{problem}; nothing was killed" if said else problem
        say_json({"exit": int(ExitCode.USAGE), "error": error})
    return ExitCode.USAGE


def _guarded(options: Options) -> int:
    try:
        command = _parser.command_named(options.command)
        code = command.run(options, Shell.of_this_process())
        if sys.stdout is not None:  # as it is where nobody listens from the start
            sys.stdout.flush()
    except BrokenPipeError:  # `flipback status | head` is no fault
        hush()
        return ExitCode.UNAVAILABLE
    except (FlipbackError, OSError) as error:
        return complain(error, as_json=options.json)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        warn(f"a fault of flipback: {error!r}; `python -X dev` shows where")
        return ExitCode.UNAVAILABLE
    return code
