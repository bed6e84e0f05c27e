"""The command line: `flipback COMMAND`; `flipback --help` names them all."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flipback.cli._exit import MEANING, ExitCode


if TYPE_CHECKING:
    from argparse import ArgumentParser


__all__ = ["MEANING", "ExitCode", "build_parser", "main"]

_INTERRUPTED = {
    "kill": "nothing may have been killed; run it again",
    **dict.fromkeys(
        ("start", "promote", "pause", "resume", "finish", "release", "restore"),
        "`flipback status` shows what was done",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing is raised at a person."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        # All that takes its time is loaded in here, where Ctrl-C is no traceback.
        if words == ["--version"]:
            from importlib.metadata import version  # noqa: PLC0415

            print(f"flipback {version('flipback')}")
            return ExitCode.OK
        from flipback.cli._main import run  # noqa: PLC0415

        return run(words)
    except KeyboardInterrupt:
        return _interrupted(words)


def build_parser() -> "ArgumentParser":
    """Return the parser of all commands; see `flipback.cli._parser`."""
    from flipback.cli import _parser  # noqa: PLC0415 - see `main`

    return _parser.build_parser()


def _interrupted(words: Sequence[str]) -> ExitCode:
    said = [why for command, why in _INTERRUPTED.items() if command in words]
    print(": ".join(["flipback: interrupted", *said[:1]]), file=sys.stderr)
    return ExitCode.INTERRUPTED
