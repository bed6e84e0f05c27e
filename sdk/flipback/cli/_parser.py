"""The grammar of the command line."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn, cast

from typing_extensions import override

from flipback.cli._exit import MEANING


if TYPE_CHECKING:
    from flipback.cli._arguments import Command


_HOMES = {
    "check": "check",
    "status": "status",
    "start": "moves",
    "promote": "moves",
    "pause": "moves",
    "resume": "moves",
    "finish": "moves",
    "kill": "kill",
    "release": "release",
    "restore": "restore",
    "ledger": "ledger",
    "report": "report",
    "drill": "drill",
    "prune": "prune",
    "guard": "guard",
    "power": "power",
    "replay": "replay",
}
"""In which module a command is: only that of the one in question is loaded."""

COMMANDS: Sequence[str] = tuple(_HOMES)
_CONFIG = "path of flipback.toml; else FLIPBACK_CONFIG, else the working directory"
_JSON = "print JSON, for machines"


class _Version(argparse.Action):
    """Looks the version up when asked: no kill depends on what is installed how."""

    @override
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"flipback {version('flipback')}")
        parser.exit()


class Misuse(Exception):  # noqa: N818 - says what a person did
    """Arguments that cannot be used; a person at the terminal is told already."""


class _Parser(argparse.ArgumentParser):
    """Leaves it to the command line how to end."""

    @override
    def error(self, message: str) -> NoReturn:
        print(f"{self.format_usage()}{self.prog}: error: {message}", file=sys.stderr)
        raise Misuse(message)


def command_named(name: str) -> "Command":
    """Return a command, whose module is loaded now."""
    home = _HOMES[name]
    found = getattr(import_module(f"flipback.cli.{home}"), home.upper())
    several = cast(
        "tuple[Command, ...]", found if isinstance(found, tuple) else (found,)
    )
    return next(command for command in several if command.name == name)


def build_parser(names: Iterable[str] = COMMANDS) -> _Parser:
    """Return the parser; the reference page is tested against it.

    Args:
        names: The commands that it knows.
    """
    parser = _Parser(
        prog="flipback",
        description="Check, watch and flip back model rollouts behind feature flags.",
        epilog="\n".join(
            ["exit codes:", *(f"  {code:d}  {text}" for code, text in MEANING.items())]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE", help=_CONFIG)
    parser.add_argument("--json", action="store_true", help=_JSON)
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="print the version and end"
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="command"
    )
    for command in map(command_named, names):
        command.declare(
            commands.add_parser(
                command.name,
                parents=[_anywhere()],
                help=command.help,
                description=command.help[0].upper() + command.help[1:] + ".",
            )
        )
    return parser


def _anywhere() -> _Parser:
    """Return the options that may stand after the command too."""
    common = _Parser(add_help=False)
    common.add_argument(
        "--config", metavar="FILE", default=argparse.SUPPRESS, help=_CONFIG
    )
    common.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help=_JSON
    )
    return common
