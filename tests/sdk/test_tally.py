"""A log that is replayed comes to the sums of the application that wrote it."""

import math
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from flipback.assignment import Assignment, Reason, Role
from flipback.exposure import Cell, CellKey, Epoch, Evidence, LateOutcome
from flipback.histogram import Histogram, Threshold, Thresholds
from flipback.plan import RolloutPlan
from flipback.routing import Recorder
from flipback.stores import SqliteStore
from flipback.tally import Seen, Tally, merged
from flipback.testing import FakeClock
from projects import PLAN, ROUTE


RAILS = [
    {"metric": name, "fails_on": "increase", "tolerance": 0.1}
    for name in ("error", "latency_s", "cost", "kept")
]
WHOLE = RolloutPlan.model_validate(
    {
        **PLAN,
        "guardrails": RAILS,
        "metrics": {"cost": {"kind": "heavy tail"}, "kept": {"matures_after": "2h"}},
    }
)
METRICS = ("error", "latency_s", "cost", "kept", "unheard-of")
MOST = 60

exposures = st.tuples(
    st.sampled_from(["v1", "v2"]),
    st.integers(2**32, 2**64 - 1),
    st.sampled_from([(), ("plan=free",), ("plan=free", "country=DE")]),
    st.sampled_from(["1", "default"]),
)
outcomes = st.tuples(
    st.sampled_from(METRICS),
    st.one_of(st.floats(-2, 2), st.floats(1e6 - 1, 1e6 + 1)),
    st.integers(0, 6),
)
logs = st.lists(st.tuples(exposures, st.lists(outcomes, max_size=4)), max_size=25)
Log = list[
    tuple[
        tuple[str, int, tuple[str, ...], str],
        list[tuple[str, float, int]],
    ]
]


class Live:
    """One process: a recorder and a store, with time in hand."""

    def __init__(self, folder: str) -> None:
        self.clock = FakeClock()
        self.recorder = Recorder(
            writer="w", plans={ROUTE: WHOLE}, due=lambda _: None, clock=self.clock
        )
        self.store = SqliteStore(
            Path(folder, "x.db"), clock=self.clock, most_hashes=MOST
        )
        self._count = 0

    def opened(self, thresholds: Thresholds) -> None:
        epoch = Epoch(
            digest="e",
            route=ROUTE,
            attempt=1,
            trip=0,
            described="",
            thresholds=thresholds,
        )
        self.recorder.opened(epoch)

    def expose(self, variant: str, subject: int, cohorts: tuple[str, ...], rule: str):  # noqa: ANN201 - an assignment
        self._count += 1
        given = Assignment(
            variant=variant,
            role=Role.CANDIDATE if variant == "v2" else Role.CONTROL,
            flag_key="f",
            flag_version="1",
            rule=rule,
            randomized=True,
            reason=Reason.SPLIT,
            provider="p",
            epoch="e",
            attempt=1,
            stage=0,
            cohorts=cohorts,
            subject=subject,
            decision_id=f"{self._count:016x}",
            at=self.clock.now().timestamp(),
        )
        self.recorder.expose(ROUTE, given)
        return given

    def evidence(self) -> Evidence:
        for batch in iter(self.recorder.drain, None):
            self.store.flush(batch)
        return self.store.evidence(ROUTE, attempt=1, trip=0)


def seen_by_both(log: Log, *, late: bool) -> tuple[Evidence, Evidence]:
    """Return the evidence of a tally and of a process, of the same log.

    Args:
        log: Exposures, each with outcomes and how many hours later they came.
        late: Whether outcomes come by receipt, or else with the call.
    """
    tally = Tally(WHOLE, most_subjects=MOST)
    with tempfile.TemporaryDirectory() as folder:
        live = Live(folder)
        live.opened({})
        for (variant, subject, cohorts, rule), came in log:
            at = live.clock.now().timestamp()
            given = live.expose(variant, subject, cohorts, rule)
            seen = tally.expose(Seen(variant, subject, cohorts, "e", rule, at))
            if late:
                _by_receipt(live, tally, given, seen, came)
            else:
                values = {metric: value for metric, value, _ in came}
                live.recorder.settle(ROUTE, given, values)
                for metric, value in values.items():
                    tally.outcome(seen, metric, value)
            live.recorder.fold()
        try:
            return tally.evidence, live.evidence()
        finally:
            live.store.close()


def _by_receipt(
    live: Live,
    tally: Tally,
    given: Assignment,
    seen: Seen,
    came: Iterable[tuple[str, float, int]],
) -> None:
    recorder, known = live.recorder, set[str]()
    booking = recorder.bookings[ROUTE]
    for metric, value, hours in came:
        if metric in known:
            continue
        known.add(metric)
        live.clock.advance(3600.0 * hours)
        now = live.clock.now().timestamp()
        tally.outcome(seen, metric, value, now=now)
        booked = booking.outcome(metric, value, at=given.at, now=now, thresholds={})
        for reason in booked.excluded:
            recorder.exclude(ROUTE, reason)
        distributed = recorder.distributes(ROUTE, given.variant, metric)
        made = LateOutcome.of(
            Decision(given),
            metric,
            booked.entries,
            expires_at=now + 3600.0 * 24 * 90,
            distributed=value if distributed else None,
        )
        assert recorder.late(made)


class Decision:
    """What a receipt would say of an assignment."""

    route = ROUTE

    def __init__(self, given: Assignment) -> None:
        self.decision_id = given.decision_id
        self.variant = given.variant
        self.epoch = given.epoch
        self.attempt = given.attempt
        self.rule = given.rule or ""
        self.cohorts = given.cohorts
        self.subject = given.subject
        self.at = given.at


