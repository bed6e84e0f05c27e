from fractions import Fraction
from itertools import product
from math import factorial, isfinite, log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.exposure import BUCKETS, Cell
from flipback.stats import (
    MIN_PAIRS,
    Arm,
    Discordance,
    Harm,
    Pair,
    PairedArm,
    design_effect,
    mcnemar,
    normal_mixture,
    one_sample,
    stratified_score,
)


Both = list[tuple[int, float, float]]  # bucket, control, candidate


def cell_of(values: list[tuple[int, float]]) -> Cell:
    cell = Cell.starting_at(values[0][1])
    for bucket, value in values:
        cell.add(bucket % BUCKETS, value)
    return cell


def paired_of(both: Both) -> PairedArm:
    paired = PairedArm.of(
        cell_of([(b, c) for b, c, _ in both]),
        cell_of([(b, t) for b, _, t in both]),
        cell_of([(b, t - c) for b, c, t in both]),
    )
    assert paired is not None
    return paired


def arm_of(values: list[tuple[int, float]]) -> Arm:
    arm = Arm.of(cell_of(values))
    assert arm is not None
    return arm


def answers(count: int, *, mean: float = 0.0, lift: float = 0.0, seed: int = 1) -> Both:
    random = Random(seed)  # noqa: S311 - a fixed stream for a test
    rows: Both = []
    for _ in range(count):
        common = mean + random.gauss(0, 1)
        noise = random.gauss(0, 0.3)
        rows.append((random.randrange(64), common, common + lift + noise))
    return rows


@pytest.mark.parametrize("factor", [1.0, 1.1, 0.8, 2.0])
def test_the_moments_of_a_pair_are_those_of_its_difference(factor: float) -> None:
    both = answers(700, mean=5, lift=0.2)
    direct = arm_of([(b, t - factor * c) for b, c, t in both])
    d = paired_of(both).against(factor)
    assert d.n == 700
    assert d.mean == pytest.approx(direct.mean)
    assert d.variance == pytest.approx(direct.variance)
    assert design_effect([(d, 1.0)], least=0) == pytest.approx(
        design_effect([(direct, 1.0)], least=0)
    )


@pytest.mark.parametrize("mean", [1e8, -1e8])
def test_pairs_of_a_hundred_million_keep_their_digits(mean: float) -> None:
    near = stratified_score([], paired=[paired_of(answers(400, lift=0.05))])
    far = stratified_score([], paired=[paired_of(answers(400, mean=mean, lift=0.05))])
    assert near is not None
    assert far is not None
    assert far.score == pytest.approx(near.score, rel=1e-6)
    assert far.info == pytest.approx(near.info, rel=1e-6)


def test_pairs_need_a_fraction_of_the_calls_that_separate_arms_need() -> None:
    both = answers(300, mean=5, lift=0.1)
    within = stratified_score([], paired=[paired_of(both)])
    pair = Pair.of(
        arm_of([(b, c) for b, c, _ in both]), arm_of([(b, t) for b, _, t in both])
    )
    assert pair is not None
    apart = stratified_score([pair])
    assert within is not None
    assert apart is not None
    assert within.info > 10 * apart.info
    assert normal_mixture(within.score, within.info, mei=0.1) > log(20)
    assert within.candidate_value - within.control_value == pytest.approx(
        within.score / within.info
    )


def test_few_pairs_do_not_enter() -> None:
    few = paired_of(answers(MIN_PAIRS - 1))
    assert stratified_score([], paired=[few]) is None


def test_a_candidate_that_is_worse_by_one_each_time_is_evidence() -> None:
    constant = paired_of([(b, 1.0, 0.0) for b in range(40)])
    score = stratified_score([], paired=[constant], harm=-1)
    assert score is not None
    assert normal_mixture(score.score, score.info, mei=0.1) > log(20)


def test_pairs_that_agree_say_nothing() -> None:
    assert stratified_score([], paired=[paired_of([(0, 1.0, 1.0)] * 90)]) is None


def test_repeated_pairs_of_one_subject_are_no_news() -> None:
    random = Random(3)  # noqa: S311 - a fixed stream for a test
    tastes = [random.gauss(0, 1) for _ in range(200)]
    both = [(k, 0.0, tastes[k]) for k in range(200) for _ in range(10)]
    score = stratified_score([], paired=[paired_of(both)])
    assert score is not None
    assert score.deff == pytest.approx(10, rel=0.4)


# Pairs beside split arms


def split(seed: int, *, per_subject: int = 1) -> Pair:
    random = Random(seed)  # noqa: S311 - a fixed stream for a test

    def drawn(subjects: int) -> Arm:
        tastes = [(random.randrange(64), random.gauss(0, 1)) for _ in range(subjects)]
        return arm_of([taste for taste in tastes for _ in range(per_subject)])

    return Pair(drawn(3000), drawn(300))


def test_information_of_pairs_and_split_arms_adds_up() -> None:
    pair, paired = split(1), paired_of(answers(200))
    apart = stratified_score([pair])
    within = stratified_score([], paired=[paired])
    both = stratified_score([pair], paired=[paired])
    assert apart is not None
    assert within is not None
    assert both is not None
    assert both.info * both.deff == pytest.approx(
        apart.info * apart.deff + within.info * within.deff
    )
    assert both.score * both.deff == pytest.approx(
        apart.score * apart.deff + within.score * within.deff
    )


