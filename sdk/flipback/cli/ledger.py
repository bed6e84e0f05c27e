"""`flipback ledger`: who did what, when and why; and whether that was touched."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from flipback.cli._arguments import Command, Options
from flipback.cli._exit import ExitCode
from flipback.cli._history import Told, told
from flipback.cli._history_text import entry_text, folded
from flipback.cli._places import PUT_BACK
from flipback.cli._routes import not_planned, planned
from flipback.cli._shell import Shell, say, say_json, warn
from flipback.config import Reading, Settings, read_settings
from flipback.plan import nearest
from flipback.ports import LedgerEntry


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "only",
        metavar="ROUTE",
        nargs="?",
        default=None,
        help="the route to tell of; all of them if not said",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="look for edits, gaps and a cut end, also beside the store's copy",
    )
    parser.add_argument(
        "--last",
        metavar="N",
        type=_how_many,
        help="tell the last N entries; default: all",
    )


def _run(options: Options, shell: Shell) -> ExitCode:
    reading = read_settings(shell.config(options.config))
    settings = reading.settings
    found = told(settings, shell.clock)
    entries = found.about(options.only)
    chosen = entries[-options.last :] if options.last else entries
    code = _exit_code(options, found, reading)
    if options.json:
        say_json(_as_json(settings, found, chosen, code))
        return code
    if options.verify:
        _tell_verified(settings, found)
        return code
    _tell(found, chosen, len(entries) - len(chosen))
    if not entries and found.readable:
        _tell_nothing(options.only, found, reading)
    return code


LEDGER = Command(
    name="ledger",
    help="tell who did what to a route, when and why; --verify finds edits",
    declare=_declare,
    run=_run,
)


def _how_many(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number of entries; write 1 or more")
    return int(text)


def _exit_code(options: Options, found: Told, reading: Reading) -> ExitCode:
    if not found.readable and not found.entries:
        return ExitCode.UNAVAILABLE
    if options.verify:
        if found.breaks:
            return ExitCode.MISTAKES
        return ExitCode.UNAVAILABLE if found.unread else ExitCode.OK
    route = options.only
    unknown = route is not None and route not in planned(reading)
    return ExitCode.USAGE if unknown and not found.about(route) else ExitCode.OK


def _as_json(
    settings: Settings,
    found: Told,
    chosen: Sequence[LedgerEntry],
    code: ExitCode,
) -> object:
    return {
        "exit": int(code),
        "ledger": str(settings.ledger),
        "entries": [
            {**asdict(entry), "from_copy": entry.digest in found.rescued}
            for entry in chosen
        ],
        "copied": found.copied,
        "breaks": list(map(asdict, found.breaks)),
        "edits": list(found.edits),
        "unread": list(found.unread),
        "elsewhere": list(found.elsewhere),
    }


def _tell(found: Told, chosen: Sequence[LedgerEntry], left_out: int) -> None:
    if left_out:
        say(f"{left_out} earlier, of {left_out + len(chosen)}")
    for entry in chosen:
        print(entry_text(entry, rescued=entry.digest in found.rescued))
    for problem in found.unread:
        warn(problem)
    if found.breaks:
        for each in found.breaks:
            warn(each.problem)
        warn("the ledger is not as it was written, see `flipback ledger --verify`")


def _tell_nothing(route: str | None, found: Told, reading: Reading) -> None:
    known = planned(reading)
    if route is None:
        say("nothing has happened yet")
    elif route in known:
        say(f"nothing has happened to {route} yet")
    else:
        hint = nearest(route, known, otherwise="check its name")
        say(f"no such route: {not_planned(route, reading)}; {hint}")
    for name in found.elsewhere:
        say(f"the store has a copy of another ledger: {name}")


def _tell_verified(settings: Settings, found: Told) -> None:
    count = len(found.entries) - len(found.rescued)
    say(f"{settings.ledger}: entries {count}, copies in the store {found.copied}")
    for line in _verified(found):
        for piece in folded(line, indent="  "):
            print(piece)


def _verified(found: Told) -> Iterator[str]:
    for problem in found.unread:
        yield f"cannot be compared: {problem}"
    for each in found.breaks:
        yield each.problem
    if found.breaks:
        yield from found.edits
        yield (
            f"find out who wrote to it, and {PUT_BACK}; without --verify, what is left "
            "is told"
        )
    elif not found.unread:
        yield "whole: no entry was changed, taken out or cut off"
