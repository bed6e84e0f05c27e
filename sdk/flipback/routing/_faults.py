"""Count what goes wrong and say each thing once."""

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress


MOST_KINDS = 1000
OTHER_KINDS = "(other kinds)"
_LONGEST = 40
logger = logging.getLogger("flipback")


def described(error: BaseException) -> str:
    """Return the type of an error; what it says is logged at DEBUG alone.

    Errors quote what they failed on, which may be a user's data.
    """
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    with suppress(Exception):  # a filter of the application may raise
        logger.debug("%s", name, exc_info=error)
    return name


def logged_at_debug(whose: str, text: str) -> None:
    """Log at DEBUG what others wrote: it may quote a user's data."""
    with suppress(Exception):  # a filter of the application may raise
        logger.debug("%s: %s", whose, text)


def shortened(value: object) -> str:
    """Return the repr of a value that is not ours, of at most 40 characters."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a value of the application may be broken
        return f"a broken {type(value).__qualname__}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


class Faults:
    """Counts per (route, kind); the first of each kind is logged, the rest counted.

    A request path that logged every fault would turn one wrong flag into a
    full disk. Kinds may hold what a client sent, such as a metric's name; after
    `MOST_KINDS` of them new ones are counted as one, so memory stays bounded.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._details: dict[tuple[str, str], str] = {}

    def note(self, route: str, kind: str, detail: object) -> None:
        """Count one fault and log it if it is the first of its kind on this route.

        Never raises, whatever the detail does when it is shown.
        """
        text = _shown(detail)
        with self._lock:
            if len(self._counts) >= MOST_KINDS and (route, kind) not in self._counts:
                route, kind = "*", OTHER_KINDS
            self._counts[route, kind] += 1
            first = self._counts[route, kind] == 1
            if first:
                self._details[route, kind] = f"{kind}: {text}"
        if first:
            with suppress(Exception):  # a filter of the application may raise
                logger.warning(
                    "route %s: %s: %s (further ones are counted)", route, kind, text
                )

    def counts(self) -> Mapping[tuple[str, str], int]:
        """Return all counts so far by (route, kind)."""
        with self._lock:
            return dict(self._counts)

    def details(self) -> Mapping[tuple[str, str], str]:
        """Return the first of each kind, as it was logged."""
        with self._lock:
            return dict(self._details)

    def after_fork(self) -> None:
        """Start anew in a forked child, whose copy of the lock may be held."""
        self._lock = threading.Lock()
        self._counts = Counter()
        self._details = {}


def _shown(detail: object) -> str:
    try:
        return str(detail)
    except Exception:  # noqa: BLE001 - an error of the application may be broken
        return f"a broken {type(detail).__qualname__}"
