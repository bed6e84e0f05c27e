"""What every evidence store promises, as tests."""

from collections.abc import Iterable
from dataclasses import replace

from flipback.exposure import (
    EXPOSURE,
    Batch,
    Cell,
    CellKey,
    Entry,
    Epoch,
    Evidence,
    LateOutcome,
)
from flipback.histogram import Histogram, Threshold
from flipback.ports import Store
from flipback.testing.clock import FakeClock


ROUTE = "support-reply"
EPOCH = Epoch(digest="e1", route=ROUTE, attempt=1, trip=0, described="a plan")
AN_HOUR_S = 3600.0
SLOW, SLOWER = Threshold(tail=1.0, cap=2.0), Threshold(tail=1.5, cap=3.0)


def key(
    metric: str = EXPOSURE,
    *,
    cohort: str = "",
    variant: str = "candidate",
    epoch: Epoch = EPOCH,
) -> CellKey:
    """Return a key of an epoch, everybody's exposures of the candidate if not said."""
    return CellKey(
        route=epoch.route,
        attempt=epoch.attempt,
        epoch=epoch.digest,
        rule="",
        slice=0,
        metric=metric,
        cohort=cohort,
        variant=variant,
    )


def cell(values: Iterable[float]) -> Cell:
    """Return a cell of these values, spread over the buckets in turn."""
    values = tuple(values)
    booked = Cell.starting_at(values[0]) if values else Cell()
    for place, value in enumerate(values):
        booked.add(place % 64, value)
    return booked


def batch(  # noqa: PLR0913 - each a part of some batch
    sequence: int = 1,
    *,
    writer: str = "w",
    epoch: Epoch = EPOCH,
    cells: dict[CellKey, Cell] | None = None,
    subjects: dict[CellKey, set[int]] | None = None,
    histograms: dict[CellKey, Histogram] | None = None,
    late: Iterable[LateOutcome] = (),
    excluded: dict[tuple[str, str], int] | None = None,
) -> Batch:
    """Return a batch of one writer in one epoch."""
    return Batch(
        writer=writer,
        sequence=sequence,
        epochs={epoch.digest: epoch},
        cells=cells or {},
        subjects=subjects or {},
        histograms=histograms or {},
        late=list(late),
        excluded=excluded or {},
    )


