"""Break-glass: force control without a store, a ledger or a flag service."""

from collections.abc import Iterable, Mapping
from pathlib import Path


VARIABLE = "FLIPBACK_FORCE_CONTROL"
ALL = "*"
FORCED_IN_VAIN = "is forced to control"
"""Ends the kind of fault that a name without a plan is noted as."""


class ForcedControl:
    """Routes forced to control by environment or by a file that a person creates.

    Both hold route names separated by commas or white space, or `*`; a file
    that is empty or cannot be read means every route.
    """

    def __init__(self, environ: Mapping[str, str], sentinel: Path) -> None:
        self._environ = environ
        self._sentinel = sentinel

    def routes(self) -> frozenset[str]:
        """Return the forced routes; `*` among them means all."""
        return _names(self._environ.get(VARIABLE, "")) | self._from_file()

    def _from_file(self) -> frozenset[str]:
        try:
            text = self._sentinel.read_text(encoding="utf-8")
        except FileNotFoundError:
            return frozenset()
        except (OSError, UnicodeDecodeError):
            return frozenset({ALL})
        return _names(text) or frozenset({ALL})


def is_forced(route: str, forced: Iterable[str]) -> bool:
    """Return whether a route is among the forced ones."""
    return any(name in {route, ALL} for name in forced)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.replace(",", " ").split())
