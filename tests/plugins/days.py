"""An application with 100,000 users a day, on a clock that does not wait.

A tenth of them belong to enterprises. Of control's answers 2 % fail and 80 % are
correct, and the same of the candidate's if nothing else is said; every user comes once.
In shadow both arms answer the same call, and what they answer correlates by 0.8.

The router, its store, the ledger, the flag file and its writer are the real ones. Only
the calls are not made one by one: what an hour of them would have left in the store is
drawn at once, with the epochs that the router itself computes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from statistics import NormalDist

import numpy as np
from openfeature.evaluation_context import EvaluationContext
from typing_extensions import override

import flipback
from flipback.app import Operator
from flipback.assignment import EVERYBODY
from flipback.config import candidate_weight, flag_ref, load_settings
from flipback.exposure import BUCKETS, EXPOSURE, Batch, Cell, CellKey
from flipback.ports import SCALE, EntryKind, Intent, LedgerEntry
from flipback.power import Baseline, Traffic
from flipback.rollout import Phase, RolloutRecord, phase_of
from flipback.signals import Measure, Part, Signal
from flipback.testing.clock import FakeClock
from projects import ROUTE, Project


USERS_A_DAY = 100_000
ENTERPRISE = 0.1
"""Share of the subjects."""

COHORTS = ("plan=free", "plan=enterprise")
METRICS = ("error", "correct")
BASE: Mapping[str, float] = {"error": 0.02, "correct": 0.80}
CORRELATION = 0.8
TRAFFIC = Traffic(
    calls_per_day=USERS_A_DAY,
    baselines={metric: Baseline(mean=rate) for metric, rate in BASE.items()},
    shares=dict(zip(COHORTS, (1 - ENTERPRISE, ENTERPRISE), strict=True)),
)
"""The same, as `flipback power` is told it."""

PANEL = 300
"""People of each cohort whose variant is looked up."""

Rates = Callable[[float, str, str], float]
"""The candidate's rate on a day, of a metric, in a cohort."""


def alike(_day: float, metric: str, _cohort: str) -> float:
    """Return the rates of a candidate that is as good as control."""
    return BASE[metric]


class TurnedClock(FakeClock):
    """A clock whose wall time can be set."""

    ahead = timedelta(0)

    @override
    def now(self) -> datetime:
        return super().now() + self.ahead

    def turn(self, by: timedelta) -> None:
        """Set the wall clock; no time goes by."""
        self.ahead += by


@dataclass(frozen=True, slots=True)
class Served:
    """Whom an hour's subjects were served by."""

    control: int
    candidate: int


