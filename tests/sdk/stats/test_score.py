import json
from array import array
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.exposure import BUCKETS, Cell
from flipback.stats import (
    Arm,
    Harm,
    Pair,
    design_effect,
    normal_mixture,
    recurrence,
    score_against_limit,
    stratified_score,
)


Vector = dict[str, Any]  # as read from JSON

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())


def stored(sums: list[list[float]]) -> Arm:
    cell = Cell()
    cell.x, cell.n, cell.xx = array("d", sums[0]), array("q", sums[1]), sums[2]
    arm = Arm.of(cell)
    assert arm is not None
    return arm


def arm_of(values: list[float], *, per_subject: int = 1) -> Arm:
    arm = Arm.of(cell_of(values, per_subject=per_subject))
    assert arm is not None
    return arm


def cell_of(values: list[float], *, per_subject: int = 1) -> Cell:
    cell = Cell.starting_at(values[0])
    for place, value in enumerate(values):
        cell.add(place // per_subject % BUCKETS, value)
    return cell


def pair_of(control: list[float], candidate: list[float]) -> Pair:
    pair = Pair.of(arm_of(control), arm_of(candidate))
    assert pair is not None
    return pair


def gaussian(count: int, *, mean: float = 0.0, seed: int = 1) -> list[float]:
    rng = Random(seed)  # noqa: S311 - a fixed stream for a test
    return [rng.gauss(mean, 1) for _ in range(count)]


@pytest.mark.parametrize("vector", VECTORS["stratified_score"])
def test_reference_values_are_met(vector: Vector) -> None:
    pairs = [Pair.of(stored(s["C"]), stored(s["T"])) for s in vector["strata"]]
    score = stratified_score(pairs, margin=vector["margin"], harm=vector["harm"])
    assert score is not None
    assert score.score == pytest.approx(vector["score"], rel=1e-9)
    assert score.info == pytest.approx(vector["info"], rel=1e-9)
    assert score.deff == pytest.approx(vector["deff"], rel=1e-9)


@pytest.mark.parametrize(("control", "candidate"), [(19, 5), (20, 4), (0, 30)])
def test_a_small_stratum_does_not_enter(control: int, candidate: int) -> None:
    arms = [Arm.of(cell_of([1.0] * n) if n else Cell()) for n in (control, candidate)]
    assert Pair.of(arms[0], arms[1]) is None


def test_a_stratum_with_one_arm_does_not_enter() -> None:
    arm = arm_of([1.0] * 100)
    assert Pair.of(arm, None) is None
    assert Pair.of(None, arm) is None


def test_means_of_a_hundred_million_keep_their_digits() -> None:
    control, candidate = gaussian(4000, seed=1), gaussian(1000, mean=0.3, seed=2)
    near = stratified_score([pair_of(control, candidate)])
    far = stratified_score(
        [pair_of([v + 1e8 for v in control], [v + 1e8 for v in candidate])]
    )
    assert near is not None
    assert far is not None
    assert far.score == pytest.approx(near.score, rel=1e-6)
    assert far.info == pytest.approx(near.info, rel=1e-6)


def test_a_drifting_base_rate_is_no_effect_when_stratified() -> None:
    strata = [
        pair_of(gaussian(1000, mean=mean, seed=3), gaussian(count, mean=mean, seed=4))
        for mean, count in ((0.0, 50), (3.0, 250), (9.0, 1000))
    ]
    score = stratified_score(strata)
    assert score is not None
    assert abs(score.score) < 3 * score.info**0.5


def test_requests_of_one_subject_count_less_than_those_of_many() -> None:
    values = [value for value in gaussian(200) for _ in range(20)]
    control = arm_of(values, per_subject=20)
    candidate = arm_of(gaussian(300, seed=9))
    score = stratified_score([Pair(control, candidate)])
    assert score is not None
    assert 10 < score.deff < 40
    assert score.info == pytest.approx(
        score.deff**-1
        / (
            1 / 300 * max(control.variance, candidate.variance)
            + control.variance / 4000
        )
    )


def test_a_cohort_is_no_less_clustered_than_everybody() -> None:
    pair = pair_of(gaussian(1000), gaussian(100, seed=2))
    score = stratified_score([pair], least_deff=7.0)
    assert score is not None
    assert score.deff == 7.0


def test_two_constants_that_differ_are_evidence() -> None:
    score = stratified_score([pair_of([1.0] * 1000, [0.0] * 30)], harm=-1)
    assert score is not None
    assert normal_mixture(score.score, score.info, mei=0.1) > 100


def test_two_constants_that_agree_say_nothing() -> None:
    assert stratified_score([pair_of([1.0] * 1000, [1.0] * 30)]) is None
    assert stratified_score([]) is None


def test_values_whose_square_underflows_say_nothing() -> None:
    tiny = [0.0, 1e-160] * 100
    assert stratified_score([pair_of(tiny, tiny)]) is None
    assert score_against_limit([arm_of(tiny)], limit=1.0) is None


def test_the_rounding_of_a_constant_arm_is_no_clustering() -> None:
    constant, varying = arm_of([0.7] * 900), arm_of(gaussian(900))
    constant.variance = 0.0
    expected = design_effect([(varying, 1e-60)])
    assert design_effect([(constant, 1.0), (varying, 1e-60)]) == expected


def test_a_margin_tolerates_more_where_the_metric_is_negative_too() -> None:
    control, candidate = gaussian(1000, mean=-100), gaussian(500, mean=-95, seed=2)
    tolerated = stratified_score([pair_of(control, candidate)], margin=0.1)
    assert tolerated is not None
    assert tolerated.score < 0


@given(margin=st.floats(0, 2), harm=st.sampled_from([1, -1]))
def test_a_larger_margin_is_less_evidence(margin: float, harm: Harm) -> None:
    pair = pair_of(gaussian(500, mean=5), gaussian(500, mean=5, seed=2))
    bare = stratified_score([pair], harm=harm)
    wide = stratified_score([pair], margin=margin, harm=harm)
    assert bare is not None
    assert wide is not None
    assert wide.score / wide.info <= bare.score / bare.info + 1e-12


def test_a_limit_is_compared_with_one_arm() -> None:
    arms = [arm_of(gaussian(400, mean=3)), arm_of([3.0] * 40)]
    breached = score_against_limit(arms, limit=2.5)
    kept = score_against_limit(arms, limit=2.5, harm=-1)
    assert breached is not None
    assert kept is not None
    assert breached.score == pytest.approx(-kept.score)
    assert normal_mixture(breached.score, breached.info, mei=0.25) > 10
    assert score_against_limit([], limit=1.0) is None


def test_a_limit_that_is_breached_each_time_is_evidence() -> None:
    constant = [arm_of([3.0] * 40), arm_of([3.5] * 40)]
    breached = score_against_limit(constant, limit=2.5)
    assert breached is not None
    assert normal_mixture(breached.score, breached.info, mei=0.25) > 10
    assert score_against_limit([arm_of([2.5] * 40)], limit=2.5) is None


def rare(rng: Random, count: int) -> list[float]:
    return [float(rng.random() < 0.05) for _ in range(count)]


@pytest.mark.parametrize("sizes", [(6, 500), (20, 20), (6, 24)])
def test_small_strata_do_not_lean_to_those_that_happen_to_vary_little(
    sizes: tuple[int, int],
) -> None:
    rng = Random(7)  # noqa: S311 - a fixed stream for a test
    strata = [
        Pair(arm_of(rare(rng, sizes[1])), arm_of(rare(rng, sizes[0])))
        for _ in range(200)
    ]
    score = stratified_score(strata)
    assert score is not None
    assert abs(score.score) < 2.5 * score.info**0.5


def test_small_strata_against_a_limit_do_not_lean_to_those_that_vary_little() -> None:
    rng = Random(7)  # noqa: S311 - a fixed stream for a test
    strata = [arm_of(rare(rng, 10)) for _ in range(400)]
    score = score_against_limit(strata, limit=0.05, harm=-1)
    assert score is not None
    assert abs(score.score) < 2.5 * score.info**0.5


@pytest.mark.parametrize("constant", [True, False])
def test_a_cluster_that_control_lacks_by_luck_counts_in_the_candidate(
    constant: bool,  # noqa: FBT001 - a column of a table
) -> None:
    good, bad = [1.0] * 10, [0.0] * 10
    control = arm_of(good * 40 if constant else [*good * 39, *good[1:], 0.0])
    candidate = arm_of(good * 37 + bad * 3, per_subject=10)
    score = stratified_score([Pair(control, candidate)], harm=-1)
    assert score is not None
    assert score.deff > 6


def hits_of(*buckets: int) -> Arm:
    arm = Arm.counted([float(b in buckets) for b in range(BUCKETS)], [5] * BUCKETS)
    assert arm is not None
    return arm


def test_who_returns_in_each_stratum_counts_as_often_as_strata_are_many() -> None:
    again = [hits_of(3)] * 10
    assert recurrence(again) == pytest.approx(10)
    assert recurrence(again[:1]) == 1
    assert recurrence([hits_of(bucket) for bucket in range(10)]) == 1
    assert recurrence([hits_of()] * 10) == 1
    assert recurrence([]) == 1


def test_without_trials_there_is_no_share() -> None:
    assert Arm.counted([0.0] * BUCKETS, [0] * BUCKETS) is None
