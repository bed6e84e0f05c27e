"""Arms that are exchanged at random, and harm that is added."""

from dataclasses import replace

import pytest

from flipback.replay import Harm, LogError, Outcome, foretold
from flipback.replay._arms import Shuffle, Worsening
from flipback.replay._rows import Origin
from logs import Bench, hashed, plan_of, traffic


PLAN = plan_of()


def origin(subject: int, weight: float) -> Origin:
    return Origin(1, 0.0, hashed(str(subject)), "v1", (), "", "", weight)


def test_exchanged_arms_have_the_share_in_force() -> None:
    shuffle = Shuffle(PLAN, seed=1, run=0)
    served = [shuffle.variant(origin(subject, 20)) for subject in range(5_000)]
    assert served.count("v2") == pytest.approx(1_000, abs=100)


def test_a_subject_keeps_its_arm_while_the_share_grows() -> None:
    shuffle = Shuffle(PLAN, seed=1, run=0)
    for subject in range(500):
        if shuffle.variant(origin(subject, 20)) == "v2":
            assert shuffle.variant(origin(subject, 21)) == "v2"


def test_runs_and_seeds_exchange_differently_and_repeat() -> None:
    def served(seed: int, run: int) -> list[str]:
        shuffle = Shuffle(PLAN, seed=seed, run=run)
        return [shuffle.variant(origin(subject, 50)) for subject in range(100)]

    assert served(1, 0) == served(1, 0)
    assert len({tuple(served(*each)) for each in ((1, 0), (1, 1), (2, 0))}) == 3


@pytest.mark.long
def test_alike_arms_seldom_roll_back(bench: Bench) -> None:
    found = bench.many(traffic(600), runs=8)
    assert found.rolled_back.total == 8
    assert found.rolled_back.hits <= 2


@pytest.mark.long
def test_a_harmful_candidate_is_no_false_alarm_once_arms_are_exchanged(
    bench: Bench,
) -> None:
    rows = traffic(800, harm=0.5)
    assert bench.run(rows).ended.outcome is Outcome.ROLL_BACK
    assert bench.many(rows, runs=8).rolled_back.hits <= 2


def test_many_runs_say_the_same_as_each_alone(bench: Bench) -> None:
    rows = traffic(400, users=200)
    harmed = bench.having(harm=Harm("resolved", -0.5, relative=True))
    together = harmed.many(rows, runs=3)
    assert together.rolled_back.hits == 3
    assert harmed.many(rows, runs=3) == together
    assert together.median == sorted(together.candidates)[1]


def test_exchanging_arms_needs_the_share(bench: Bench) -> None:
    rows = [{**row, "weight": None} for row in traffic(50)]
    with pytest.raises(LogError, match=r"log.jsonl:1: no `weight`.*--weight PERCENT"):
        bench.many(rows, runs=1)
    assert bench.having(weight=50.0).many(rows, runs=1).rolled_back.total == 1


def worsened(harm: Harm, values: list[float]) -> list[float]:
    made = Worsening(harm, PLAN, seed=1)
    return [
        made.value(harm.metric, value, ("plan=free",), line)
        for line, value in enumerate(values)
    ]


ONES = [float(number % 50 == 0) for number in range(20_000)]
RATES = [
    (Harm("error", 0.2, relative=True), 0.024),
    (Harm("error", 3.0, relative=True), 0.08),
    (Harm("error", -0.5, relative=True), 0.01),
    (Harm("error", 0.02, relative=False), 0.04),
    (Harm("error", -0.01, relative=False), 0.01),
    (Harm("resolved", 0.2, relative=True), 0.024),
]


@pytest.mark.parametrize(("harm", "rate"), RATES)
def test_a_rate_moves_by_what_was_asked_and_stays_a_rate(
    harm: Harm, rate: float
) -> None:
    made = worsened(harm, ONES)
    assert set(made) == {0.0, 1.0}
    assert sum(made) / len(made) == pytest.approx(rate, abs=2e-4)


def test_other_values_are_multiplied_or_added_to() -> None:
    assert worsened(Harm("resolved", -0.2, relative=True), [5.0, 10.0]) == [4.0, 8.0]
    assert worsened(Harm("resolved", 0.5, relative=False), [5.0]) == [5.5]


def test_a_cohort_alone_is_made_worse() -> None:
    harm = Harm("resolved", 1.0, relative=True, cohort="plan=enterprise")
    assert worsened(harm, [5.0]) == [5.0]


def test_harm_that_is_added_is_caught_where_it_was_added(bench: Bench) -> None:
    rows = traffic(4_000)
    assert bench.run(rows).ended.outcome is not Outcome.ROLL_BACK
    harm = Harm("resolved", -0.5, relative=True, cohort="plan=enterprise")
    ended = bench.having(harm=harm).run(rows).ended
    assert ended.outcome is Outcome.ROLL_BACK
    assert ended.decisive is not None
    assert ended.decisive.cohort == "plan=enterprise"
    assert ended.worsened > 10


@pytest.mark.long
def test_what_power_foretells_is_what_many_runs_find(bench: Bench) -> None:
    harm = Harm("resolved", -0.2, relative=True)
    harmed = bench.having(harm=harm)
    rows = traffic(3_000)
    median = harmed.many(rows, runs=9).median
    told = foretold(PLAN, harmed.run(rows).ended, harm)
    assert median is not None
    assert told is not None
    assert median / 3 < told < median * 3


def test_outcomes_that_half_of_the_calls_have_take_twice_the_calls(
    bench: Bench,
) -> None:
    rows, harm = traffic(2_000), Harm("resolved", -0.2, relative=True)
    whole = foretold(PLAN, bench.run(rows).ended, harm)
    for row in rows[::2]:
        del row["metrics"]["resolved"]
    half = foretold(PLAN, bench.run(rows).ended, harm)
    assert whole is not None
    assert half == pytest.approx(2 * whole, rel=0.2)


def test_power_cannot_tell_of_what_nothing_guards(bench: Bench) -> None:
    ended = bench.run(traffic(500)).ended
    helps = Harm("resolved", 0.2, relative=True)
    assert foretold(PLAN, ended, helps) is None
    tolerated = Harm("resolved", -0.04, relative=True)
    assert foretold(PLAN, ended, tolerated) == float("inf")


def test_another_seed_is_another_answer(bench: Bench) -> None:
    harmed = bench.having(harm=Harm("resolved", -0.3, relative=True))
    first = harmed.many(traffic(600), runs=2)
    second = replace(harmed, replay=replace(harmed.replay, seed=9))
    assert second.many(traffic(600), runs=2).candidates != first.candidates
