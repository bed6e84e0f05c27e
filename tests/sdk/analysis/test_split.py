import pytest
from tests.sdk.analysis._booked import Book, plan_of

from flipback.analysis import PeakKey, analyze
from flipback.exposure import Evidence
from flipback.verdict import Action, Verdict


ERRORS = {"metric": "error", "fails_on": "increase"}
PLAN = plan_of(ERRORS)


def split(
    *counts: tuple[int, int],
    errors: int = 0,
    share: float = 0.5,
    sampled: float = 1.0,
) -> Evidence:
    """Return subjects of control and candidate, an epoch each."""
    book = Book()
    for place, (control, candidate) in enumerate(counts):
        book.events("control", 0, control, epoch=f"e{place}")
        book.events("candidate", errors, candidate, epoch=f"e{place}")
    return Evidence(
        cells={},
        subjects=book.subjects,
        excluded={},
        sampled=sampled,
        shares={(f"e{place}", ""): share for place in range(len(counts))},
    )


def test_a_split_that_is_not_as_set_freezes_and_names_its_counts() -> None:
    analysis = analyze(PLAN, split((1_000, 700)))
    assert analysis.action is Action.FREEZE
    (said,) = analysis.frozen
    assert "700 of 1700 subjects" in said
    assert "41.18% instead of 50.00%" in said


def test_a_split_that_is_not_as_set_freezes_even_a_harm_that_is_proven() -> None:
    trusted = analyze(PLAN, split((1_000, 980), errors=60))
    assert trusted.action is Action.ROLL_BACK
    frozen = analyze(PLAN, split((1_000, 700), errors=60))
    assert frozen.log_g > frozen.log_threshold
    assert frozen.broken
    assert frozen.action is Action.FREEZE
    assert frozen.verdict is Verdict.INCONCLUSIVE


def test_subjects_lost_by_either_arm_are_found() -> None:
    assert analyze(PLAN, split((700, 1_000))).frozen
    assert analyze(PLAN, split((99_000, 1_300), share=0.01)).frozen


@pytest.mark.parametrize("counts", [(500, 520), (0, 0), (0, 5), (9_500, 470)])
def test_a_split_as_set_freezes_nothing(counts: tuple[int, int]) -> None:
    share = 0.05 if counts[0] > 9_000 else 0.5
    assert not analyze(PLAN, split(counts, share=share)).frozen


def test_without_a_known_share_nothing_is_said_of_the_split() -> None:
    known = split((1_000, 100))
    unknown = Evidence(cells={}, subjects=known.subjects, excluded={})
    analysis = analyze(PLAN, unknown)
    assert not analysis.frozen
    assert PeakKey(-1, "") not in analysis.peaks


def test_one_crooked_epoch_among_many_is_found() -> None:
    straight = [(500, 500)] * 9
    analysis = analyze(PLAN, split(*straight, (1_000, 700)))
    assert "in epoch e9" in analysis.frozen[0]


def test_the_same_subjects_in_many_epochs_are_no_new_evidence() -> None:
    luck = (500, 570)
    assert not analyze(PLAN, split(*[luck] * 40)).frozen


def test_a_hit_stays_a_hit() -> None:
    peaks = analyze(PLAN, split((1_000, 700))).peaks
    later = analyze(PLAN, split((10_000, 9_990)), peaks=peaks)
    assert later.action is Action.FREEZE
    assert "at an earlier look" in later.frozen[0]
    assert analyze(PLAN, Book().evidence, peaks=peaks).frozen
    assert not analyze(PLAN, split((10_000, 9_990))).frozen


def test_users_are_estimated_from_the_sample_that_is_kept() -> None:
    finding = analyze(PLAN, split((1_000, 990), sampled=0.25)).findings[0]
    assert (finding.control_users, finding.candidate_users) == (4_000, 3_960)
