"""`flipback report`: one page that tells an attempt, for people who were not there."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from contextlib import closing, suppress
from pathlib import Path
from secrets import token_hex

from flipback.app import Operator
from flipback.cli._arguments import Command, Options
from flipback.cli._exit import ExitCode
from flipback.cli._routes import plan_named
from flipback.cli._shell import Shell, say, say_json, warn
from flipback.config import read_settings
from flipback.report import ReportData, headline, page


_STANDARD_OUTPUT = "-"
_LONGEST_NAME = 48  # letters, of which each may be four bytes


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("route", metavar="ROUTE", help="the route to tell of")
    parser.add_argument(
        "-o",
        metavar="FILE",
        dest="output",
        required=True,
        help="where to write the page; - is standard output",
    )
    parser.add_argument(
        "--attempt",
        metavar="N",
        type=_attempt,
        help="the attempt to tell of; default: the latest",
    )


def _run(options: Options, shell: Shell) -> ExitCode:
    reading = read_settings(shell.config(options.config))
    plan = plan_named(options.route, reading)
    with closing(Operator.open(reading.settings, clock=shell.clock)) as operator:
        data = operator.report(plan.route, attempt=options.attempt)
    problem = _written(page(data), options, shell)
    code = ExitCode.UNAVAILABLE if problem or data.problems else ExitCode.OK
    _tell(data, problem, code, options)
    return code


REPORT = Command(
    name="report",
    help="write a page that tells an attempt: what was done, and on which evidence",
    declare=_declare,
    run=_run,
)


def _written(text: str, options: Options, shell: Shell) -> str:
    """Write the page; return why it could not be, or an empty string."""
    encoded = text.encode(errors="replace")
    try:
        if options.output == _STANDARD_OUTPUT:
            sys.stdout.buffer.write(encoded)
        else:
            _write_whole(shell.cwd / options.output, encoded)
    except OSError as error:
        why = error.strerror or error
        return f"{options.output} cannot be written: {why}; name another file by -o"
    return ""


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file, or leave what was there; a device is written as it is.

    Raises:
        OSError: It cannot be written.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    target = path.resolve()
    part = target.with_name(f".{target.name[:_LONGEST_NAME]}.{token_hex(8)}.part")
    try:
        part.write_bytes(content)
        if target.exists():
            part.chmod(target.stat().st_mode)
        part.replace(target)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _tell(data: ReportData, problem: str, code: ExitCode, options: Options) -> None:
    for each in filter(None, (*data.problems, problem)):
        warn(each)
    if options.output == _STANDARD_OUTPUT:
        return
    if options.json:
        say_json(
            {
                "exit": int(code),
                "file": None if problem else options.output,
                "route": data.plan.route,
                "attempt": data.attempt,
                "headline": headline(data),
                "problems": [*data.problems, *filter(None, [problem])],
            }
        )
    elif not problem:
        say(f"{options.output}: {headline(data)}")


def _attempt(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no attempt; they count from 1")
    return int(text)
