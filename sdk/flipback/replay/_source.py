"""Where a log comes from: a file, a pipe, compressed or not, line by line."""

import gzip
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple, Protocol, Self, cast

from flipback.replay._troubles import LogError, Remarks, Trouble


MAX_LINE = 1 << 20
_GZIP = b"\x1f\x8b"
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)
_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")


class Stream(Protocol):
    """What is needed of a buffered stream of bytes."""

    def peek(self, size: int = 0, /) -> bytes:
        """Return what comes next, and leave it there."""
        ...

    def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes."""
        ...

    def readline(self, size: int = -1, /) -> bytes:
        """Return a line, or its first bytes."""
        ...


class Line(NamedTuple):
    """One line of a log.

    Attributes:
        number: From 1.
        text: Without its end; None where it is no UTF-8 text or too long.
        whole: Whether it ended as lines do; the last one may not.
    """

    number: int
    text: str | None
    whole: bool


class Source:
    """A log that can be read once, or again where it is a file.

    Args:
        name: Its path, or `-` for standard input.
        shown: What to call it; its path if empty.
        standard_input: What `-` means.
        again: Whether it will be read more than once; what cannot be, such as a
            pipe, is then copied into a temporary file that is removed at the end.
    """

    def __init__(
        self,
        name: str,
        *,
        standard_input: Stream,
        shown: str = "",
        again: bool = False,
    ) -> None:
        self.name = "standard input" if name == "-" else shown or name
        self._path = None if name == "-" else Path(name)
        self._again = again
        self._input = standard_input
        self._copy: IO[bytes] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Look whether it can be opened.

        Raises:
            LogError: There is no such file, it is a folder or may not be read, or
                it must be copied and there is no room.
        """
        if self._path is not None:
            self._check(self._path)
        if self._again and (self._path is None or not self._path.is_file()):
            try:
                self._copy = self._copied()
            except OSError as error:
                raise LogError(
                    f"{self.name}: cannot be copied to read it again "
                    f"({error.strerror or error}); give {tempfile.gettempdir()} room, "
                    "set TMPDIR to a folder that has some, or name a file"
                ) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the copy, if one was made."""
        self._stack.close()

    def lines(self, remarks: Remarks) -> Iterator[Line]:
        """Yield every line that is not empty.

        Raises:
            LogError: It is written in an encoding of which no line can be read.
        """
        with ExitStack() as stack:
            stream = _plain(self._from_its_start(stack))
            number = 0
            while True:
                try:
                    raw = stream.readline(MAX_LINE)
                except _BROKEN:
                    remarks.note(Trouble.CUT_OFF, number + 1)
                    return
                if not raw:
                    return
                number += 1
                if number == 1:
                    raw = self._without_mark(raw)
                if len(raw) >= MAX_LINE and not raw.endswith(b"\n"):
                    remarks.note(Trouble.TOO_LONG, number)
                    _skip(stream)
                    yield Line(number, None, whole=True)
                elif raw.strip():
                    yield _line(number, raw, remarks)

    def _copied(self) -> IO[bytes]:
        """Return a copy in a file that has no name, kept until the end."""
        with ExitStack() as failing, ExitStack() as stack:
            copy = failing.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(self._opened(stack), copy)
            self._stack.push(failing.pop_all())
            return copy

    def _check(self, path: Path) -> None:
        if path.is_dir():
            raise LogError(f"{self.name}: is a folder; name the log in it")
        try:
            with path.open("rb") if path.is_file() else ExitStack():
                path.stat()
        except OSError as error:
            why = error.strerror or str(error)
            raise LogError(
                f"{self.name}: cannot be read ({why}); correct the path"
            ) from error

    def _from_its_start(self, stack: ExitStack) -> Stream:
        if self._copy is None:
            return self._opened(stack)
        self._copy.seek(0)
        return stack.enter_context(os.fdopen(os.dup(self._copy.fileno()), "rb"))

    def _opened(self, stack: ExitStack) -> Stream:
        if self._path is None:
            return self._input
        return stack.enter_context(self._path.open("rb"))

    def _without_mark(self, raw: bytes) -> bytes:
        if raw.startswith(_WIDE):
            raise LogError(
                f"{self.name}:1: is UTF-16 text; convert it: `iconv -f UTF-16 -t UTF-8`"
            )
        return raw.removeprefix(_BOM)


def _plain(raw: Stream) -> Stream:
    """Return the stream, decompressed if its first bytes say so."""
    if raw.peek(2)[:2] != _GZIP:
        return raw
    # What is only read needs neither to be sought nor written, whatever the types say.
    unpacked = gzip.GzipFile(fileobj=cast("IO[bytes]", raw), mode="rb")
    return cast("Stream", unpacked)


def _line(number: int, raw: bytes, remarks: Remarks) -> Line:
    whole = raw.endswith(b"\n")
    try:
        return Line(number, raw.decode(), whole)
    except UnicodeDecodeError:
        remarks.note(Trouble.NOT_UTF8 if whole else Trouble.HALF_WRITTEN, number)
        return Line(number, None, whole)


def _skip(stream: Stream) -> None:
    """Read on to the end of a line that is too long to keep."""
    while (more := stream.readline(MAX_LINE)) and not more.endswith(b"\n"):
        pass
