"""What `flipback.toml` says: as a person writes it, and as the library uses it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

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


def is_web_address(text: str) -> bool:
    """Return whether a POST can be sent there."""
    try:
        parts = urlsplit(text)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_whole = text.isascii() and text.isprintable() and " " not in text
    is_plain = is_whole and parts.username is None and port_is_right
    return is_plain and parts.scheme in {"http", "https"} and bool(parts.hostname)


def _web_address(text: str) -> str:
    """Refuse what is no address without showing it: it may be a secret."""
    if not is_web_address(text):
        raise PlanRejected(
            Problem(
                problem="is no address of a web server",
                remedy="write `https://host/path`, without user and password, or "
                "name with `webhook_from` the variable that holds it",
            )
        )
    return text


WebAddress = Annotated[str, AfterValidator(_web_address)]


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
    """Who looks at the evidence, moves rollouts and writes flags.

    A thread of each process; the application, which drives the looks of its router; or
    `flipback guard` alone, so that the application never writes a flag.
    """

    THREAD = "thread"
    MANUAL = "manual"
    ELSEWHERE = "elsewhere"


class NotifyOn(StrEnum):
    """What people are told of."""

    TRIP = "trip"
    BLOCKED = "blocked"
    HELD = "held"
    FREEZE = "freeze"
    DEADLINE = "deadline"
    PAUSE = "pause"
    ADVANCE = "advance"
    PROMOTE = "promote"


URGENT = (
    NotifyOn.TRIP,
    NotifyOn.BLOCKED,
    NotifyOn.HELD,
    NotifyOn.FREEZE,
    NotifyOn.DEADLINE,
    NotifyOn.PAUSE,
)


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
    dry_run: Annotated[bool, Field(strict=True)] = False


class ShadowSettings(Written):
    """The table `[shadow]`: who runs the candidate's unseen answers."""

    workers: Annotated[Count, Field(ge=1, le=32)] = 1
    queue: Annotated[Count, Field(ge=1, le=10_000)] = 64


class NotifySettings(Written):
    """One table `[[notify]]`: a way to tell people, and of what.

    Attributes:
        webhook: Address that gets a POST of JSON.
        webhook_from: Instead: the environment variable that holds it, as an address
            may be a secret.
        command: Instead: a program and its arguments, which gets JSON on its input.
        on: What is told.
        remind: How often a kill that is still held is told again.
    """

    webhook: WebAddress | None = None
    webhook_from: Name | None = None
    command: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    on: Annotated[tuple[NotifyOn, ...], Field(min_length=1)] = URGENT
    remind: Period = timedelta(hours=1)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = (self.webhook, self.webhook_from, self.command)
        if sum(way is not None for way in ways) != 1:
            raise PlanRejected(
                Problem(
                    problem="a notification has one of `webhook`, `webhook_from` and "
                    "`command`",
                    remedy="give exactly one of them",
                )
            )
        return self


class ConfigFile(Written):
    """The file `flipback.toml` as a person writes it."""

    flags: Address = "flagfile:flags.flagd.json"
    store: Address = "sqlite:flipback.db"
    plans: Annotated[tuple[Name, ...], Field(min_length=1)] = ("rollouts/*.toml",)
    ledger: Name | None = None
    force_control_file: Name = FORCE_CONTROL_NAME
    telemetry: TelemetrySettings = TelemetrySettings()
    guard: GuardSettings = GuardSettings()
    shadow: ShadowSettings = ShadowSettings()
    notify: tuple[NotifySettings, ...] = ()
    drill_flag: Name | None = None


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
        shadow: Who runs the candidate's unseen answers.
        notify: The ways to tell people.
        drill_flag: The flag that `flipback drill` flips, None where there is none.
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
    shadow: ShadowSettings
    notify: tuple[NotifySettings, ...]
    drill_flag: str | None


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
        shadow=written.shadow,
        notify=written.notify,
        drill_flag=written.drill_flag,
    )


def _ledger_beside(store: str) -> str:
    """Return where the ledger is if nobody says: next to a store that is a file."""
    scheme, _, location = store.partition(":")
    if scheme != "sqlite" or not location or location.startswith(":"):
        return LEDGER_NAME
    return str(Path(location).with_suffix(LEDGER_SUFFIX))
