"""Gauges of kills and rollouts; no user is ever on one."""

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version

from opentelemetry.metrics import (
    CallbackOptions,
    MeterProvider,
    Observation,
    get_meter,
)

from flipback import semconv
from flipback.assignment import EVERYBODY
from flipback.latch import Latch, scope_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """Where a rollout stands, for a gauge.

    Attributes:
        route: The route.
        phase: What the rollout does.
        stage: Place of the stage in the plan, from 0.
        weight: Percent of subjects who are offered the candidate; None if unknown.
    """

    route: str
    phase: str
    stage: int
    weight: float | None = None


class Gauges:
    """What a metrics backend may ask for, read from memory when it asks.

    Through the API alone: without an SDK nobody asks. An instrument cannot be taken
    back, so each is made once per process, and shows all gauges that are not closed.
    """

    def __init__(
        self,
        *,
        latches: Callable[[], Iterable[Latch]],
        rollouts: Callable[[], Iterable[Stood]],
        faults: Callable[[], Mapping[tuple[str, str], int]],
        provider: MeterProvider | None = None,
    ) -> None:
        """Take where to read from; none of it may block, or be kept alive by us.

        Args:
            latches: Latches of all routes, and those of cohorts that ever were killed.
            rollouts: Rollouts with an attempt under way.
            faults: Counts by route and kind, as `Faults.counts` returns them.
            provider: Where to register, the application's if not given.
        """
        self._latches = latches
        self._rollouts = rollouts
        self._counts = faults
        _register(self, provider)

    def close(self) -> None:
        """Show nothing any more: a router that was stopped knows nothing."""
        for shown in _registered.values():
            shown.discard(self)

    def held(self) -> Iterator[Observation]:
        """Yield 1 for each latch that is held, else 0."""
        for latch in self._latches():
            route, cohort = scope_of(latch.route)
            attributes = {semconv.ROUTE: route}
            if cohort != EVERYBODY:
                attributes[semconv.COHORT] = cohort
            yield Observation(int(latch.held), attributes)

    def stages(self) -> Iterator[Observation]:
        """Yield the place of the stage of each rollout."""
        for stood in self._rollouts():
            yield Observation(stood.stage, _of(stood))

    def weights(self) -> Iterator[Observation]:
        """Yield the percent of subjects who are offered the candidate."""
        for stood in self._rollouts():
            if stood.weight is not None:
                yield Observation(stood.weight, _of(stood))

    def faults(self) -> Iterator[Observation]:
        """Yield how often something of ours went wrong, per route.

        Not per kind: kinds may hold what a client sent.
        """
        by_route = Counter[str]()
        for (route, _), count in self._counts().items():
            by_route[route] += count
        for route, count in by_route.items():
            yield Observation(count, {semconv.ROUTE: route})


def _of(stood: Stood) -> dict[str, str]:
    return {semconv.ROUTE: stood.route, semconv.PHASE: stood.phase}


Read = Callable[[Gauges], Iterator[Observation]]
Shown = weakref.WeakSet[Gauges]


class _Application:
    """Stands for the provider that the application has set up, or will."""


_APPLICATION = _Application()
_lock = threading.Lock()
_registered: weakref.WeakKeyDictionary[MeterProvider | _Application, Shown] = (
    weakref.WeakKeyDictionary()
)


def _register(gauges: Gauges, provider: MeterProvider | None) -> None:
    key = provider or _APPLICATION
    with _lock:
        shown = _registered.get(key)
        if shown is None:
            shown = _registered[key] = weakref.WeakSet()
            _make_instruments(shown, provider)
        shown.add(gauges)


def _make_instruments(shown: Shown, provider: MeterProvider | None) -> None:
    meter = get_meter(
        "flipback", version("flipback"), provider, schema_url=semconv.SCHEMA_URL
    )
    meter.create_observable_gauge(
        semconv.GAUGE_HELD,
        [_reading(shown, Gauges.held)],
        unit="1",
        description="1 while a kill is held, so that control serves.",
    )
    meter.create_observable_gauge(
        semconv.GAUGE_STAGE,
        [_reading(shown, Gauges.stages)],
        unit="1",
        description="Place of the rollout's stage in its plan, from 0.",
    )
    meter.create_observable_gauge(
        semconv.GAUGE_WEIGHT,
        [_reading(shown, Gauges.weights)],
        unit="%",
        description="Subjects who are offered the candidate.",
    )
    meter.create_observable_counter(
        semconv.COUNTER_FAULTS,
        [_reading(shown, Gauges.faults)],
        unit="{fault}",
        description="Times that something of flipback went wrong.",
    )


def _reading(
    shown: Shown, read: Read
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        found = list[Observation]()
        for gauges in tuple(shown):
            with suppress(Exception):  # of one router; the others are shown
                found.extend(read(gauges))
        return found

    return observe
