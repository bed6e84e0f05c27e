"""Whether a candidate that answers unseen is as fast as it is going to be."""

from array import array
from collections.abc import Callable
from math import exp, inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sdk.analysis._booked import Book, plan_of, seeded

from flipback.analysis import analyze, gate, warm_up
from flipback.assignment import EVERYBODY
from flipback.booking import Booking
from flipback.exposure import BUCKETS, Cell, CellKey, Evidence
from flipback.signals import WARM_SLICE_S, WARM_UP, last_warm_slice, warm_slice
from flipback.verdict import Action, Verdict


ERRORS = {"metric": "error", "fails_on": "increase", "tolerance": 0.2}
PLAN = plan_of(
    ERRORS,
    stages=[{"shadow": 0.5, "until": "stable latency"}, {"weight": 100}],
)
START = 1_700_000_000 // 60 * 60
NOTHING = Evidence(cells={}, subjects={}, excluded={})
MINUTE = 60

Latency = Callable[[float], float]
"""Geometric mean in seconds so many minutes after the start."""


def steady(_: float) -> float:
    return 0.2


def warming(minute: float) -> float:
    """Fall from tenfold to the same latency in ten minutes."""
    return 0.2 * 10 ** max(0.0, 1 - minute / 10)


def shadowed(
    latency: Latency,
    *,
    minutes: int,
    calls: int = 300,
    scatter: float = 0.2,
    subjects: int = 10_000,
    epochs: int = 1,
    seed: int = 1,
) -> Evidence:
    """Return the evidence of so many shadow answers a minute."""
    rng, booking = seeded(seed), Booking(PLAN)
    cells: dict[CellKey, Cell] = {}
    of_subject = [rng.gauss(0, 1) for _ in range(subjects)]
    for number in range(minutes * calls):
        minute = number / calls
        subject = rng.randrange(subjects)
        noise = scatter * (
            rng.gauss(0, 1) if subjects > BUCKETS else of_subject[subject]
        )
        value = latency(minute) * exp(noise)
        for name, piece, taken, _ in booking.warm(value, at=START + minute * MINUTE):
            epoch = f"e{number % epochs}"
            key = CellKey(
                "answer", 1, epoch, "", piece, name, EVERYBODY, PLAN.candidate
            )
            cells.setdefault(key, Cell.starting_at(taken)).add(subject % BUCKETS, taken)
    return Evidence(cells=cells, subjects={}, excluded={})


def at(minutes: float) -> float:
    """Return a time so long after the start, all answers flushed."""
    return START + minutes * MINUTE + 15


def test_a_steady_candidate_is_warm_after_three_minutes() -> None:
    evidence = shadowed(steady, minutes=4)
    assert not warm_up(PLAN, evidence, now=at(2.9)).ready
    warm = warm_up(PLAN, evidence, now=at(3))
    assert (warm.ready, warm.note, warm.window_s) == (True, "", 60)
    assert warm.calls == (300, 300, 300)
    assert warm.latency_s == pytest.approx(0.2, rel=0.05)


def test_a_candidate_that_still_gets_faster_is_not_warm_and_later_is() -> None:
    evidence = shadowed(warming, minutes=30)
    ready = [warm_up(PLAN, evidence, now=at(minute)).ready for minute in range(31)]
    assert not any(ready[:12])
    assert all(ready[20:])
    note = warm_up(PLAN, evidence, now=at(8)).note
    assert (
        "not stable yet: from one window of 2 minutes to the next it changes by -"
        in note
    )


def test_a_candidate_that_gets_slower_is_not_warm() -> None:
    evidence = shadowed(lambda minute: 0.2 * 1.15**minute, minutes=8)
    ready = [warm_up(PLAN, evidence, now=at(minute)).ready for minute in range(9)]
    assert not any(ready)


def test_without_answers_nothing_is_warm() -> None:
    warm = warm_up(PLAN, NOTHING, now=at(5))
    assert (warm.ready, warm.calls, warm.latency_s) == (False, (), None)
    assert "not answered any shadow call" in warm.note


def test_less_than_three_minutes_are_too_soon() -> None:
    warm = warm_up(PLAN, shadowed(steady, minutes=9), now=at(2))
    assert "less than 3 minutes" in warm.note


def test_few_answers_a_minute_take_longer_windows() -> None:
    evidence = shadowed(steady, minutes=60, calls=20)
    assert "30 shadow answers" in warm_up(PLAN, evidence, now=at(3)).note
    warm = warm_up(PLAN, evidence, now=at(60))
    assert warm.ready
    assert warm.window_s > MINUTE
    assert min(warm.calls) >= 30


def test_traffic_that_stopped_is_no_stable_latency() -> None:
    evidence = shadowed(steady, minutes=5)
    assert warm_up(PLAN, evidence, now=at(5)).ready
    assert not warm_up(PLAN, evidence, now=at(500)).ready


