from collections.abc import Mapping
from itertools import product

import pytest
from tests.sdk.analysis._booked import Book, plan_of

from flipback.analysis import analyze
from flipback.analysis._action import Proven, action_of
from flipback.assignment import EVERYBODY, Cohort
from flipback.verdict import Action, Verdict


ERRORS = {"metric": "error", "fails_on": "increase"}
SCOPED = {**ERRORS, "scope": "cohort"}
A, B = "segment=a", "segment=b"


@pytest.mark.parametrize(
    ("distrusted", "harm", "doubt"), list(product([True, False], repeat=3))
)
def test_the_most_urgent_action_wins(
    distrusted: bool,  # noqa: FBT001 - a column of a table
    harm: bool,  # noqa: FBT001 - a column of a table
    doubt: bool,  # noqa: FBT001 - a column of a table
) -> None:
    action = action_of(Proven(distrusted=distrusted, harm=harm, doubt=doubt))
    asked = {
        Action.FREEZE: distrusted,
        Action.ROLL_BACK: harm,
        Action.PAUSE: doubt,
        Action.HOLD: True,
    }
    assert action is next(each for each in Action if asked[each])


def failing(*cohorts: Cohort, everybody: bool = False) -> Book:
    """Fail so much in some cohorts that each has a name, and the whole or not."""
    book = Book()
    for cohort in (A, B):
        harmed = cohort in cohorts
        book.events("control", 0 if everybody else 5_000, 50_000, cohort=cohort)
        book.events("candidate", 0, 0 if harmed else 5_000, cohort=cohort)
    for key in list(book.subjects):
        if key.cohort in (A, B):
            book.subjects[key] = 0
    for cohort in cohorts:
        for variant, errors in (("control", 0), ("candidate", 30)):
            counted = Book()
            counted.events(variant, errors, 500, cohort=cohort)
            book.subjects |= {
                key: count for key, count in counted.subjects.items() if key.cohort
            }
    if everybody:
        book.events("candidate", 60, 100)
    return book


@pytest.mark.parametrize(
    ("guardrail", "book", "attributed", "scope"),
    [
        (SCOPED, failing(A), {A}, (A,)),
        (SCOPED, failing(A, B), {A, B}, ()),
        (SCOPED, failing(A, everybody=True), {A, EVERYBODY}, ()),
        (SCOPED, failing(everybody=True), {EVERYBODY}, ()),
        (ERRORS, failing(A), {A}, ()),
    ],
    ids=["one", "two", "one and all", "all", "flag scope"],
)
def test_one_cohort_alone_is_rolled_back_only_if_all_harm_is_its_own(
    guardrail: Mapping[str, object],
    book: Book,
    attributed: set[Cohort],
    scope: tuple[Cohort, ...],
) -> None:
    analysis = analyze(plan_of(guardrail, segments=["a", "b"]), book.evidence)
    assert {finding.cohort for finding in analysis.broken} == attributed
    assert analysis.action is Action.ROLL_BACK
    assert analysis.cohorts == scope


def test_harm_under_a_scoped_and_an_unscoped_guardrail_is_everybodys() -> None:
    book = failing(A)
    for (variant, events), cohort in product([("control", 0), ("candidate", 30)], [A]):
        counted = Book()
        counted.events(variant, events, 500, metric="rude", cohort=cohort)
        book.subjects |= {k: n for k, n in counted.subjects.items() if k.cohort}
    rude = {"metric": "rude", "fails_on": "increase", "kind": "event"}
    analysis = analyze(plan_of(SCOPED, rude, segments=["a", "b"]), book.evidence)
    assert {finding.metric for finding in analysis.broken} == {"error", "rude"}
    assert analysis.cohorts == ()


def test_harm_without_a_name_is_everybodys() -> None:
    segments = [f"s{number}" for number in range(8)]
    book = Book()
    for segment in segments:
        book.events("control", 20, 1_000, cohort=f"segment={segment}")
        book.events("candidate", 13, 150, cohort=f"segment={segment}")
    subjects = {key: n for key, n in book.subjects.items() if key.cohort}
    book.subjects = subjects
    analysis = analyze(plan_of(SCOPED, segments=segments), book.evidence)
    assert analysis.log_g >= analysis.log_threshold
    assert not analysis.broken
    assert (analysis.action, analysis.cohorts) == (Action.ROLL_BACK, ())


def test_what_pauses_pauses_and_fails_nothing() -> None:
    book = Book()
    book.events("control", 0, 1_000)
    book.events("candidate", 20, 1_000)
    analysis = analyze(plan_of({**ERRORS, "on_fail": "pause"}), book.evidence)
    assert analysis.action is Action.PAUSE
    assert analysis.verdict is Verdict.INCONCLUSIVE


def test_a_limit_that_both_breach_pauses() -> None:
    book = Book()
    book.events("control", 100, 1_000)
    book.events("candidate", 100, 1_000)
    analysis = analyze(plan_of({**ERRORS, "limit": 0.02}), book.evidence)
    assert analysis.action is Action.PAUSE
    assert analysis.findings[0].outlook == (
        "control keeping the limit that it breaches now"
    )


def test_a_contradicted_hypothesis_pauses() -> None:
    plan = plan_of(
        ERRORS, hypothesis={"metric": "score", "rises_by": 0.2, "required": True}
    )
    book = Book()
    for variant in ("control", "candidate"):
        book.values(variant, "score", [9.0, 10.0, 11.0] * 300)
    assert analyze(plan, book.evidence).action is Action.PAUSE


def test_nothing_proven_holds() -> None:
    assert analyze(plan_of(ERRORS), Book().evidence).action is Action.HOLD
