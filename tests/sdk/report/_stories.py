"""Attempts as reports tell them: real analyses of simulated traffic, no invented ones.

Whoever kept the course is the keeper itself; only the ledger's lines are written here,
in the words of whoever writes them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from tests.simulations._book import seeded

from flipback.analysis import Analysis, PeakKey, analyze, describe
from flipback.control._course import CourseKeeper, Spot, look_as_point
from flipback.course import CoursePoint
from flipback.latch import Latch
from flipback.plan import RolloutPlan
from flipback.ports import EntryKind, LedgerEntry
from flipback.report import ReportData
from flipback.rollout import Phase, RolloutRecord
from flipback.routing import Faults
from flipback.tally import Seen, Tally
from flipback.testing import FakeClock
from flipback.verdict import Action, Finding


EVALUATOR = "guardrail evaluator"
START = datetime(2026, 11, 18, 9, 30, tzinfo=UTC)
SIZES = ("small", "medium", "enterprise")
PLAN: Mapping[str, object] = {
    "route": "candidate-search",
    "flag": "search-model",
    "control": "lexical-v7",
    "candidate": "embedding-v2",
    "cohorts": {"employer_size": SIZES, "country": ("US", "DE")},
    "stages": [
        {"shadow": 0.2, "window": "6h"},
        {"weight": 5, "window": "12h", "min_exposures": 500},
        {"weight": 25, "window": "24h"},
        {"weight": 50, "window": "24h"},
    ],
    "guardrails": [
        {"metric": "error", "fails_on": "increase", "tolerance": 0.5},
        {"metric": "recall", "fails_on": "decrease", "tolerance": 0.05},
        {"metric": "latency_s", "fails_on": "increase", "tolerance": 0.25},
        {"metric": "unsafe", "fails_on": "increase", "limit": 0.08, "kind": "event"},
    ],
}


@dataclass(slots=True)
class Shelf:
    """A course book in memory."""

    points: list[CoursePoint] = field(default_factory=list[CoursePoint])

    def keep(self, point: CoursePoint) -> None:
        self.points.append(point)

    def course(self, route: str, *, attempt: int) -> Sequence[CoursePoint]:
        return [p for p in self.points if (p.route, p.attempt) == (route, attempt)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A stretch of an attempt: a phase and stage with this much traffic."""

    phase: Phase
    stage: int
    weight: float
    lasts: timedelta
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """How both arms really are; `harm` takes the share of recall that is lost."""

    harm: Callable[[Mapping[str, str]], float] = lambda _: 0.0
    error: float = 0.02


LEGS = (
    Leg(phase=Phase.SHADOW, stage=0, weight=0.0, lasts=timedelta(hours=6), calls=0),
    Leg(
        phase=Phase.CANARY, stage=1, weight=5.0, lasts=timedelta(hours=14), calls=9_000
    ),
    Leg(
        phase=Phase.CANARY, stage=2, weight=25.0, lasts=timedelta(hours=34), calls=9_000
    ),
)


def of_the_enterprise(cohorts: Mapping[str, str]) -> float:
    return 0.33 if cohorts["employer_size"] == "enterprise" else 0.0


def nowhere(_: Mapping[str, str]) -> float:
    return 0.0


