from math import inf, log, sqrt
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.stats import (
    Harm,
    RateStratum,
    needed_info,
    needed_subjects,
    needed_trials,
    normal_mixture,
    one_sample,
    rate_engine,
    rule_out,
)


LOG_20 = log(20)
LOG_880 = log(880)


def rng() -> Random:
    return Random(4)  # noqa: S311 - a fixed stream for a test


def test_at_five_percent_it_takes_seven_and_two_thirds() -> None:
    needed = needed_info(distance=0.1, log_threshold=LOG_20)
    assert needed * 0.1**2 == pytest.approx(7.66, abs=0.01)


@given(
    distance=st.floats(1e-6, 1e6),
    log_threshold=st.floats(0.1, 40),
    off=st.floats(0.1, 10),
)
def test_the_expected_path_crosses_there(
    distance: float, log_threshold: float, off: float
) -> None:
    mei = off * distance
    info = needed_info(distance=distance, log_threshold=log_threshold, mei=mei)
    log_e = normal_mixture(distance * info, info, mei=mei)
    assert log_e == pytest.approx(log_threshold, rel=1e-6)


@pytest.mark.parametrize("log_threshold", [LOG_20, LOG_880])
def test_half_of_all_means_cross_by_the_median(log_threshold: float) -> None:
    random, step, crossed = rng(), 0.1, []
    for _ in range(300):
        score = info = 0.0
        while normal_mixture(score, info, mei=1) < log_threshold:
            score += step + random.gauss(0, sqrt(step))
            info += step
        crossed.append(info)
    foretold = needed_info(distance=1, log_threshold=log_threshold, median=True)
    assert median(crossed) == pytest.approx(foretold, rel=0.15)
    path = needed_info(distance=1, log_threshold=log_threshold)
    assert sum(info <= path for info in crossed) / 300 == pytest.approx(2 / 3, abs=0.1)


RATES = [
    (0.02, 2.0, 0.1, 0.0, 1, False),
    (0.1, 0.5, 0.1, 0.0, -1, False),
    (0.02, 1.0, 0.1, 1.0, 1, True),
    (0.05, 1.0, 0.5, 0.5, 1, True),
    (0.1, 1.0, 0.1, 0.3, -1, True),
]


@pytest.mark.long
@pytest.mark.parametrize(
    ("rate", "ratio", "share", "margin", "harm", "ruling_out"), RATES
)
def test_half_of_all_rates_cross_by_the_median(
    rate: float,
    ratio: float,
    share: float,
    margin: float,
    harm: Harm,
    *,
    ruling_out: bool,
) -> None:
    def log_e(stratum: RateStratum) -> float:
        if ruling_out:
            return rule_out([stratum], margin=margin, harm=harm)
        return rate_engine([stratum if harm > 0 else stratum.turned], margin=margin)

    random, crossed, step = rng(), [], 25  # as often as looks are taken
    per = round((1 - share) / share)
    for _ in range(400):
        seen = RateStratum(0, 0, 0, 0)
        while log_e(seen) < LOG_20:
            seen = RateStratum(
                seen[0] + sum(random.random() < rate * ratio for _ in range(step)),
                seen[1] + sum(random.random() < rate for _ in range(step * per)),
                seen[2] + step,
                seen[3] + step * per,
            )
        crossed.append(seen.candidate_n)
    foretold = needed_subjects(
        rate,
        ratio=ratio,
        share=share,
        log_threshold=LOG_20,
        margin=margin,
        harm=harm,
        ruling_out=ruling_out,
        median=True,
    )
    between_looks = median(crossed) - step / 2
    assert between_looks == pytest.approx(foretold, rel=0.15)


