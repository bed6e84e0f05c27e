"""The grammar of the command line."""

import argparse
from collections.abc import Mapping
from importlib.metadata import version

from typing_extensions import override

from flipback.cli._arguments import Command
from flipback.cli._exit import MEANING
from flipback.cli.check import CHECK
from flipback.cli.drill import DRILL
from flipback.cli.guard import GUARD
from flipback.cli.kill import KILL
from flipback.cli.ledger import LEDGER
from flipback.cli.moves import MOVES
from flipback.cli.power import POWER
from flipback.cli.prune import PRUNE
from flipback.cli.release import RELEASE
from flipback.cli.replay import REPLAY
from flipback.cli.report import REPORT
from flipback.cli.restore import RESTORE
from flipback.cli.status import STATUS


COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        CHECK,
        STATUS,
        *MOVES,
        KILL,
        RELEASE,
        RESTORE,
        LEDGER,
        REPORT,
        DRILL,
        PRUNE,
        GUARD,
        POWER,
        REPLAY,
    )
}
_CONFIG = "path of flipback.toml; else FLIPBACK_CONFIG, else the working directory"
_JSON = "print JSON, for machines"


class _Version(argparse.Action):
    """Looks the version up when asked: no kill depends on what is installed how."""

    @override
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"flipback {version('flipback')}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; the reference page is tested against it."""
    parser = argparse.ArgumentParser(
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
    for command in COMMANDS.values():
        command.declare(
            commands.add_parser(
                command.name,
                parents=[_anywhere()],
                help=command.help,
                description=command.help[0].upper() + command.help[1:] + ".",
            )
        )
    return parser


def _anywhere() -> argparse.ArgumentParser:
    """Return the options that may stand after the command too."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config", metavar="FILE", default=argparse.SUPPRESS, help=_CONFIG
    )
    common.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help=_JSON
    )
    return common