def test_the_variances_of_clustered_arms_and_of_pairs_add_up() -> None:
    """A cluster of 20 calls in split arms, none in pairs: the mean is in between."""
    pair, paired = split(2, per_subject=20), paired_of(answers(600))
    apart = stratified_score([pair])
    within = stratified_score([], paired=[paired])
    both = stratified_score([pair], paired=[paired])
    assert apart is not None
    assert within is not None
    assert both is not None
    naive = [apart.info * apart.deff, within.info * within.deff]
    weights = [info / sum(naive) for info in naive]
    mean = weights[0] * apart.deff + weights[1] * within.deff
    assert mean <= both.deff <= 1.5 * mean
    assert apart.deff > 10


def test_a_mixture_keeps_the_least_design_effect() -> None:
    score = stratified_score([split(1)], paired=[paired_of(answers(90))], least_deff=9)
    assert score is not None
    assert score.deff == 9


@pytest.mark.long
def test_identical_models_are_not_worse_in_pairs_and_split_arms_together() -> None:
    """The score of a null has about the variance that its information says."""
    squares = []
    for seed in range(150):
        both = stratified_score(
            [split(seed, per_subject=5)], paired=[paired_of(answers(100, seed=seed))]
        )
        assert both is not None
        squares.append(both.score * both.score / both.info)
    assert sum(squares) / len(squares) == pytest.approx(1, abs=0.3)


# McNemar


@given(b=st.integers(0, 500), c=st.integers(0, 500), both=st.integers(0, 10**6))
def test_without_a_margin_it_is_the_one_sample_engine_on_discordant_pairs(
    b: int, c: int, both: int
) -> None:
    for harm in (1, -1):
        exact = one_sample(b, b + c, limit=0.5, harm=harm)  # type: ignore[arg-type]
        log_e = mcnemar(b, c, both, harm=harm)  # type: ignore[arg-type]
        assert log_e == pytest.approx(exact, rel=1e-9, abs=1e-9)


def test_counts_of_pairs_are_found_in_their_moments() -> None:
    counts = {(0.0, 1.0): 7, (1.0, 0.0): 12, (1.0, 1.0): 40, (0.0, 0.0): 300}
    both = [(k, c, t) for (c, t), n in counts.items() for k in range(n)]
    paired = paired_of(both)
    assert paired.is_binary
    assert paired.discordance == pytest.approx(Discordance(7, 12, 40))


def expected_capital(
    rates: tuple[Fraction, Fraction, Fraction], *, margin: Fraction, harm: Harm
) -> float:
    """Enumerate all outcomes of ten pairs."""
    pairs, total = 10, 0.0
    none = 1 - sum(rates)
    for counts in product(range(pairs + 1), repeat=3):
        left = pairs - sum(counts)
        if left < 0:
            continue
        ways = factorial(pairs)
        for count in (*counts, left):
            ways //= factorial(count)
        chance = Fraction(ways) * none**left
        for rate, count in zip(rates, counts, strict=True):
            chance *= rate**count
        log_e = mcnemar(*counts, margin=float(margin), harm=harm)
        total += float(chance) * 2.718281828459045**log_e
    return total


@pytest.mark.parametrize("margin", [Fraction(0), Fraction(1, 10), Fraction(1)])
@pytest.mark.parametrize("agree", [Fraction(0), Fraction(1, 20), Fraction(1, 4)])
def test_its_expectation_is_one_at_the_boundary_of_any_margin(
    margin: Fraction, agree: Fraction
) -> None:
    control_only = Fraction(1, 10)
    p_control = control_only + agree
    worse = (1 + margin) * p_control - agree
    rates = (worse, control_only, agree)
    assert expected_capital(rates, margin=margin, harm=1) == pytest.approx(1)
    assert expected_capital(rates, margin=-margin, harm=-1) == pytest.approx(1)


@pytest.mark.parametrize("margin", [Fraction(0), Fraction(1, 10), Fraction(1, 2)])
def test_its_expectation_is_one_where_a_decrease_is_harm(margin: Fraction) -> None:
    candidate_only, agree = Fraction(1, 20), Fraction(1, 10)
    p_control = (candidate_only + agree) / (1 - margin)
    rates = (candidate_only, p_control - agree, agree)
    assert expected_capital(rates, margin=margin, harm=-1) == pytest.approx(1)
    assert expected_capital(rates, margin=-margin, harm=1) == pytest.approx(1)


def test_its_expectation_is_below_one_while_the_candidate_is_better() -> None:
    rates = (Fraction(1, 20), Fraction(1, 10), Fraction(1, 10))
    assert expected_capital(rates, margin=Fraction(1, 10), harm=1) < 1


def test_harm_in_pairs_is_caught_and_ruled_out() -> None:
    assert mcnemar(20, 3, 50) > log(20)
    assert mcnemar(20, 3, 50, margin=1.0) < log(20)
    assert mcnemar(20, 3, 50, harm=-1) < 0
    assert mcnemar(10, 10, 400, harm=-1, margin=-0.1) > log(20)


@given(
    counts=st.tuples(*[st.floats(0, 1e12)] * 3),
    margin=st.floats(-1e3, 1e3),
    harm=st.sampled_from([1, -1]),
)
def test_pairs_of_any_number_are_weighed(
    counts: tuple[float, float, float], margin: float, harm: Harm
) -> None:
    assert isfinite(mcnemar(*counts, margin=margin, harm=harm))