@pytest.mark.parametrize(
    ("rate", "ratio", "share", "margin", "harm", "ruling_out"), RATES
)
def test_the_engine_crosses_at_the_subjects_of_the_expected_path(
    rate: float,
    ratio: float,
    share: float,
    margin: float,
    harm: Harm,
    *,
    ruling_out: bool,
) -> None:
    needed = needed_subjects(
        rate,
        ratio=ratio,
        share=share,
        log_threshold=LOG_880,
        margin=margin,
        harm=harm,
        ruling_out=ruling_out,
    )
    scale = 10_000 * needed
    other = scale * (1 - share) / share
    counts = scale * rate * ratio, other * rate, scale, other
    stratum = RateStratum(*[round(count / 10_000) for count in counts])
    if ruling_out:
        log_e = rule_out([stratum], margin=margin, harm=harm)
    else:
        log_e = rate_engine([stratum if harm > 0 else stratum.turned], margin=margin)
    assert log_e == pytest.approx(LOG_880, rel=0.05)


@pytest.mark.parametrize(
    ("rate", "limit", "harm"), [(0.04, 0.02, 1), (0.01, 0.02, -1), (0.9, 0.95, -1)]
)
def test_half_of_all_limits_are_decided_by_the_median(
    rate: float, limit: float, harm: Harm
) -> None:
    random, crossed = rng(), []
    for _ in range(300):
        k = n = 0
        while one_sample(k, n, limit=limit, harm=harm) < LOG_20:
            k += sum(random.random() < rate for _ in range(10))
            n += 10
        crossed.append(n)
    foretold = needed_trials(
        rate, limit=limit, harm=harm, log_threshold=LOG_20, median=True
    )
    assert median(crossed) == pytest.approx(foretold, rel=0.15)


def test_a_small_margin_takes_very_many_subjects() -> None:
    few, many = (
        needed_subjects(
            0.02, share=0.1, log_threshold=LOG_20, margin=margin, ruling_out=True
        )
        for margin in (1.0, 0.05)
    )
    assert many > 100 * few


def test_what_is_on_the_wrong_side_is_never_decided() -> None:
    def subjects(ratio: float, *, harm: Harm = 1, margin: float = 0.0) -> float:
        return needed_subjects(
            0.1, ratio=ratio, share=0.5, log_threshold=LOG_20, margin=margin, harm=harm
        )

    assert needed_info(distance=0, log_threshold=LOG_20) == inf
    assert needed_info(distance=-1, log_threshold=LOG_20) == inf
    assert subjects(1.0) == subjects(0.5) == subjects(1.5, margin=1.0) == inf
    assert subjects(1.0, harm=-1) == subjects(0.5, harm=-1, margin=1.0) == inf
    assert needed_trials(0.02, limit=0.02, harm=1, log_threshold=LOG_20) == inf
    assert needed_trials(0.03, limit=0.02, harm=-1, log_threshold=LOG_20) == inf


@pytest.mark.parametrize(("rate", "share"), [(0.0, 0.5), (0.1, 0.0), (0.1, 1.0)])
def test_without_events_or_without_an_arm_nothing_is_decided(
    rate: float, share: float
) -> None:
    assert needed_subjects(rate, ratio=9, share=share, log_threshold=LOG_20) == inf


def test_what_is_decided_already_needs_nothing() -> None:
    assert needed_info(distance=1, log_threshold=0, median=True) == 0
    assert needed_subjects(0.1, ratio=2, share=0.5, log_threshold=-1) == 0
    assert needed_trials(0.5, limit=0.1, harm=1, log_threshold=0, median=True) == 0


any_number = st.floats() | st.sampled_from([0.0, 5e-324, 1e-160, 1e300])


@given(numbers=st.tuples(*[any_number] * 5), harm=st.sampled_from([1, -1]))
def test_no_question_makes_it_raise(
    numbers: tuple[float, float, float, float, float], harm: Harm
) -> None:
    a, b, c, d, e = numbers
    for flag in (False, True):
        info = needed_info(distance=a, log_threshold=b, mei=c, median=flag)
        subjects = needed_subjects(
            a,
            ratio=b,
            share=c,
            log_threshold=d,
            margin=e,
            harm=harm,
            ruling_out=flag,
            median=True,
        )
        trials = needed_trials(
            min(1.0, abs(a)), limit=0.1, harm=harm, log_threshold=d, median=flag
        )
        assert not min(info, subjects, trials) < 0
