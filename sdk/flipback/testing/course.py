"""What every course book promises, as tests; and what pruning leaves of attempts."""

import math
from dataclasses import replace
from itertools import pairwise

from flipback.course import CourseFinding, CoursePoint
from flipback.exposure import EXPOSURE, Epoch
from flipback.ports import Store
from flipback.rollout import Phase, RolloutRecord
from flipback.signals import Measure
from flipback.testing.clock import FakeClock
from flipback.testing.evidence import batch, cell, histogram, key
from flipback.verdict import Verdict


ROUTE = "support-reply"
FINDING = CourseFinding(
    place=0,
    metric="error",
    measure=Measure.VALUE,
    cohort="plan=größer",
    verdict=Verdict.INCONCLUSIVE,
    log_e=-math.inf,
    log_threshold=4.6,
    control_n=100,
    candidate_n=10,
    control_value=0.1,
    candidate_value=None,
    low=-0.5,
    high=math.inf,
)
POINT = CoursePoint(
    route=ROUTE,
    attempt=1,
    trip=0,
    at=100.0,
    phase=Phase.CANARY,
    stage=1,
    weight=5.0,
    log_g=0.5,
    log_threshold=4.6,
    control_exposures=100,
    candidate_exposures=10,
    findings=(FINDING,),
)
MOST = 500
DAY_S = 86_400.0


class CourseContract:
    """Tests of a `CourseBook`; fixtures as in `StoreContract`."""

    def test_a_point_is_kept_as_it_is(self, store: Store, other: Store) -> None:
        """Also what is not finite or not known."""
        unknown = replace(POINT, at=101.0, weight=None, log_g=math.inf, findings=())
        store.keep(POINT)
        other.keep(unknown)
        assert list(store.course(ROUTE, attempt=1)) == [POINT, unknown]

    def test_attempts_have_a_course_each(self, store: Store) -> None:
        """The empty case is no error."""
        store.keep(replace(POINT, attempt=2))
        assert not store.course(ROUTE, attempt=1)
        assert not store.course("unheard-of", attempt=2)
        assert len(store.course(ROUTE, attempt=2)) == 1

    def test_of_many_points_the_older_are_thinned_out_evenly(
        self, store: Store
    ) -> None:
        """The first and the latest stay, and no gap is more than twice another."""
        bare = replace(POINT, findings=())
        for second in range(1_500):
            store.keep(replace(bare, at=float(second)))
        times = [point.at for point in store.course(ROUTE, attempt=1)]
        assert (times[0], times[-1]) == (0.0, 1_499.0)
        assert 100 <= len(times) <= MOST
        half = times[: len(times) // 2]
        gaps = [after - before for before, after in pairwise(half)]
        assert max(gaps) <= 2 * min(gaps)

    def test_a_thorough_pruning_keeps_the_last_two_attempts(
        self, store: Store, clock: FakeClock
    ) -> None:
        """And latches, rollout records and what other routes have."""
        _three_attempts(store, clock)
        now = clock.now().timestamp()
        assert store.prune(before=now).attempts == 0
        forgotten = store.prune(before=now, thorough=True)
        assert (forgotten.attempts, forgotten.rows > 0) == (1, True)
        assert [_is_known(store, attempt) for attempt in (1, 2, 3)] == [
            (False, False),
            (True, True),
            (True, True),
        ]
        assert store.rollout(ROUTE).attempt == 3
        assert store.prune(before=now, thorough=True).attempts == 0

    def test_a_thorough_pruning_keeps_what_ended_lately(
        self, store: Store, clock: FakeClock
    ) -> None:
        """As of the last that was seen of an attempt."""
        began = clock.now().timestamp()
        _three_attempts(store, clock)
        assert store.prune(before=began, thorough=True).attempts == 0
        assert _is_known(store, 1) == (True, True)

    def test_what_an_attempt_of_the_present_has_seen_outlives_a_thorough_pruning(
        self, store: Store, clock: FakeClock
    ) -> None:
        """However old it is: a route that nobody rolls out stays in its first."""
        store.flush(batch(cells={key(): cell([1])}))
        store.keep(POINT)
        clock.advance(1000 * DAY_S)
        store.prune(before=clock.now().timestamp(), thorough=True)
        assert _is_known(store, 1) == (True, True)


def _three_attempts(store: Store, clock: FakeClock) -> None:
    for attempt in (1, 2, 3):
        now = clock.now().timestamp()
        epoch = Epoch(
            digest=f"e{attempt}", route=ROUTE, attempt=attempt, trip=0, described=""
        )
        of = key(epoch=epoch)
        store.flush(
            batch(
                attempt,
                epoch=epoch,
                cells={of: cell([1])},
                subjects={of: {1, 2}},
                histograms={of: histogram(1.0)},
            )
        )
        store.keep(replace(POINT, attempt=attempt, at=now))
        store.replace_rollout(
            RolloutRecord(route=ROUTE, revision=attempt, attempt=attempt, started=now),
            lease=None,
        )
        clock.advance(DAY_S)


def _is_known(store: Store, attempt: int) -> tuple[bool, bool]:
    """Return whether there is evidence of an attempt, and a course."""
    found = store.evidence(ROUTE, attempt=attempt, trip=0)
    seen = any(each.metric == EXPOSURE for each in found.cells)
    assert seen == bool(found.subjects) == bool(found.histograms) or attempt == 1
    return seen, bool(store.course(ROUTE, attempt=attempt))
