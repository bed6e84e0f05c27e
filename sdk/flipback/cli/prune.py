"""`flipback prune`: keep the store small."""

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict

from flipback.app._open import open_store
from flipback.cli._arguments import Command, Options, seconds
from flipback.cli._exit import ExitCode
from flipback.cli._places import is_not_there_yet
from flipback.cli._shell import Shell, say, say_json
from flipback.config import read_settings
from flipback.ports import Pruned


_DAYS_S = 30 * 86_400.0
_KB = 1000
_MB = 1_000_000


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--older-than",
        metavar="TIME",
        type=seconds,
        default=_DAYS_S,
        help="how long ago it must have ended; default: 30d",
    )


def _run(options: Options, shell: Shell) -> ExitCode:
    settings = read_settings(shell.config(options.config)).settings
    with closing(open_store(settings, shell.clock)) as store:
        if is_not_there_yet(settings):
            pruned = Pruned()
        else:
            before = shell.clock.now().timestamp() - options.older_than
            pruned = store.prune(before=before, thorough=True)
    if options.json:
        say_json({"exit": int(ExitCode.OK), **asdict(pruned)})
    else:
        for line in _lines(pruned):
            say(line)
    return ExitCode.OK


PRUNE = Command(
    name="prune",
    help="forget what is over in the store, and give its space back",
    declare=_declare,
    run=_run,
)


def _lines(pruned: Pruned) -> Iterator[str]:
    forgotten = [
        _counted(pruned.attempts, "ended attempt"),
        _counted(pruned.receipts, "expired receipt"),
        _counted(pruned.notices, "settled notice"),
        _counted(
            pruned.writers, "writer that wrote no more", "writers that wrote no more"
        ),
        _counted(pruned.processes, "process that ended", "processes that ended"),
    ]
    said = ", ".join(filter(None, forgotten))
    yield f"forgot {said}" if said else "nothing to forget"
    before, after = pruned.size_before, pruned.size_after
    if before is not None and after is not None:
        yield f"the store took {_size(before)}, and takes {_size(after)} now"
    if pruned.kept:
        yield f"not all space is given back: {pruned.kept}"


def _counted(count: int, one: str, many: str = "") -> str:
    if not count:
        return ""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def _size(count: int) -> str:
    return f"{count / _KB:.0f} kB" if count < _MB else f"{count / _MB:.1f} MB"
