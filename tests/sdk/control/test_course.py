from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from tests.simulations._book import plan_of

from flipback.analysis import Analysis, Renewal, analyze
from flipback.control._course import MOST_FINDINGS, CourseKeeper
from flipback.course import CoursePoint
from flipback.errors import StoreError
from flipback.exposure import Evidence
from flipback.plan import RolloutPlan
from flipback.rollout import Phase, RolloutRecord
from flipback.routing import Faults
from flipback.tally import Seen, Tally
from flipback.testing import FakeClock
from flipback.verdict import Interval, Verdict


DAY = 86_400.0
PLAN = plan_of(
    {"metric": "error", "fails_on": "increase", "tolerance": 0.2},
    {"metric": "grade", "fails_on": "decrease", "tolerance": 0.05},
    segments=["a", "b"],
)


@dataclass
class Shelf:
    """A course book in memory, which can be out of order."""

    points: list[CoursePoint] = field(default_factory=list[CoursePoint])
    broken: bool = False

    def keep(self, point: CoursePoint) -> None:
        self._answer()
        self.points.append(point)

    def course(self, route: str, *, attempt: int) -> Sequence[CoursePoint]:
        self._answer()
        return [p for p in self.points if (p.route, p.attempt) == (route, attempt)]

    def _answer(self) -> None:
        if self.broken:
            raise StoreError("the disk is full")


class Watched:
    """A keeper with its book, and a rollout to look at."""

    def __init__(self, plan: RolloutPlan = PLAN) -> None:
        self.plan = plan
        self.clock = FakeClock()
        self.book = Shelf()
        self.faults = Faults()
        self.record = RolloutRecord(
            route=plan.route, revision=1, started=self.clock.now().timestamp()
        )
        self.phase = Phase.CANARY
        self.tally = Tally(plan)
        self.keeper = self.restarted()

    def restarted(self) -> CourseKeeper:
        self.keeper = CourseKeeper(self.book, self.clock, self.faults)
        return self.keeper

    def call(self, times: int, *, worse: bool = False) -> None:
        for number in range(times):
            served = number % 2 == 0
            seen = self.tally.expose(
                Seen(
                    variant="candidate" if served else "control",
                    subject=number * 2_654_435_761 % 2**64,
                    cohorts=(f"segment={'ab'[number // 2 % 2]}",),
                )
            )
            error = served and worse
            self.tally.outcome(seen, "error", float(error or number % 50 == 0))
            self.tally.outcome(seen, "grade", number % 7 / 7)

    @property
    def evidence(self) -> Evidence:
        return self.tally.evidence

    def look(self, *, shown: bool = True, trip: int | None = None) -> Analysis:
        found = analyze(self.plan, self.evidence, shown=shown)
        self.keep(found, trip=trip)
        return found

    def keep(self, found: Analysis, *, trip: int | None = None) -> None:
        self.keeper.keep(
            self.plan, self.record, self.phase, 5.0, self.evidence, found, trip=trip
        )

    @property
    def kept(self) -> int:
        return len(self.book.points)


def bounded(found: Analysis) -> Analysis:
    """Return an analysis that somebody is to see, as it has intervals."""
    interval = Interval(low=-0.1, high=0.1)
    findings = (replace(each, interval=interval) for each in found.findings)
    return replace(found, findings=tuple(findings))


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_the_first_look_is_kept(watched: Watched) -> None:
    watched.call(200)
    watched.look()
    (point,) = watched.book.points
    assert (point.control_exposures, point.candidate_exposures) == (100, 100)
    assert (point.attempt, point.phase, point.stage, point.weight) == (
        1,
        "canary",
        0,
        5,
    )
    assert len(point.findings) == 6


def test_looks_within_a_minute_are_kept_once(watched: Watched) -> None:
    for _ in range(60):
        watched.look()
        watched.clock.advance(1)
    assert watched.kept == 1
    watched.look()
    assert watched.kept == 2