class Simulation:
    """One attempt, call by call, with a look every so often."""

    def __init__(self, plan: RolloutPlan, *, seed: int = 1, looks: int = 160) -> None:
        self.plan = plan
        self.clock = FakeClock(START)
        self.shelf = Shelf()
        self.looks = looks
        self.record = RolloutRecord(
            route=plan.route,
            revision=1,
            phase=Phase.SHADOW,
            since=START.timestamp(),
            started=START.timestamp(),
            actor="mara@laptop",
            tries=1,
        )
        self.tally = Tally(plan)
        self.analysis: Analysis | None = None
        self._rng: Random = seeded(seed)
        self._keeper = CourseKeeper(self.shelf, self.clock, Faults())
        self._peaks: Mapping[PeakKey, float] = {}

    @property
    def now(self) -> float:
        return self.clock.now().timestamp()

    def run(self, legs: Sequence[Leg], nature: Nature) -> bool:
        """Go through the legs; return whether harm was proven on the way."""
        total = sum(leg.calls for leg in legs) or 1
        for leg in legs:
            self.record = replace(
                self.record,
                revision=self.record.revision + 1,
                phase=leg.phase,
                stage=leg.stage,
                since=self.now,
            )
            looks = max(2, round(self.looks * leg.calls / total))
            for _ in range(looks):
                self.clock.advance(leg.lasts.total_seconds() / looks)
                for _ in range(leg.calls // looks):
                    self._call(leg, nature)
                if self._look(leg):
                    return True
        return False

    def _look(self, leg: Leg) -> bool:
        self.tally.freeze()
        evidence = self.tally.evidence
        found = analyze(self.plan, evidence, peaks=self._peaks, now=self.now)
        self._peaks, self.analysis = found.peaks, found
        self._keeper.keep(
            self.plan, self.record, leg.phase, leg.weight, evidence, found
        )
        return found.action is Action.ROLL_BACK

    def _call(self, leg: Leg, nature: Nature) -> None:
        draw = self._rng
        served = draw.random() * 100 < leg.weight
        cohorts = {
            name: _drawn(draw, values) for name, values in self.plan.cohorts.items()
        }
        seen = self.tally.expose(
            Seen(
                variant=self.plan.candidate if served else self.plan.control,
                subject=draw.getrandbits(64),
                cohorts=tuple(f"{k}={v}" for k, v in cohorts.items()),
                epoch=f"weight {leg.weight:g}",
                at=self.now,
            ),
            share=leg.weight / 100,
        )
        recall = 0.64 * (1 - (nature.harm(cohorts) if served else 0.0))
        drawn = {
            "error": float(draw.random() < nature.error),
            "recall": float(draw.random() < recall),
            "latency_s": draw.lognormvariate(-1.1 + 0.05 * served, 0.6),
            "unsafe": float(draw.random() < 0.04),
        }
        for name in self.plan.judged:
            value = drawn.get(name)
            made_up = float(draw.random() < 0.3)
            self.tally.outcome(seen, name, made_up if value is None else value)


def _drawn(draw: Random, values: Sequence[str]) -> str:
    """Return one of the values, the first more often than the last."""
    return values[min(int(draw.random() ** 1.4 * len(values)), len(values) - 1)]


class Lines:
    """The ledger of one story."""

    def __init__(self, route: str) -> None:
        self.route = route
        self.entries: list[LedgerEntry] = []

    def add(
        self, kind: EntryKind, at: float, note: str, *, actor: str = "", **parts: object
    ) -> None:
        number = len(self.entries) + 1
        entry = LedgerEntry(
            number=number,
            kind=kind,
            at=datetime.fromtimestamp(at, tz=UTC).isoformat(),
            route=self.route,
            latch=None,
            note=note,
            previous=f"{number - 1:064x}",
            digest=f"{number:064x}",
            actor=actor,
        )
        self.entries.append(replace(entry, **parts))  # type: ignore[arg-type]  # passed on


def plan_of(**changes: object) -> RolloutPlan:
    return RolloutPlan.model_validate({**PLAN, **changes})


def rolled_back(
    *, looks: int = 160, legs: Sequence[Leg] = LEGS, **parts: object
) -> ReportData:
    """Return an attempt that harmed one cohort and was rolled back for it."""
    made = Simulation(plan_of(), looks=looks)
    assert made.run(legs, Nature(harm=of_the_enterprise)), "the harm was not found"
    assert made.analysis is not None
    told = _told(made)
    route, at, actor = made.plan.route, made.now + 0.2, EVALUATOR
    blamed: Sequence[Finding] = made.analysis.broken
    said = tuple(map(describe, blamed))
    latch = Latch(route=route).killed(
        reason="; ".join(said),
        actor=actor,
        intent="i1",
        at=datetime.fromtimestamp(at, tz=UTC).isoformat(),
    )
    told.add(EntryKind.KILL, at, latch.reason, actor=actor, latch=latch, findings=said)
    told.add(
        EntryKind.FLAG_WRITE,
        at + 0.4,
        "kill i1 applied: default, rules and targets serve lexical-v7",
        actor=actor,
        before="f3a9",
        after="0b77",
    )
    data = _data(made, told, Phase.ROLLED_BACK)
    return replace(data, latch=latch, weight=0.0, **parts)  # type: ignore[arg-type]


def running(
    *, looks: int = 120, legs: Sequence[Leg] = LEGS, **plan: object
) -> ReportData:
    """Return an attempt that does no harm and goes on."""
    made = Simulation(plan_of(**plan), looks=looks, seed=7)
    made.run(legs, Nature(harm=nowhere))
    waits = ("the window of 1d is over in 13h",)
    weight = legs[-1].weight
    data = _data(made, _told(made), legs[-1].phase)
    return replace(data, waits=waits, weight=weight)


def nothing(**parts: object) -> ReportData:
    """Return a route whose rollout was never started."""
    base = ReportData(
        plan=plan_of(),
        attempt=1,
        latest=1,
        phase=Phase.IDLE,
        made_at=START,
        version="0.1.0",
    )
    return replace(base, **parts)  # type: ignore[arg-type]


def _told(made: Simulation) -> Lines:
    told = Lines(made.plan.route)
    told.add(
        EntryKind.START,
        START.timestamp(),
        "the offline evaluation is good: try it",
        actor="mara@laptop",
        attempt=1,
        stage=0,
    )
    stage = 0
    for point in made.shelf.points:
        if point.stage != stage:
            stage = point.stage
            told.add(
                EntryKind.ADVANCE,
                point.at,
                "the gate passes",
                actor="rollout plan",
                attempt=1,
                stage=stage,
                before=f"a{stage}01",
                after=f"a{stage}02",
            )
    return told


def _data(made: Simulation, told: Lines, phase: Phase) -> ReportData:
    assert made.analysis is not None
    point = made.shelf.points[-1]
    spot = Spot(1, 0, point.phase, point.stage, point.weight, made.now)
    return ReportData(
        plan=made.plan,
        attempt=1,
        latest=1,
        phase=phase,
        made_at=made.clock.now() + timedelta(minutes=25),
        version="0.1.0",
        record=made.record,
        course=tuple(made.shelf.points),
        last_look=look_as_point(made.plan, spot, made.tally.evidence, made.analysis),
        excluded={"targeting_match": 212, "provider_not_ready": 3},
        entries=tuple(told.entries),
    )