def test_a_few_busy_subjects_are_worth_less_than_their_calls() -> None:
    many = warm_up(PLAN, shadowed(steady, minutes=3), now=at(3))
    few = warm_up(PLAN, shadowed(steady, minutes=3, subjects=8), now=at(3))
    widths = [warm.changes[0].high - warm.changes[0].low for warm in (many, few)]
    assert widths[1] > 2 * widths[0]


def test_epochs_and_rules_are_one_fleet() -> None:
    one = warm_up(PLAN, shadowed(steady, minutes=3), now=at(3))
    split = warm_up(PLAN, shadowed(steady, minutes=3, epochs=3), now=at(3))
    assert split.calls == one.calls
    assert split.latency_s == pytest.approx(one.latency_s)


def test_a_latency_that_keeps_changing_is_rarely_ever_called_stable() -> None:
    """Eleven percent a minute, at every minute of half an hour, in 8 runs."""
    early = 0
    for seed in range(8):
        evidence = shadowed(
            lambda minute: 0.2 * 0.89**minute, minutes=30, calls=40, seed=seed
        )
        early += any(warm_up(PLAN, evidence, now=at(m)).ready for m in range(31))
    assert early == 0


def test_an_answer_is_booked_in_the_minute_in_which_it_came() -> None:
    (entry,) = Booking(PLAN).warm(1.0, at=START + 59.9)
    assert entry == (WARM_UP, warm_slice(START), 0.0, False)
    assert warm_slice(START + 60) == entry.slice + 1


@pytest.mark.parametrize("latency_s", [0.0, -1.0, inf, nan])
def test_what_is_no_duration_is_not_booked(latency_s: float) -> None:
    assert Booking(PLAN).warm(latency_s, at=START) == ()


def test_a_minute_counts_once_it_was_flushed() -> None:
    first = warm_slice(START)
    assert last_warm_slice(START + WARM_SLICE_S) == first - 1
    assert last_warm_slice(START + WARM_SLICE_S + 10) == first


def test_guardrails_do_not_look_at_it() -> None:
    plan = plan_of(
        ERRORS, {"metric": "latency_s", "fails_on": "increase", "tolerance": 0.1}
    )
    book = Book()
    book.events("control", 3, 500)
    book.events("candidate", 4, 500)
    alone = analyze(plan, book.evidence)
    cells = {**book.cells, **shadowed(warming, minutes=3).cells}
    beside = Evidence(cells=cells, subjects=book.subjects, excluded={})
    assert analyze(plan, beside) == alone
    assert gate(plan, beside, weight=5) == gate(plan, book.evidence, weight=5)


def test_control_and_cohorts_are_not_looked_at() -> None:
    seen = shadowed(steady, minutes=3).cells
    others = {
        **{key._replace(variant="control"): cell for key, cell in seen.items()},
        **{key._replace(cohort="segment=new"): cell for key, cell in seen.items()},
    }
    assert not warm_up(
        PLAN, Evidence(cells=others, subjects={}, excluded={}), now=at(3)
    ).ready


def test_a_stage_that_warms_up_is_left_without_proof_once_it_is_warm() -> None:
    evidence = shadowed(steady, minutes=4)
    stage = PLAN.stages[0]
    cold = gate(PLAN, evidence, weight=0, stage=stage, now=at(1))
    assert cold.verdict is Verdict.INCONCLUSIVE
    assert "less than 3 minutes" in cold.waits[0]
    warm = gate(PLAN, evidence, weight=0, stage=stage, now=at(4))
    assert (warm.verdict, warm.waits) == (Verdict.PASS, ())


def test_warmth_does_not_outweigh_proven_harm() -> None:
    book = Book()
    for number in range(200):
        for variant, value in (("control", 0.0), ("candidate", float(number % 2))):
            book.value(variant, "error+paired", value)
    for number in range(200):
        book.value("candidate", "error+difference", float(number % 2))
    cells = {**book.cells, **shadowed(steady, minutes=4).cells}
    evidence = Evidence(cells=cells, subjects={}, excluded={})
    assert analyze(PLAN, evidence).action is Action.ROLL_BACK
    found = gate(PLAN, evidence, weight=0, stage=PLAN.stages[0], now=at(4))
    assert found.verdict is Verdict.FAIL


SUMS = st.sampled_from([inf, -inf, nan, 1e300, -1e300, 5e-324]) | st.floats()


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.integers(0, 10**15), SUMS, SUMS, SUMS),
        max_size=4,
    ),
    st.floats(),
)
def test_it_is_total(
    drawn: list[tuple[int, int, float, float, float]], now: float
) -> None:
    cells: dict[CellKey, Cell] = {}
    for number, (piece, n, origin, x, xx) in enumerate(drawn):
        cell = Cell(origin)
        cell.n = array("q", [n] * BUCKETS)
        cell.x = array("d", [x] * BUCKETS)
        cell.xx = xx
        key = CellKey(
            "answer", 1, str(number), "", piece, WARM_UP, EVERYBODY, "candidate"
        )
        cells[key] = cell
    evidence = Evidence(cells=cells, subjects={}, excluded={})
    for moment in (now, at(0), 300.0):
        warm = warm_up(PLAN, evidence, now=moment)
        assert warm.ready is not bool(warm.note)
