"""A part of alpha is kept for what is seen since the last stage began."""

from dataclasses import replace
from math import isfinite, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from tests.simulations._book import plan_of
from tests.simulations._counts import Counts
from tests.simulations._stages import ROLLOUTS, Staged

from flipback.analysis import Analysis, Renewal, analyze
from flipback.analysis._renewal import RESERVE, SINCE
from flipback.exposure import Evidence
from flipback.rollout import Phase, RolloutRecord


PLAN = plan_of({"metric": "error", "fails_on": "increase", "tolerance": 0.5})
FIRST = Renewal(number=0, since=0.0)
SECOND = Renewal(number=1, since=1.0)
OPENED = {"e0": 0.0, "e1": 1.0}
RUNS = 15


def seen(*rates: float, subjects: int = 3_000, opened: bool = True) -> Evidence:
    """Return evidence of two stages, of the candidate at these rates."""
    counts, rng = Counts(plan=PLAN, metric="error"), np.random.default_rng(1)
    for number, rate in enumerate(rates):
        for served in (True, False):
            at = rate if served else 0.1
            counts.add(rng, subjects, at, served=served, epoch=f"e{number}")
    return replace(counts.evidence, opened=OPENED if opened else {})


def look(evidence: Evidence, renewal: Renewal | None) -> Analysis:
    return analyze(PLAN, evidence, renewal=renewal)


@pytest.mark.parametrize("staged", ROLLOUTS, ids=lambda staged: staged.name)
def test_a_ramp_over_six_stages_is_rolled_back_by_mistake_no_more_than_alpha(
    staged: Staged,
) -> None:
    most = 3
    assert binom.sf(most, RUNS, 0.05) < 0.02
    wrong = [staged.rolled_back(seed) for seed in range(RUNS)]
    assert sum(each is not None for each in wrong) <= most


def test_harm_of_a_late_stage_is_found_in_less_than_half_the_time() -> None:
    late = Staged(base=0.1, harmed=0.2, from_stage=3, step=1_000, window=12, most=12)
    found = [late.rolled_back(seed) for seed in range(3)]
    before = [replace(late, renews=False).rolled_back(seed) for seed in range(3)]
    for at, without in zip(found, before, strict=True):
        assert at is not None
        assert at.stage == 3
        assert without is None or without.subjects > 2 * at.subjects


def test_what_a_stage_alone_proves_is_told_with_the_numbers_of_the_stage() -> None:
    (finding,) = look(seen(0.05, 0.25), SECOND).findings
    assert finding.note == SINCE
    assert finding.candidate_value == pytest.approx(0.25, abs=0.02)


def test_the_first_stage_costs_a_tenth_of_a_nat() -> None:
    evidence = seen(0.2)
    with_it, without = (look(evidence, each).log_g for each in (FIRST, None))
    assert without - with_it == pytest.approx(-log(1 - RESERVE))
    assert without - with_it < 0.11


@settings(max_examples=25)
@given(number=st.integers(0, 10**6), rates=st.tuples(*2 * [st.floats(0, 1)]))
def test_it_never_costs_more_than_that(number: int, rates: tuple[float, float]) -> None:
    evidence = seen(*rates, subjects=200)
    before = look(evidence, None).log_g
    assert look(evidence, Renewal(number, 1.0)).log_g > before - 0.11


def test_a_later_stage_weighs_less() -> None:
    evidence = seen(0.05, 0.25)
    stages = [look(evidence, Renewal(n, 1.0)).log_g for n in (1, 2, 3, 30)]
    assert stages == sorted(stages, reverse=True)


def test_all_stages_together_share_what_is_kept() -> None:
    shares = [RESERVE / (number * (number + 1)) for number in range(1, 10_000)]
    assert 0.99 * RESERVE < sum(shares) < RESERVE


@pytest.mark.parametrize("rates", [(0.1, 0.1), (0.05, 0.25), (0.2, 0.2)])
def test_without_an_attempt_nothing_changes(rates: tuple[float, float]) -> None:
    assert Renewal.of(RolloutRecord(route="answer", phase=Phase.IDLE)) is None
    dated, undated = seen(*rates), seen(*rates, opened=False)
    assert look(dated, None).findings == analyze(PLAN, undated).findings


@pytest.mark.parametrize("rates", [(0.1, 0.1), (0.05, 0.25), (0.2, 0.2)])
def test_where_nobody_knows_when_epochs_opened_all_of_them_count_as_ever(
    rates: tuple[float, float],
) -> None:
    undated = seen(*rates, opened=False)
    assert look(undated, SECOND).findings == look(undated, FIRST).findings


def test_an_epoch_that_opened_before_the_stage_is_no_part_of_it() -> None:
    evidence = seen(0.1, 0.25)
    stale = replace(evidence, opened={"e0": 0.0, "e1": 0.999})
    assert look(evidence, SECOND).log_g > look(stale, SECOND).log_g + 5


def test_the_peak_of_a_stage_that_is_over_stays() -> None:
    harmed = look(seen(0.05, 0.25), SECOND)
    assert harmed.broken
    later = analyze(PLAN, seen(0.05, 0.25), peaks=harmed.peaks, renewal=Renewal(2, 2.0))
    assert later.broken


numbers = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=40)
@given(
    renewal=st.builds(Renewal, st.integers(-5, 10**18), numbers),
    opened=st.dictionaries(st.sampled_from(["e0", "e1", "e2"]), numbers),
    rates=st.tuples(*2 * [st.floats(0, 1)]),
    limit=st.booleans(),
)
def test_it_never_raises_and_stays_finite(
    renewal: Renewal,
    opened: dict[str, float],
    rates: tuple[float, float],
    *,
    limit: bool,
) -> None:
    said = {"limit": 0.15} if limit else {"tolerance": 0.5}
    plan = plan_of({"metric": "error", "fails_on": "increase", **said})
    evidence = replace(seen(*rates, subjects=50), opened=opened)
    analysis = analyze(plan, evidence, renewal=renewal)
    assert isfinite(analysis.log_g)
