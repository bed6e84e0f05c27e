"""Everything that flipback raises on purpose.

Nothing here is ever raised on the request path: a broken router serves control.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override


class FlipbackError(Exception):
    """Base of all errors of this library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake in what a person wrote: where it is, what it is, what to do."""

    file: str
    table: str
    key: str
    problem: str
    remedy: str

    @override
    def __str__(self) -> str:
        place = f"[{self.table}] {self.key}" if self.table else self.key
        return f"{self.file}: {place}: {self.problem}; {self.remedy}"


class ConfigError(FlipbackError):
    """Configuration or plans cannot be used; carries every mistake, not the first."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)


class RouteError(FlipbackError):
    """A route is declared in a way that can never serve what was meant."""


class StoreError(FlipbackError):
    """The evidence store cannot be read or written."""


class LedgerError(FlipbackError):
    """The ledger cannot be read or appended to."""


class FlagProblem(StrEnum):
    """Why a write to the flag service did not happen."""

    NOT_FOUND = "not found"
    FORBIDDEN = "forbidden"
    APPROVAL_REQUIRED = "approval required"
    INVALID_WRITE = "invalid write"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate limited"
    UNAVAILABLE = "unavailable"


class FlagWriteError(FlipbackError):
    """The flag service refused a read or a write, or its answer is unknown.

    Attributes:
        kind: What went wrong; `UNAVAILABLE` means that the outcome is unknown.
        retry_after_s: Seconds to wait when `kind` is `RATE_LIMITED`, else None.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: FlagProblem,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_s = retry_after_s