def assert_same(tally: Evidence, store: Evidence) -> None:
    filled = {key: cell for key, cell in tally.cells.items() if cell.total_n}
    assert filled.keys() == store.cells.keys()
    for key, cell in filled.items():
        _assert_same_cell(cell, store.cells[key])
    assert {k: n for k, n in tally.subjects.items() if n} == store.subjects
    assert tally.excluded == store.excluded
    assert tally.sampled == store.sampled
    assert tally.events_sampled == store.events_sampled
    distributions = {m: h.bins for m, h in tally.histograms.items() if h.bins}
    assert distributions == {m: h.bins for m, h in store.histograms.items()}


def _assert_same_cell(one: Cell, two: Cell) -> None:
    assert one.n == two.n
    assert math.isclose(one.mean, two.mean, rel_tol=1e-9, abs_tol=1e-9)
    assert math.isclose(one.variance, two.variance, rel_tol=1e-6, abs_tol=1e-3)


@settings(max_examples=40, deadline=None, phases=[Phase.generate])
@given(logs)
def test_a_tally_and_a_store_have_the_same_sums_of_calls(log: Log) -> None:
    assert_same(*seen_by_both(log, late=False))


@settings(max_examples=40, deadline=None, phases=[Phase.generate])
@given(logs)
def test_a_tally_and_a_store_have_the_same_sums_of_late_outcomes(log: Log) -> None:
    assert_same(*seen_by_both(log, late=True))


def test_frozen_percentiles_begin_a_new_epoch_and_measure_what_follows() -> None:
    tally, threshold = Tally(WHOLE), Threshold(tail=1.0, cap=1.0)
    for subject in range(1_000):
        seen = tally.expose(Seen("v1", subject, epoch="e"))
        tally.outcome(seen, "latency_s", 0.9)
    assert not any(key.metric == "latency_s|tail" for key in tally.evidence.cells)
    assert tally.freeze()
    assert not tally.freeze()
    after = tally.expose(Seen("v2", 7, epoch="e"), share=0.5)
    tally.outcome(after, "latency_s", 5.0)
    assert after.epoch != "e"
    assert tally.evidence.shares == {(after.epoch, ""): 0.5}
    (tail,) = (
        cell
        for key, cell in tally.evidence.cells.items()
        if key.metric == "latency_s|tail"
    )
    assert (tail.total_n, tail.mean) == (1, 1.0)
    assert threshold.tail > 0.9


def test_a_live_process_measures_tails_by_the_percentiles_of_the_epoch() -> None:
    with tempfile.TemporaryDirectory() as folder:
        live = Live(folder)
        live.opened({"latency_s": Threshold(tail=1.0, cap=2.0)})
        for value in (0.5, 1.5):
            given = live.expose("v2", 3, (), "1")
            live.recorder.settle(ROUTE, given, {"latency_s": value})
        found = live.evidence()
        live.store.close()
    key = CellKey(ROUTE, 1, "e", "1", 0, "latency_s|tail", "", "v2")
    assert (found.cells[key].total_n, found.cells[key].mean) == (2, 0.5)
    assert found.subjects[key] == 1


def test_parts_of_a_log_add_up_in_any_order() -> None:
    parts = [Tally(WHOLE), Tally(WHOLE)]
    for number, tally in enumerate(parts):
        seen = tally.expose(Seen("v1", number))
        tally.outcome(seen, "cost", 1e6 + number)
    one, two = (merged(t.evidence.cells for t in some) for some in (parts, parts[::-1]))
    assert one.keys() == two.keys()
    for key, cell in one.items():
        assert cell.total_n == 2
        assert cell.mean == pytest.approx(two[key].mean)


def test_pairs_are_booked_whoever_served_them() -> None:
    tally = Tally(WHOLE)
    seen = Seen("v1", 5)
    tally.pair(seen, "cost", 2.0, 5.0)
    means = {(k.metric, k.variant): c.mean for k, c in tally.evidence.cells.items()}
    assert means["cost+difference", "v2"] == 3.0
    assert means["cost+paired", "v1"] == 2.0


def test_control_of_a_pair_counts_for_its_percentiles() -> None:
    tally = Tally(WHOLE)
    tally.pair(Seen("v1", 5), "cost", 2.0, 5.0)
    alone = Histogram()
    alone.add(2.0)
    assert tally.evidence.histograms["cost"].bins == alone.bins


def test_a_split_of_which_calls_were_taken_out_for_pairs_is_not_weighed() -> None:
    tally = Tally(WHOLE)
    tally.expose(Seen("v1", 1, epoch="e1"), share=0.1)
    tally.expose(Seen("v1", 1, epoch="e2"), share=0.1)
    tally.pair(Seen("v1", 2, epoch="e1"), "cost", 2.0, 5.0)
    tally.expose(Seen("v1", 3, epoch="e1"), share=0.1)
    assert tally.evidence.shares == {("e2", ""): 0.1}


def test_an_exposure_is_placed_where_it_would_be_counted() -> None:
    tally = Tally(WHOLE)
    for number in range(1_000):
        tally.outcome(tally.expose(Seen("v1", number)), "cost", 2.0)
    tally.freeze()
    seen = Seen("v1", 5, epoch="e1")
    placed, before = tally.placed(seen), set(tally.evidence.cells)
    assert placed == tally.expose(seen)
    assert placed.epoch != "e1"
    assert {key.epoch for key in before} == {""}
