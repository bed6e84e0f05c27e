from collections.abc import Callable, Iterator

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider.no_op_provider import NoOpProvider
from openfeature.transaction_context import clear_transaction_context_propagator

from benches import Bench, build_bench
from shadows import ShadowBench


@pytest.fixture
def build() -> Iterator[Callable[..., Bench]]:
    """Build benches, and take their providers off OpenFeature at the end."""
    benches: list[Bench] = []

    def build(**knobs: object) -> Bench:
        benches.append(build_bench(**knobs))  # type: ignore[arg-type] # checked there
        return benches[-1]

    yield build
    for bench in benches:
        api.set_provider(NoOpProvider(), bench.domain)


@pytest.fixture
def bench(build: Callable[..., Bench]) -> Bench:
    return build()


@pytest.fixture
def stage(build: Callable[..., Bench]) -> Iterator[Callable[..., ShadowBench]]:
    """Open shadow stages on benches of their own, and end their threads."""
    opened: list[ShadowBench] = []

    def open_stage(
        share: float = 1.0,
        queue: int = 64,
        expected: tuple[type[Exception], ...] = (),
        **knobs: object,
    ) -> ShadowBench:
        bench = build(expected=expected, **knobs)
        opened.append(ShadowBench(bench, share=share, queue=queue, expected=expected))
        return opened[-1]

    yield open_stage
    for shadows in opened:
        shadows.workers.stop()


@pytest.fixture
def world() -> Iterator[None]:
    """Leave OpenFeature's global contexts and hooks as they were."""
    yield
    api.set_evaluation_context(EvaluationContext())
    api.clear_hooks()
    clear_transaction_context_propagator()