class EvidenceContract:
    """Tests of an `EvidenceStore`; fixtures as in `StoreContract`."""

    def test_a_batch_is_counted_once_however_often_it_is_flushed(
        self, store: Store, other: Store
    ) -> None:
        """Whoever does not know whether a flush happened repeats it."""
        same = batch(
            cells={key(): cell([1, 1, 0])},
            subjects={key(): {1, 2}},
            excluded={(ROUTE, "killed"): 4},
        )
        assert [store.flush(same), store.flush(same), other.flush(same)] == [
            True,
            False,
            False,
        ]
        observed = _read(other)
        assert observed.cells[key()].total_n == 3
        assert observed.subjects == {key(): 2}
        assert observed.excluded == {"killed": 4}

    def test_a_retry_of_an_older_batch_is_refused_too(self, store: Store) -> None:
        """A retry may arrive after the batch that followed."""
        first, second = (batch(n, cells={key(): cell([1])}) for n in (1, 2))
        assert store.flush(first)
        assert store.flush(second)
        assert not store.flush(first)
        assert _read(store).cells[key()].total_n == 2

    def test_a_flush_leaves_the_batch_as_it_was(self, store: Store) -> None:
        """Otherwise a retry would add something else."""
        late = cell([5])
        store.flush(batch(1, cells={key(): cell([1])}))
        store.flush(batch(2, cells={key(): late}))
        assert (late.origin, late.total_n, late.mean) == (5, 1, 5)

    def test_processes_add_up(self, store: Store, other: Store) -> None:
        """Each process has a writer of its own."""
        store.flush(batch(writer="a", cells={key(): cell([1, 0])}))
        other.flush(batch(writer="b", cells={key(): cell([1, 1, 1])}))
        assert _read(store).cells[key()].total_n == 5
        assert _read(store).cells[key()].mean == 0.8

    def test_a_large_mean_keeps_its_digits(self, store: Store) -> None:
        """Cells with different origins add as if they had one."""
        store.flush(batch(1, cells={key("bytes"): cell([1e8 + 1, 1e8 - 1])}))
        store.flush(batch(2, cells={key("bytes"): cell([1e8 - 1, 1e8 + 1])}))
        merged = _read(store).cells[key("bytes")]
        assert (merged.mean, merged.variance) == (1e8, 1.0)

    def test_a_subject_is_counted_once_per_key(
        self, store: Store, other: Store
    ) -> None:
        """The largest hash is a hash like any other."""
        largest = 2**64 - 1
        store.flush(batch(writer="a", subjects={key(): {0, 1, largest}}))
        other.flush(batch(writer="b", subjects={key(): {1, largest, 2**63}}))
        assert _read(store).subjects == {key(): 4}

    def test_evidence_is_of_one_attempt_and_trip(self, store: Store) -> None:
        """What was seen before a kill says nothing of what is served after it."""
        again = Epoch(digest="e2", route=ROUTE, attempt=2, trip=0, described="")
        tripped = Epoch(digest="e3", route=ROUTE, attempt=1, trip=1, described="")
        for sequence, epoch in enumerate((EPOCH, again, tripped), start=1):
            booked = {key(epoch=epoch): cell([1] * sequence)}
            store.flush(batch(sequence, epoch=epoch, cells=booked))
        counts = [
            store.evidence(ROUTE, attempt=attempt, trip=trip).cells[booked].total_n
            for attempt, trip, booked in (
                (1, 0, key()),
                (2, 0, key(epoch=again)),
                (1, 1, key(epoch=tripped)),
            )
        ]
        assert counts == [1, 2, 3]

    def test_a_route_without_evidence_has_none(self, store: Store) -> None:
        """The empty case is no error."""
        nothing = Evidence(cells={}, subjects={}, excluded={})
        assert store.evidence("unheard-of", attempt=1, trip=0) == nothing

    def test_a_late_outcome_is_accepted_once(
        self, store: Store, other: Store, clock: FakeClock
    ) -> None:
        """Clients repeat requests, to other processes as well."""
        outcome = _late(clock, "thumbs-down", value=1.0)
        store.flush(batch(1, writer="a", late=[outcome, outcome]))
        other.flush(batch(1, writer="b", late=[outcome]))
        observed = _read(store)
        assert observed.cells[key("thumbs-down")].total_n == 1
        assert observed.subjects == {key("thumbs-down"): 1}

    def test_metrics_of_one_decision_are_accepted_each(
        self, store: Store, clock: FakeClock
    ) -> None:
        """A zero is an observation, and nobody's event."""
        outcomes = [_late(clock, "clicked", value=1.0), _late(clock, "bought", value=0)]
        store.flush(batch(late=outcomes))
        observed = _read(store)
        assert {each: observed.cells[each].mean for each in observed.cells} == {
            key("clicked"): 1.0,
            key("bought"): 0.0,
        }
        assert observed.subjects == {key("clicked"): 1}

    def test_an_outcome_of_an_expired_receipt_is_ignored(
        self, store: Store, clock: FakeClock
    ) -> None:
        """Nobody can tell any more whether it was counted."""
        outcome = _late(clock, "clicked", value=1.0)
        clock.advance(AN_HOUR_S)
        store.flush(batch(late=[outcome]))
        assert _read(store).cells == {}

    def test_pruning_makes_nothing_count_twice(
        self, store: Store, clock: FakeClock
    ) -> None:
        """Only what has expired may be forgotten."""
        outcome = _late(clock, "clicked", value=1.0)
        store.flush(batch(1, late=[outcome]))
        now = clock.now().timestamp()
        assert store.prune(before=now).receipts == 0
        assert not store.flush(batch(1, late=[outcome]))
        store.flush(batch(2, late=[outcome]))
        clock.advance(AN_HOUR_S)
        assert store.prune(before=now + AN_HOUR_S).receipts == 1
        store.flush(batch(3, late=[outcome]))
        assert _read(store).cells[key("clicked")].total_n == 1

    def test_histograms_of_processes_add_up(
        self, store: Store, other: Store, clock: FakeClock
    ) -> None:
        """Those of late outcomes too, once each."""
        slow = replace(
            _late(clock, "latency_s", value=4.0), distributed=(key("latency_s"), 4.0)
        )
        store.flush(batch(writer="a", histograms={key("latency_s"): histogram(1, 2)}))
        other.flush(
            batch(
                writer="b",
                histograms={
                    key("latency_s"): histogram(2, 3),
                    key("cost"): histogram(),
                },
                late=[slow, slow],
            )
        )
        found = _read(store).histograms
        assert {metric: each.bins for metric, each in found.items()} == {
            "latency_s": histogram(1, 2, 2, 3, 4).bins
        }

    def test_of_percentiles_the_first_are_frozen_for_all_processes(
        self, store: Store, other: Store
    ) -> None:
        """Else two processes would measure one epoch by two thresholds."""
        first = store.freeze(ROUTE, "c1", {"latency_s": SLOW})
        assert first == {"latency_s": SLOW}
        again = other.freeze(ROUTE, "c1", {"latency_s": SLOWER, "cost": SLOWER})
        assert again == {"latency_s": SLOW, "cost": SLOWER}
        assert store.freeze(ROUTE, "c1", {}) == again

    def test_percentiles_are_of_one_comparison_of_one_route(self, store: Store) -> None:
        """Another model of control has others."""
        store.freeze(ROUTE, "c1", {"latency_s": SLOW})
        assert store.freeze(ROUTE, "c2", {}) == {}
        assert store.freeze("other", "c1", {}) == {}

    def test_shares_are_those_of_the_epochs_that_are_read(self, store: Store) -> None:
        """By epoch and rule, where the flag service was asked."""
        split = replace(EPOCH, shares={"default": 0.1, "1": 0.5})
        unknown = Epoch(digest="e2", route=ROUTE, attempt=1, trip=0, described="")
        before = Epoch(
            digest="e3",
            route=ROUTE,
            attempt=1,
            trip=1,
            described="",
            shares={"default": 0.3},
        )
        for sequence, epoch in enumerate((split, unknown, before), start=1):
            store.flush(batch(sequence, epoch=epoch))
        assert _read(store).shares == {("e1", "default"): 0.1, ("e1", "1"): 0.5}

    def test_shares_may_come_with_a_later_flush_and_stay(
        self, store: Store, other: Store
    ) -> None:
        """A process that could not ask must not hide what another knows."""
        store.flush(batch(1, writer="a"))
        other.flush(batch(1, writer="b", epoch=replace(EPOCH, shares={"1": 0.5})))
        store.flush(batch(2, writer="a"))
        assert _read(store).shares == {("e1", "1"): 0.5}

    def test_evidence_names_the_comparison_that_was_read(self, store: Store) -> None:
        """So that who has no epoch of his own can freeze percentiles for it."""
        for sequence, name in enumerate(("c1", "c2"), start=1):
            epoch = replace(EPOCH, digest=f"e{sequence}", comparison=name)
            store.flush(batch(sequence, epoch=epoch))
        assert _read(store).comparison == "c2"
        asked = store.evidence(ROUTE, attempt=1, trip=0, comparison="c1")
        assert asked.comparison == "c1"

    def test_few_subjects_are_all_counted(self, store: Store) -> None:
        """And it is said which share of them is."""
        store.flush(batch(subjects={key(): {1, 2}}))
        assert _read(store).sampled == 1.0

    def test_all_processes_have_one_secret(self, store: Store, other: Store) -> None:
        """A receipt is read by another process than signed it."""
        assert len(store.secret()) == 32
        assert store.secret() == other.secret()


def histogram(*values: float) -> Histogram:
    """Return a histogram of these values."""
    made = Histogram()
    for value in values:
        made.add(value)
    return made


def _read(store: Store) -> Evidence:
    return store.evidence(ROUTE, attempt=1, trip=0)


def _late(clock: FakeClock, metric: str, *, value: float) -> LateOutcome:
    return LateOutcome(
        decision_id="0123456789abcdef",
        metric=metric,
        expires_at=clock.now().timestamp() + AN_HOUR_S,
        entries=((key(metric), Entry(metric, 0, value, counts=value != 0)),),
        subject=42,
    )
