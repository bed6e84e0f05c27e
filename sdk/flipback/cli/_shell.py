"""What a command has around it, and how it speaks."""

import contextlib
import getpass
import logging
import os
import socket
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from flipback.cli._exit import ExitCode
from flipback.cli._speech import (
    is_terminal,
    plain,
    say,
    say_json,
    speak_any_encoding,
    tell,
    warn,
)
from flipback.config import find_config
from flipback.control import SystemClock
from flipback.errors import ConfigError
from flipback.ports import Clock


__all__ = [
    "Shell",
    "complain",
    "is_terminal",
    "only_commands_speak",
    "plain",
    "say",
    "say_json",
    "speak_any_encoding",
    "tell",
    "warn",
    "whoami",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """The surroundings of a command."""

    environ: Mapping[str, str]
    cwd: Path
    clock: Clock

    @classmethod
    def of_this_process(cls) -> "Shell":
        """Return the real surroundings."""
        return cls(environ=os.environ, cwd=Path.cwd(), clock=SystemClock())

    def config(self, explicit: str | None) -> Path:
        """Return the configuration that is in force.

        Raises:
            ConfigError: There is none.
        """
        return find_config(explicit, self.environ, self.cwd)


def whoami() -> str:
    """Return `user@host`, also where the user id has no name."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # which of them depends on the version of Python
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def complain(error: Exception, *, as_json: bool) -> ExitCode:
    """Say on standard error what went wrong; return the exit code for it."""
    code = ExitCode.USAGE if isinstance(error, ConfigError) else ExitCode.UNAVAILABLE
    text = "\n".join([str(error), *getattr(error, "__notes__", ())])
    warn(text)
    if as_json:
        say_json({"exit": int(code), "error": text})
    return code


@contextlib.contextmanager
def only_commands_speak() -> Generator[None]:
    """Keep the library's log from a person to whom the command says it already.

    Errors of flag services go on in one line each: that the flag's audit was lost
    is told nowhere else.
    """
    logger, teller = logging.getLogger("flipback"), _Teller(logging.ERROR)
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(teller)
    try:
        yield
    finally:
        logger.removeHandler(teller)
        logger.propagate = propagates


class _Teller(logging.Handler):
    """Says what is logged as a command says it, without traceback."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads standard error
            warn(record.getMessage())
