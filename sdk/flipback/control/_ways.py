"""Ways to tell people: a webhook, or a program that the configuration names.

An address of a webhook may be a secret, and errors quote addresses. So nothing that
failed is shown as it is: it is named by its place in the configuration and its host.
"""

import logging
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from importlib.metadata import version
from pathlib import PurePath
from threading import Event, Timer
from typing import IO, Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from typing_extensions import override

from flipback.config import NotifySettings, is_web_address


WEBHOOK_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 10.0
_LAST_WORDS = 200
logger = logging.getLogger("flipback")


class NotToldError(Exception):
    """Telling failed; what it says holds no address and no data of users."""


class Way(Protocol):
    """One way to tell people."""

    @property
    def name(self) -> str:
        """Return its place in the configuration, and whom it leads to."""
        ...

    def tell(self, body: str, *, within_s: float) -> None:
        """Tell this JSON; it may not take longer than its own time-out either.

        Raises:
            NotToldError: It is not known to have arrived.
        """
        ...


def way_of(place: int, settings: NotifySettings, environ: Mapping[str, str]) -> Way:
    """Return the way that the table at this place describes, from 0."""
    table = f"[[notify]][{place + 1}]"
    if settings.command is not None:
        return _Command(table, settings.command, environ)
    return _Webhook(table, settings, environ)


class _Webhook:
    def __init__(
        self, table: str, settings: NotifySettings, environ: Mapping[str, str]
    ) -> None:
        self._table = table
        self._settings = settings
        self._environ = environ

    @property
    def name(self) -> str:
        variable = self._settings.webhook_from
        host = _host(self._written()) or (f"from {variable}" if variable else "no host")
        return f"{self._table} ({host})"

    def tell(self, body: str, *, within_s: float) -> None:
        """Post it; the status decides, and what else is answered is not read.

        No redirect is followed: a POST would become a GET that tells nothing, and its
        new address is chosen by others.
        """
        limit_s = min(within_s, WEBHOOK_TIMEOUT_S)
        request = Request(  # noqa: S310 - the address was checked
            self._address(),
            data=body.encode(),
            headers={
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": f"flipback/{version('flipback')}",
            },
            method="POST",
        )
        line = _Line()
        try:
            with line.cut_after(limit_s), line.post(request, limit_s):
                return
        except HTTPError as error:
            error.close()
            raise NotToldError(_answered(error.code)) from None
        except Exception as error:  # noqa: BLE001 - its text may hold the address
            late = line.was_cut.is_set() or _timed_out(error)
            why = f"no answer within {limit_s:g} s" if late else _why(error)
            raise NotToldError(why) from None

    def _address(self) -> str:
        address = self._written()
        variable = self._settings.webhook_from
        if not address:
            raise NotToldError(f"the environment variable {variable} is not set")
        if not is_web_address(address):
            raise NotToldError(f"{variable} holds no address of a web server")
        return address

    def _written(self) -> str:
        variable = self._settings.webhook_from
        if variable is None:
            return self._settings.webhook or ""
        return self._environ.get(variable, "").strip()


class _Line(HTTPHandler, HTTPSHandler):
    """One connection that is cut when its time is over.

    A time-out of sockets alone would let an answer drip in for hours.
    """

    def __init__(self) -> None:
        HTTPSHandler.__init__(self)
        self.was_cut = Event()
        self._connection: HTTPConnection | None = None

    def post(self, request: Request, timeout_s: float) -> HTTPResponse:
        """Send a request, by way of the proxies that the environment names."""
        opener = OpenerDirector()
        for handler in (
            ProxyHandler(),
            self,
            HTTPDefaultErrorHandler(),
            HTTPErrorProcessor(),
        ):
            opener.add_handler(handler)
        response: HTTPResponse = opener.open(request, timeout=timeout_s)
        if self.was_cut.is_set():  # what was cut off may look like an answer
            response.close()
            raise TimeoutError
        return response

    @contextmanager
    def cut_after(self, seconds: float) -> Generator[None]:
        timer = Timer(seconds, self._cut)
        timer.daemon = True
        with suppress(RuntimeError):  # no new threads while Python ends
            timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @override
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._plain, req)

    @override
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._secured, req)

    def _plain(self, host: str, /, **options: Any) -> HTTPConnection:  # noqa: ANN401 - passed on
        self._connection = HTTPConnection(host, **options)
        return self._connection

    def _secured(self, host: str, /, **options: Any) -> HTTPConnection:  # noqa: ANN401 - passed on
        self._connection = HTTPSConnection(host, **options)
        return self._connection

    def _cut(self) -> None:
        self.was_cut.set()
        wire = None if self._connection is None else self._connection.sock
        if wire is not None:
            with suppress(OSError):
                socket.socket.shutdown(wire, socket.SHUT_RDWR)


class _Command:
    def __init__(
        self, table: str, command: tuple[str, ...], environ: Mapping[str, str]
    ) -> None:
        self._command = command
        self._environ = environ
        self.name = f"{table} ({PurePath(command[0]).name})"

    def tell(self, body: str, *, within_s: float) -> None:
        limit_s = min(within_s, COMMAND_TIMEOUT_S)
        try:
            with self._stderr() as heard:
                status = self._run(body, heard, limit_s)
        except subprocess.TimeoutExpired:
            raise NotToldError(f"did not end within {limit_s:g} s") from None
        except Exception as error:  # noqa: BLE001 - likewise
            raise NotToldError(f"cannot be run: {_why(error)}") from None
        if status:
            raise NotToldError(f"ended with status {status}")

    def _run(self, body: str, stderr: IO[bytes] | int, limit_s: float) -> int:
        with subprocess.Popen(  # noqa: S603 - the configuration names it
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=dict(self._environ),
            start_new_session=True,
        ) as process:
            try:
                process.communicate(body.encode(), timeout=limit_s)
            except BaseException:
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
            return process.returncode

    @contextmanager
    def _stderr(self) -> Generator[IO[bytes] | int]:
        """Give a place for complaints, the end of which is logged at DEBUG."""
        if not logger.isEnabledFor(logging.DEBUG):
            yield subprocess.DEVNULL
            return
        with tempfile.TemporaryFile() as heard:
            try:
                yield heard
            finally:
                heard.seek(max(0, heard.seek(0, os.SEEK_END) - 4 * _LAST_WORDS))
                said = heard.read().decode(errors="replace").strip()
                with suppress(Exception):  # a filter of the application may raise
                    logger.debug("%s: %s", self.name, said[-_LAST_WORDS:])


def _host(address: str) -> str:
    with suppress(ValueError):
        return urlsplit(address).hostname or ""
    return ""


def _answered(status: int) -> str:
    if 300 <= status < 400:  # noqa: PLR2004 - redirects
        return f"answered {status}: write the address that it leads to"
    return f"answered {status}"


def _timed_out(error: Exception) -> bool:
    cause = error.reason if isinstance(error, URLError) else error
    return isinstance(cause, TimeoutError)


def _why(error: Exception) -> str:
    """Return what went wrong without what it went wrong on."""
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(cause, HTTPException):
        return "the answer is no HTTP, or was broken off"
    return type(cause).__name__