def test_an_old_attempt_is_kept_ever_more_rarely(watched: Watched) -> None:
    found = bounded(watched.look())
    for _ in range(24 * 60):
        watched.keep(found)
        watched.clock.advance(60)
    day = watched.kept
    for _ in range(59 * 24 * 6):
        watched.keep(found)
        watched.clock.advance(600)
    assert 200 < day < 650
    assert watched.kept < 1_700
    gap = watched.book.points[-1].at - watched.book.points[-2].at
    assert gap == pytest.approx(60 * DAY / 200, rel=0.05)


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": 2},
        {"stage": 1},
        {"trip": 1},
    ],
)
def test_what_changes_is_kept_at_once(watched: Watched, change: dict[str, int]) -> None:
    watched.look()
    watched.record = replace(watched.record, **change)
    watched.look()
    watched.look()
    assert watched.kept == 2


def test_a_phase_and_the_trip_of_the_latch_are_kept_at_once(watched: Watched) -> None:
    watched.look(trip=0)
    watched.look(trip=1)
    watched.phase = Phase.PAUSED
    watched.look(trip=1)
    assert [(p.trip, p.phase) for p in watched.book.points] == [
        (0, "canary"),
        (1, "canary"),
        (1, "paused"),
    ]


def test_proven_harm_is_kept_at_once_and_not_at_every_look(watched: Watched) -> None:
    watched.call(200)
    watched.look()
    watched.call(400, worse=True)
    assert watched.look().verdict is Verdict.FAIL
    watched.look()
    assert watched.kept == 2
    failed = [f for f in watched.book.points[-1].findings if f.verdict is Verdict.FAIL]
    assert {finding.metric for finding in failed} == {"error"}


def test_nothing_is_added_once_it_is_rolled_back(watched: Watched) -> None:
    watched.phase = Phase.ROLLED_BACK
    watched.look()
    watched.clock.advance(DAY)
    watched.look()
    assert watched.kept == 1


def test_a_new_leader_goes_on_where_the_last_one_ended(watched: Watched) -> None:
    watched.look()
    watched.restarted()
    watched.look()
    assert watched.kept == 1


def test_a_look_that_nobody_sees_is_kept_with_its_intervals(watched: Watched) -> None:
    watched.call(400)
    assert all(f.interval is None for f in watched.look(shown=False).findings)
    assert any(f.low is not None for f in watched.book.points[0].findings)


def test_a_look_is_kept_as_the_stage_in_force_has_it(watched: Watched) -> None:
    watched.call(400, worse=True)
    watched.record = replace(watched.record, renewals=1, renewed_at=DAY)
    now = watched.clock.now().timestamp()
    seen = Renewal.of(watched.record)
    found = analyze(watched.plan, watched.evidence, now=now, renewal=seen, shown=False)
    watched.keep(found)
    (point,) = watched.book.points
    assert point.log_g == found.log_g
    assert point.log_g != analyze(watched.plan, watched.evidence, now=now).log_g


def test_of_many_findings_all_aggregates_and_the_weightiest_are_kept() -> None:
    plan = plan_of(
        *({"metric": f"m{n}", "fails_on": "increase"} for n in range(10)),
        segments=[f"s{n}" for n in range(20)],
    )
    watched = Watched(plan)
    watched.look()
    found = bounded(watched.look())
    weighed = [
        replace(each, log_e=float(each.cohort == "segment=s19"))
        for each in found.findings
    ]
    watched.record = replace(watched.record, stage=1)
    watched.keep(replace(found, findings=tuple(weighed)))
    kept = watched.book.points[-1].findings
    assert len(kept) == MOST_FINDINGS
    cohorts = [finding.cohort for finding in kept]
    assert cohorts.count("") == cohorts.count("segment=s19") == 10
    assert [finding.place for finding in kept] == sorted(f.place for f in kept)


def test_a_book_that_is_out_of_order_stops_no_look(watched: Watched) -> None:
    watched.book.broken = True
    watched.look()
    assert "course not kept" in "".join(watched.faults.details().values())
    watched.book.broken = False
    watched.look()
    assert watched.kept == 1


def test_a_clock_that_is_put_back_does_not_end_the_course(watched: Watched) -> None:
    watched.clock.advance(DAY)
    watched.look()
    earlier = FakeClock()
    watched.keeper = CourseKeeper(watched.book, earlier, watched.faults)
    watched.look()
    assert watched.kept == 2
    earlier.advance(1)
    watched.look()
    assert watched.kept == 2
