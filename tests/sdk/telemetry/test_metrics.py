import gc
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from typing_extensions import override

from flipback import semconv
from flipback.latch import Latch
from flipback.telemetry import Gauges, Stood


LATCHES = (
    Latch(route="support", trip=2, held=True, actor="ada", reason="user-42 complained"),
    Latch(route="search", trip=1, held=False),
    Latch(route="search[plan=free]", trip=1, held=True),
)
ROLLOUTS = (
    Stood(route="search", phase="canary", stage=2, weight=25.0),
    Stood(route="support", phase="paused", stage=0),
)
FAULTS = {("search", "outcome dropped: user-42"): 3, ("search", "x"): 1, ("*", "y"): 1}
Points = Mapping[str, Mapping[str, float]]


class Backend:
    """A metrics SDK as an application sets it up, and what it reads."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader])
        self.names: list[str] = []

    def points(self) -> Points:
        """Return the value of each series, by metric and attributes."""
        data = self._reader.get_metrics_data()
        found = {} if data is None else json.loads(data.to_json())
        metrics = [
            metric
            for resource in found.get("resource_metrics", [])
            for scope in resource["scope_metrics"]
            for metric in scope["metrics"]
        ]
        self.names = [metric["name"] for metric in metrics]
        return {
            metric["name"]: {
                " ".join(point["attributes"].values()): point["value"]
                for point in metric["data"]["data_points"]
            }
            for metric in metrics
        }


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.provider.shutdown()


def gauges(provider: metrics.MeterProvider | None, **parts: object) -> Gauges:
    known = {
        "latches": lambda: LATCHES,
        "rollouts": lambda: ROLLOUTS,
        "faults": lambda: FAULTS,
    }
    return Gauges(provider=provider, **{**known, **parts})  # type: ignore[arg-type] # checked there


def test_a_held_kill_is_1_and_a_cohort_has_its_own(backend: Backend) -> None:
    shown = gauges(backend.provider)
    assert backend.points()["flipback.latch.held"] == {
        "support": 1,
        "search": 0,
        "search plan=free": 1,
    }
    shown.close()


def test_a_rollout_is_shown_with_stage_phase_and_weight(backend: Backend) -> None:
    shown = gauges(backend.provider)
    points = backend.points()
    assert points["flipback.rollout.stage"] == {"search canary": 2, "support paused": 0}
    assert points["flipback.rollout.weight"] == {"search canary": 25.0}
    shown.close()


def test_faults_are_counted_per_route_and_not_by_what_clients_sent(
    backend: Backend,
) -> None:
    shown = gauges(backend.provider)
    points = backend.points()
    assert points["flipback.faults"] == {"search": 4, "*": 1}
    assert "user-42" not in str(points)
    shown.close()


def test_all_names_are_in_semconv_and_on_the_page(backend: Backend) -> None:
    shown = gauges(backend.provider)
    backend.points()
    assert backend.names == [
        semconv.GAUGE_HELD,
        semconv.GAUGE_STAGE,
        semconv.GAUGE_WEIGHT,
        semconv.COUNTER_FAULTS,
    ]
    page = Path(__file__).parents[3] / "docs" / "reference" / "semconv.md"
    for name in backend.names:
        assert f"| `{name}` |" in page.read_text()
    shown.close()


def test_several_routers_are_shown_together_without_a_second_instrument(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    first = gauges(backend.provider, latches=lambda: [Latch(route="one")])
    second = gauges(backend.provider, latches=lambda: [Latch(route="two")])
    assert backend.points()["flipback.latch.held"] == {"one": 0, "two": 0}
    assert not caplog.records
    first.close()
    assert backend.points()["flipback.latch.held"] == {"two": 0}
    second.close()


def test_a_router_that_is_forgotten_is_shown_no_more(backend: Backend) -> None:
    shown = gauges(backend.provider)
    assert backend.points()
    del shown
    gc.collect()
    assert not backend.points()


def test_a_router_that_cannot_be_read_hides_no_other(backend: Backend) -> None:
    def broken() -> list[Latch]:
        raise ZeroDivisionError

    first = gauges(backend.provider, latches=broken)
    second = gauges(backend.provider)
    assert len(backend.points()["flipback.latch.held"]) == 3
    first.close()
    second.close()


class Counting(metrics.NoOpMeterProvider):
    """An application without an SDK that counts who asks for a meter."""

    asked = 0

    @override
    def get_meter(self, name: str, *rest: object, **more: object) -> Meter:
        self.asked += 1
        return super().get_meter(name)


def test_without_an_sdk_nothing_happens() -> None:
    provider = Counting()
    first, second = gauges(provider), gauges(provider)
    assert provider.asked == 1
    first.close()
    second.close()
    gauges(None).close()
