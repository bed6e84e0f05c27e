"""Count what goes wrong and say each thing once."""

import logging
import threading
from collections import Counter
from collections.abc import Mapping


logger = logging.getLogger("flipback")


class Faults:
    """Counts per (route, kind); the first of each kind is logged, the rest counted.

    A request path that logged every fault would turn one wrong flag into a
    full disk.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._details: dict[tuple[str, str], str] = {}

    def note(self, route: str, kind: str, detail: object) -> None:
        """Count one fault and log it if it is the first of its kind on this route."""
        with self._lock:
            self._counts[route, kind] += 1
            first = self._counts[route, kind] == 1
            if first:
                self._details[route, kind] = f"{kind}: {detail}"
        if first:
            logger.warning(
                "route %s: %s: %s (further ones are counted)", route, kind, detail
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
