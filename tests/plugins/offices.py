"""Processes that tell people of what happens, on a store that has bad days."""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from flipback.config import NotifyOn, NotifySettings
from flipback.control._notify import Notifier
from flipback.control._told import Told, told_of_trip
from flipback.errors import StoreError
from flipback.latch import Latch
from flipback.ports import Lease, Notice
from flipback.routing import Faults
from flipback.stores import SqliteStore
from flipback.testing import FakeClock


LATCH = Latch(
    route="support",
    trip=3,
    held=True,
    reason="resolved fell",
    actor="guardrail evaluator",
    intent="i-3",
    at="2026-01-01T00:00:00+00:00",
)
TRIP = told_of_trip(LATCH, automatic=True, findings=["resolved fell"])
LATER_S = 700.0


class FlakyStore(SqliteStore):
    """Takes and gives nothing while it is down."""

    down = False
    refuses = False
    has_no_lease = False

    @override
    def post(self, notice: Notice) -> bool:
        self._answer(writes=True)
        return super().post(notice)

    @override
    def due(self, *, now: float) -> Sequence[Notice]:
        self._answer()
        return super().due(now=now)

    @override
    def settle(self, notice_id: str, *, retry_at: float | None) -> None:
        self._answer(writes=True)
        super().settle(notice_id, retry_at=retry_at)

    @override
    def acquire(self, name: str, *, holder: str, ttl_s: float) -> Lease | None:
        self._answer(writes=True)
        if self.has_no_lease:
            raise StoreError("the disk is full")
        return super().acquire(name, holder=holder, ttl_s=ttl_s)

    def _answer(self, *, writes: bool = False) -> None:
        if self.down or (writes and self.refuses):
            raise StoreError("the disk is full")


class Office:
    """One or more processes on one store, as far as they notify."""

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self.path = path
        self.store = FlakyStore(path, clock=self.clock)
        self.faults = Faults()

    def notifier(
        self,
        *ways: str | Mapping[str, object],
        environ: Mapping[str, str] | None = None,
        delivers: bool = True,
    ) -> Notifier:
        return Notifier(
            [_settings(way) for way in ways],
            environ=os.environ if environ is None else environ,
            outbox=self.store,
            leases=self.store,
            faults=self.faults,
            clock=self.clock,
            config="/app/flipback.toml",
            delivers=delivers,
        )

    def tell(self, *ways: str | Mapping[str, object]) -> Notifier:
        """Return a notifier that has tried once to tell of a trip."""
        notifier = self.notifier(*ways)
        notifier.tell(TRIP)
        notifier.deliver()
        return notifier

    def later(self, notifier: Notifier) -> None:
        self.clock.advance(LATER_S)
        notifier.deliver()

    @property
    def pending(self) -> Sequence[Notice]:
        return self.store.due(now=float("inf"))


def _settings(way: str | Mapping[str, object]) -> NotifySettings:
    table = {"webhook": way} if isinstance(way, str) else way
    return NotifySettings.model_validate(table)


def is_busy() -> bool:
    """Return whether anybody is still being told."""
    return any(each.name == "flipback-notify" for each in threading.enumerate())


def told(text: str, event: NotifyOn = NotifyOn.TRIP, /, **facts: Any) -> Told:  # noqa: ANN401 - garbage too
    return Told(event=event, route="support", key=text, text=text, facts=facts)