class Days:
    """Lives through days in steps of hours; `router` and `operator` are real."""

    def __init__(
        self,
        project: Project,
        *,
        rates: Rates = alike,
        users_a_day: int = USERS_A_DAY,
        seed: int = 1,
    ) -> None:
        self.clock = TurnedClock()
        self.project = project
        self.rates = rates
        self._users_a_day = users_a_day
        self.served: list[Served] = []
        self._rng = np.random.default_rng(seed)
        self._sequence = 0
        self._began = self.clock.now()
        self.deploy()

    def deploy(self) -> None:
        """Start the application, with the plan that is in its folder now."""
        project = self.project
        self.router = flipback.Router.from_config(project.config, clock=self.clock)
        route: flipback.Route[[str], str] = self.router.route(ROUTE)
        for name in ("v1", "v2"):
            route.variant(name, version="1")(_echo)
        self.router.start()
        self.operator = Operator.open(load_settings(project.config), clock=self.clock)
        self._parts = self.router._routes.parts(route.plan)  # noqa: SLF001
        self.assembly = self.router._assembly  # noqa: SLF001
        self.plan = route.plan

    def close(self) -> None:
        self.operator.close()
        self.router.stop()

    @property
    def day(self) -> float:
        """Return how many days have passed."""
        return (self.clock.now() - self._began).total_seconds() / 86_400

    @property
    def weight(self) -> float:
        """Return the percent of subjects that the flag gives the candidate."""
        writer = self.assembly.flags.writer
        assert writer is not None
        return candidate_weight(self.plan, writer.read(flag_ref(self.plan))) or 0.0

    @property
    def record(self) -> RolloutRecord:
        return self.assembly.ground.store.rollout(ROUTE)

    @property
    def phase(self) -> Phase:
        return phase_of(self.record, self.assembly.ground.newest_latch(ROUTE))

    @property
    def opened(self) -> Mapping[str, float]:
        """Return when each epoch of the attempt opened."""
        standing = self.assembly.killswitch.switches[ROUTE].standing
        store = self.assembly.ground.store
        evidence = store.evidence(ROUTE, attempt=standing.attempt, trip=standing.era)
        return evidence.opened

    def entries(self, *kinds: EntryKind) -> list[LedgerEntry]:
        """Return what the ledger has of some kinds, or all of it."""
        every = self.assembly.ground.ledger.entries()
        return [entry for entry in every if not kinds or entry.kind in kinds]

    def ramp_by_hand(self, weight: float) -> None:
        """Edit the split in the flag service, as a person does."""
        writer = self.assembly.flags.writer
        assert writer is not None
        ref, share = flag_ref(self.plan), round(weight * SCALE / 100)
        writer.set_split(
            ref,
            {self.plan.control: SCALE - share, self.plan.candidate: share},
            expect=writer.read(ref).version,
            intent=Intent(id="by hand", actor="bob", reason="in a hurry"),
        )

    def on_candidate(self, cohort: str) -> frozenset[str]:
        """Return who of a fixed panel would be served by the candidate now."""
        self.reload()
        route, (attribute, value) = self.router.route(ROUTE), cohort.split("=")
        people = (f"{value} {number}" for number in range(PANEL))
        return frozenset(
            each
            for each in people
            if route.decide(EvaluationContext(each, {attribute: value})).variant
            == self.plan.candidate
        )

    def live(self, days: float, *, hours: float = 2.0) -> None:
        """Let days go by, and look after each step of hours."""
        for _ in range(round(days * 24 / hours)):
            self.step(hours)

    def live_until(
        self, reached: Callable[[], bool], *, most: float, hours: float = 2.0
    ) -> None:
        """Let days go by until something has happened; fail after so many."""
        for _ in range(round(most * 24 / hours)):
            if reached():
                return
            self.step(hours)
        now = self.operator.status()[0]
        stands = f"{now.phase}, stage {self.record.stage}, {self.weight} %"
        raise AssertionError(f"not within {most} days: {stands}, {now.gate}")

    def step(self, hours: float = 2.0, *, looks: bool = True) -> None:
        """Let hours go by, and look."""
        self.reload()
        users = round(self._users_a_day * hours / 24)
        standing = self.assembly.killswitch.switches[ROUTE].standing
        weight = 0.0 if standing.override else self.weight
        candidate = int(self._rng.binomial(users, weight / 100))
        self.served.append(Served(users - candidate, candidate))
        if standing.override is None:
            self._book(users - candidate, candidate, self._half_of(hours))
        self.clock.advance(hours * 3600)
        if looks:
            self.router.step()

    def reload(self) -> None:
        """Let the application see the flag and the latches as they are now."""
        self.assembly.flags.provider.reload()  # type: ignore[attr-defined]
        self.assembly.killswitch.refresh()

    def _half_of(self, hours: float) -> float:
        """Return the middle of the hours that begin now, Unix seconds."""
        return self.clock.now().timestamp() + hours * 1800

    def _book(self, control: int, candidate: int, at: float) -> None:
        standing = self.assembly.killswitch.switches[ROUTE].standing
        writer = self.assembly.flags.writer
        assert writer is not None
        version = writer.read(flag_ref(self.plan)).version.token
        digest = self._parts.epochs.digest(standing, version)
        epoch = self.assembly.flusher._shares.added(  # noqa: SLF001
            self.assembly.recorder._epochs[digest]  # noqa: SLF001
        )
        self._sequence += 1
        batch = Batch(writer="days", sequence=self._sequence, epochs={digest: epoch})
        where = (ROUTE, standing.attempt, digest)
        if standing.shadow:
            self._pair(batch, where, round(control * standing.shadow))
        elif candidate:
            for variant, users in (("v1", control), ("v2", candidate)):
                self._expose(batch, where, variant, users, standing.killed, at)
        self.assembly.ground.store.flush(batch)

    def _expose(
        self,
        batch: Batch,
        where: tuple[str, int, str],
        variant: str,
        users: int,
        killed: frozenset[str],
        at: float,
    ) -> None:
        enterprise = int(self._rng.binomial(users, ENTERPRISE))
        for cohort, n in zip(COHORTS, (users - enterprise, enterprise), strict=True):
            if cohort in killed or not n:
                continue
            subjects = self._rng.integers(0, 1 << 64, n, dtype=np.uint64)
            buckets = (subjects % np.uint64(BUCKETS)).astype(np.int64)
            values = {self._signal(EXPOSURE): np.ones(n)}
            for metric in METRICS:
                rate = self._rate(metric, cohort, variant)
                signal = self._signal(metric)
                values[signal] = (self._rng.random(n) < rate).astype(float)
                if signal.matures_after_s:
                    mature = signal._replace(metric=EXPOSURE)
                    values[mature] = np.ones(n)
            for signal, value in values.items():
                cell, piece = _cell(buckets, value), signal.slice_at(at)
                had = set(subjects[value > 0].tolist())
                for place in (EVERYBODY, cohort):
                    key = CellKey(*where, "default", piece, signal.name, place, variant)
                    batch.cells.setdefault(key, Cell()).merge(cell)
                    if signal.metric != "correct":
                        batch.subjects.setdefault(key, set()).update(had)

    def _pair(self, batch: Batch, where: tuple[str, int, str], calls: int) -> None:
        """Book calls that both arms answered, whose outcomes go together."""
        enterprise = int(self._rng.binomial(calls, ENTERPRISE))
        for cohort, n in zip(COHORTS, (calls - enterprise, enterprise), strict=True):
            buckets = self._rng.integers(0, BUCKETS, n)
            for metric in METRICS:
                mine, other = self._correlated(metric, cohort, n)
                signal = Signal(metric, Measure.VALUE)
                both = signal._replace(part=Part.PAIRED).name
                between = signal._replace(part=Part.DIFFERENCE).name
                for variant, name, value in (
                    ("v1", both, mine),
                    ("v2", both, other),
                    ("v2", between, other - mine),
                ):
                    cell = _cell(buckets, value)
                    for place in (EVERYBODY, cohort):
                        key = CellKey(*where, "", 0, name, place, variant)
                        batch.cells.setdefault(key, Cell()).merge(cell)

    def _signal(self, metric: str) -> Signal:
        """Return how the plan keeps a metric, or exposures."""
        if metric == EXPOSURE:
            return Signal(EXPOSURE)
        delay = self.plan.metric(metric).matures_after
        return Signal(metric, matures_after_s=int(delay.total_seconds()))

    def _correlated(
        self, metric: str, cohort: str, n: int
    ) -> tuple[np.ndarray, np.ndarray]:
        shared, noise = self._rng.standard_normal((2, n))
        other = CORRELATION * shared + sqrt(1 - CORRELATION**2) * noise
        limits = [
            NormalDist().inv_cdf(1 - self._rate(metric, cohort, variant))
            for variant in ("v1", "v2")
        ]
        return (shared > limits[0]).astype(float), (other > limits[1]).astype(float)

    def _rate(self, metric: str, cohort: str, variant: str) -> float:
        if variant == "v1":
            return BASE[metric]
        return self.rates(self.day, metric, cohort)


def _cell(buckets: np.ndarray, values: np.ndarray) -> Cell:
    cell = Cell()
    counts = np.bincount(buckets, minlength=BUCKETS)
    sums = np.bincount(buckets, weights=values, minlength=BUCKETS)
    for bucket in range(BUCKETS):
        cell.n[bucket] += int(counts[bucket])
        cell.x[bucket] += float(sums[bucket])
    cell.xx = float((values * values).sum())
    return cell


def _echo(text: str) -> str:
    return text
