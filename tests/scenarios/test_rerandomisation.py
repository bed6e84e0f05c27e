"""A small, fixed part of the simulation of the demo; the whole is in the docs."""

import pytest
from tests.simulations import enterprise_cohort as simulation


pytestmark = pytest.mark.long

SEEDS = range(6)
FEW = range(2)


@pytest.fixture(scope="module")
def world() -> simulation.World:
    return simulation.build()


def test_a_biased_candidate_is_found_by_its_cohort_and_not_by_the_average(
    world: simulation.World,
) -> None:
    runs = [simulation.run(world, "biased candidate", seed) for seed in SEEDS]
    assert sum(run.by == simulation.ENTERPRISE for run in runs) >= 5
    assert sum(run.aggregate_favours for run in runs) >= 5


def test_repeated_looks_are_harmless_but_to_a_test_that_ignores_them(
    world: simulation.World,
) -> None:
    identical = [simulation.run(world, "identical models", seed) for seed in SEEDS]
    unbiased = [simulation.run(world, "unbiased candidate", seed) for seed in FEW]
    assert sum(run.calls is not None for run in identical + unbiased) <= 1
    assert sum(run.naive for run in identical) >= 2
