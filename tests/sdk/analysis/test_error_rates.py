"""A small fixed-seed part of `python -m tests.simulations --only aa`."""

from tests.simulations._book import Book, plan_of, seeded
from tests.simulations.aa import dead_design, events_design, upper_bound

from flipback.analysis import analyze
from flipback.verdict import Verdict


SEGMENTS = ("a", "b", "c")
PLAN = plan_of(
    {"metric": "error", "fails_on": "increase"},
    {"metric": "grade", "fails_on": "decrease"},
    segments=SEGMENTS,
)


def fails(seed: int) -> bool:
    """Look six times at two identical models in three cohorts."""
    rng, book = seeded(seed), Book()
    for _ in range(6):
        for variant, count in (("control", 90), ("candidate", 10)):
            for segment in SEGMENTS:
                cohort = f"segment={segment}"
                events = sum(rng.random() < 0.05 for _ in range(count))
                book.events(variant, events, count, cohort=cohort)
                grades = [rng.gauss(7, 2) for _ in range(count)]
                book.values(variant, "grade", grades, cohort=cohort)
        if analyze(PLAN, book.evidence).verdict is Verdict.FAIL:
            return True
    return False


def test_identical_models_are_rarely_rolled_back() -> None:
    assert sum(fails(seed) for seed in range(60)) <= 3


def test_a_fivefold_error_rate_is_caught_within_a_few_hundred_requests() -> None:
    waits = [events_design(0.1).run(seed) or 10_000 for seed in range(9)]
    assert sorted(waits)[4] <= 100


def test_a_dead_candidate_is_caught_within_five_requests() -> None:
    assert all((dead_design().run(seed) or 99) <= 5 for seed in range(10))


def test_the_bound_on_a_share_is_the_exact_one() -> None:
    assert abs(upper_bound(0, 100) - (1 - 0.05**0.01)) < 1e-9
