"""What `flipback.toml` says: as a person writes it, and as the library uses it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from flipback.plan import (
    Count,
    Duration,
    Name,
    PlanRejected,
    Problem,
    RolloutPlan,
    Written,
)


LEDGER_SUFFIX = ".ledger.jsonl"
LEDGER_NAME = f"flipback{LEDGER_SUFFIX}"
FORCE_CONTROL_NAME = "flipback.force-control"

Address = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:")]


def _positive(span: timedelta) -> timedelta:
    if not span:
        raise PlanRejected(
            Problem(problem="0 is no period", remedy="write more, such as '1s'")
        )
    return span


Period = Annotated[Duration, AfterValidator(_positive)]


class Spans(StrEnum):
    """What a call does to the trace."""

    CREATE = "create"
    ANNOTATE = "annotate"
    OFF = "off"


class ContextId(StrEnum):
    """How a span names the subject."""

    HASH = "hash"
    PLAIN = "plain"
    OFF = "off"


class Events(StrEnum):
    """Which events are logged: kills and flips, or every exposure and outcome too."""

    FLIPS = "flips"
    ALL = "all"


class GuardRun(StrEnum):
    """Who looks at the evidence: a thread of this process, or the application."""

    THREAD = "thread"
    MANUAL = "manual"


class TelemetrySettings(Written):
    """The table `[telemetry]`."""

    spans: Spans = Spans.CREATE
    context_id: ContextId = ContextId.HASH
    events: Events = Events.FLIPS


class GuardSettings(Written):
    """The table `[guard]`: when evidence is looked at and written to the store."""

    run: GuardRun = GuardRun.THREAD
    every_exposures: Annotated[Count, Field(ge=1)] = 25
    every: Period = timedelta(seconds=1)
    flush: Period = timedelta(milliseconds=500)


class ConfigFile(Written):
    """The file `flipback.toml` as a person writes it."""

    flags: Address = "flagfile:flags.flagd.json"
    store: Address = "sqlite:flipback.db"
    plans: Annotated[tuple[Name, ...], Field(min_length=1)] = ("rollouts/*.toml",)
    ledger: Name | None = None
    force_control_file: Name = FORCE_CONTROL_NAME
    telemetry: TelemetrySettings = TelemetrySettings()
    guard: GuardSettings = GuardSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the composition root needs to know.

    Attributes:
        path: The file that was read.
        base: Its folder; relative paths in it start here.
        flags: Flag service as `scheme:location`.
        store: Evidence store as `scheme:location`.
        ledger: The ledger of this host.
        force_control_file: While this file exists, control serves.
        plans: The plans, in the order of their files' names.
        telemetry: What is traced.
        guard: When evidence is looked at.
    """

    path: Path
    base: Path
    flags: str
    store: str
    ledger: Path
    force_control_file: Path
    plans: tuple[RolloutPlan, ...]
    telemetry: TelemetrySettings
    guard: GuardSettings


def settle(written: ConfigFile, path: Path, plans: tuple[RolloutPlan, ...]) -> Settings:
    """Return settings with every path resolved from the folder of the file."""
    base = path.parent
    return Settings(
        path=path,
        base=base,
        flags=written.flags,
        store=written.store,
        ledger=base / (written.ledger or _ledger_beside(written.store)),
        force_control_file=base / written.force_control_file,
        plans=plans,
        telemetry=written.telemetry,
        guard=written.guard,
    )


def _ledger_beside(store: str) -> str:
    """Return where the ledger is if nobody says: next to a store that is a file."""
    scheme, _, location = store.partition(":")
    if scheme != "sqlite" or not location or location.startswith(":"):
        return LEDGER_NAME
    return str(Path(location).with_suffix(LEDGER_SUFFIX))
