from array import array
from random import Random
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.exposure import BUCKETS, Cell
from flipback.stats import (
    Arm,
    Harm,
    Pair,
    PairedArm,
    design_effect,
    normal_mixture,
    score_against_limit,
    stratified_score,
)


Values = list[tuple[int, float]]  # bucket and value


def cell_of(values: Values) -> Cell:
    cell = Cell.starting_at(values[0][1])
    for bucket, value in values:
        cell.add(bucket % BUCKETS, value)
    return cell


def known(arm: Arm | None) -> Arm:
    assert arm is not None
    return arm


def rng(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - a fixed stream for a test


finite = st.floats(-1e6, 1e6)
some_values = st.lists(st.tuples(st.integers(0, 63), finite), min_size=1, max_size=60)


@given(values=some_values)
def test_a_mean_of_values_is_their_mean(values: Values) -> None:
    arm = known(Arm.of(cell_of(values)))
    numbers = [value for _, value in values]
    assert arm.mean == pytest.approx(fmean(numbers), rel=1e-9, abs=1e-6)
    assert arm.variance == pytest.approx(pvariance(numbers), rel=1e-6, abs=1e-3)
    assert arm.n == arm.observed == len(values)


@pytest.mark.parametrize("cell", [None, Cell()])
def test_nothing_observed_has_no_mean(cell: Cell | None) -> None:
    assert Arm.of(cell) is None
    assert Arm.ratio(cell_of([(0, 1.0)]), cell) is None
    assert Arm.filled(cell, Cell(), 1.0) is None
    assert PairedArm.of(cell, cell, cell) is None


# Ratios


def test_a_precision_is_a_proportion_of_what_was_flagged() -> None:
    random = rng(1)
    flagged = [(random.randrange(64), float(random.random() < 0.2)) for _ in range(900)]
    hits = [(b, f * (random.random() < 0.7)) for b, f in flagged]
    arm = known(Arm.ratio(cell_of(hits), cell_of(flagged)))
    precision = sum(h for _, h in hits) / sum(f for _, f in flagged)
    assert arm.mean == pytest.approx(precision)
    assert arm.variance == pytest.approx(precision * (1 - precision))
    assert arm.n == arm.observed == sum(f for _, f in flagged)
    assert arm.is_binary


def test_a_numerator_that_never_happened_is_zero() -> None:
    arm = known(Arm.ratio(None, cell_of([(b, 1.0) for b in range(40)])))
    assert arm.mean == 0
    assert arm.variance == 0
    assert arm.n == 40


def test_a_denominator_of_ones_gives_the_mean_with_all_its_digits() -> None:
    random = rng(2)
    values = [(random.randrange(64), 1e8 + random.gauss(0, 1)) for _ in range(500)]
    ones = cell_of([(b, 1.0) for b, _ in values])
    ratio, plain = (
        known(Arm.ratio(cell_of(values), ones)),
        known(Arm.of(cell_of(values))),
    )
    assert ratio.mean == plain.mean
    assert ratio.variance == plain.variance


@pytest.mark.parametrize("size", [1.0, 10.0, 1e-4, 1e5])
def test_the_variance_of_a_ratio_is_that_of_its_residuals(size: float) -> None:
    random = rng(3)
    pairs = []
    for _ in range(6000):
        d = size * random.uniform(0.5, 2)
        pairs.append((random.randrange(64), d, 0.3 * d + size * random.gauss(0, 0.2)))
    arm = known(
        Arm.ratio(
            cell_of([(b, x) for b, _, x in pairs]),
            cell_of([(b, d) for b, d, _ in pairs]),
        )
    )
    total = sum(d for _, d, _ in pairs)
    true = sum((x - arm.mean * d) ** 2 for _, d, x in pairs) / total
    inflated = arm.variance * design_effect([(arm, 1.0)])
    assert inflated == pytest.approx(true, rel=0.45)  # 63 degrees of freedom
    assert arm.observed <= 64


def test_a_proportional_numerator_does_not_vary() -> None:
    denominators = [(b, 1.0 + b % 7) for b in range(200)]
    numerators = [(b, 0.25 * d) for b, d in denominators]
    arm = known(Arm.ratio(cell_of(numerators), cell_of(denominators)))
    assert arm.mean == pytest.approx(0.25)
    assert arm.variance == 0


def test_one_subject_alone_does_not_make_a_ratio_certain() -> None:
    sessions = cell_of([(5, 2.0 + k % 3) for k in range(500)])
    cost = cell_of([(5, 1.0 + k % 5) for k in range(500)])
    arm = known(Arm.ratio(cost, sessions))
    assert arm.observed == 1
    assert Pair.of(arm, arm) is None


def test_clicks_of_one_visitor_inflate_the_variance_of_a_ratio() -> None:
    random = rng(4)
    shown, clicks = [], []
    for subject in range(400):
        taste = random.choice([0.0, 0.8])
        for _ in range(20):
            shown.append((subject, 1.0))
            clicks.append((subject, float(random.random() < taste)))
    arm = known(Arm.ratio(cell_of(clicks), cell_of(shown)))
    assert design_effect([(arm, 1.0)]) == pytest.approx(14, rel=0.5)


# Linear combinations


def test_a_combination_has_the_variance_of_the_combined_values() -> None:
    random = rng(5)
    a, b, both = [], [], []
    for _ in range(20_000):
        bucket, common = random.randrange(64), random.gauss(0, 1)
        x, y = common + random.gauss(0, 0.5), common + random.gauss(0, 0.5)
        a.append((bucket, x))
        b.append((bucket, y))
        both.append((bucket, x - 2 * y))
    parts = known(Arm.of(cell_of(a))), known(Arm.of(cell_of(b)))
    combined = Arm.combined([(1.0, parts[0]), (-2.0, parts[1])])
    direct = known(Arm.of(cell_of(both)))
    assert combined.mean == pytest.approx(direct.mean, abs=1e-9)
    scattered = direct.variance * design_effect([(direct, 1.0)], least=0.0)
    assert combined.variance == pytest.approx(scattered)
    assert design_effect([(combined, 1.0)]) == pytest.approx(1, rel=0.05)


def test_parts_that_cancel_do_not_vary() -> None:
    values = [(b, 0.7 * b) for b in range(300)]
    arm = known(Arm.of(cell_of(values)))
    nothing = Arm.combined([(2.0, arm), (-2.0, arm)])
    assert nothing.mean == pytest.approx(0)
    assert nothing.variance == 0


def test_a_combination_is_compared_like_any_mean() -> None:
    random = rng(6)

    def drawn(count: int, mean: float) -> Arm:
        a = [(random.randrange(64), random.gauss(mean, 1)) for _ in range(count)]
        b = [(random.randrange(64), random.gauss(1, 1)) for _ in range(count)]
        return Arm.combined(
            [(1.0, known(Arm.of(cell_of(a)))), (0.5, known(Arm.of(cell_of(b))))]
        )

    pair = Pair.of(drawn(4000, 1.0), drawn(1000, 1.5))
    assert pair is not None
    score = stratified_score([pair])
    assert score is not None
    assert score.score / score.info == pytest.approx(0.5, abs=0.15)
    assert 1 / score.info == pytest.approx(1.25 / 4000 + 1.25 / 1000, rel=0.5)
    assert normal_mixture(score.score, score.info, mei=0.15) > 10


# Missing outcomes


@given(
    values=some_values,
    gaps=st.lists(st.integers(0, 63), max_size=40),
    value=st.sampled_from([0.0, 1.0, -7.5]),
)
def test_a_missing_outcome_counts_as_if_it_had_come(
    values: Values, gaps: list[int], value: float
) -> None:
    exposed = cell_of([(b, 1.0) for b, _ in values] + [(b, 1.0) for b in gaps])
    filled = known(Arm.filled(cell_of(values), exposed, value))
    direct = known(Arm.of(cell_of(values + [(b, value) for b in gaps])))
    assert filled.n == direct.n
    assert filled.mean == pytest.approx(direct.mean, rel=1e-9, abs=1e-6)
    assert filled.variance == pytest.approx(direct.variance, rel=1e-6, abs=1e-3)
    assert list(filled.bucket_n) == list(direct.bucket_n)


def test_exposures_without_any_outcome_all_count() -> None:
    filled = known(Arm.filled(None, cell_of([(b, 1.0) for b in range(90)]), 1.0))
    assert filled.n == 90
    assert filled.mean == 1
    assert filled.variance == 0


def test_outcomes_beyond_the_exposures_stay() -> None:
    cell = cell_of([(0, 1.0), (0, 3.0)])
    filled = known(Arm.filled(cell, cell_of([(0, 1.0)]), 100.0))
    assert (filled.n, filled.mean) == (2, 2)
    assert known(Arm.filled(cell, None, 100.0)).mean == 2


# Sums that are no evidence


any_number = st.floats() | st.sampled_from([0.0, 1e-300, 1e100, 1e300])


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    cell = Cell(draw(any_number))
    cell.n = array("q", [draw(st.sampled_from([0, 1, 10**12]))] * BUCKETS)
    cell.x = array("d", [draw(any_number)] * 32 + [draw(any_number)] * 32)
    cell.xx = draw(any_number)
    return cell


@given(
    sums=st.lists(st.none() | cells(), min_size=6, max_size=6),
    margin=any_number,
    harm=st.sampled_from([1, -1]),
)
def test_no_sums_make_it_raise(
    sums: list[Cell | None], margin: float, harm: Harm
) -> None:
    found = [
        Arm.of(sums[0]),
        Arm.of(sums[1]),
        Arm.ratio(sums[0], sums[1]),
        Arm.ratio(sums[2], sums[3]),
        Arm.filled(sums[0], sums[2], margin),
    ]
    arms = [arm for arm in found if arm is not None]
    if arms:
        arms.append(Arm.combined([(margin, arm) for arm in arms]))
    pairs = [pair for a in arms for b in arms if (pair := Pair.of(a, b)) is not None]
    paired = PairedArm.of(sums[3], sums[4], sums[5])
    assert all(arm.is_weighable in (True, False) for arm in arms)
    assert design_effect([(arm, 1.0) for arm in arms]) is not None
    score_against_limit(arms, limit=margin, harm=harm)
    stratified_score(pairs, paired=[paired] if paired else [], margin=margin, harm=harm)


@given(sums=st.lists(cells(), min_size=3, max_size=3), coefficient=st.floats(-9, 9))
def test_the_score_of_what_is_weighable_has_finite_information(
    sums: list[Cell], coefficient: float
) -> None:
    ratio, plain = Arm.ratio(sums[0], sums[1]), Arm.of(sums[2])
    arms = [arm for arm in (ratio, plain) if arm is not None and arm.is_weighable]
    arms += [Arm.combined([(coefficient, arm)]) for arm in arms]
    weighable = [arm for arm in arms if arm.is_weighable]
    for pair in (Pair.of(a, b) for a in weighable for b in weighable):
        score = stratified_score([pair]) if pair else None
        assert score is None or 0 <= score.info < float("inf")
