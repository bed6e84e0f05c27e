"""Move rollouts as their plans ask: one leader per route, and only on proof.

Whoever holds the lease leads. A leader that slept through the end of its lease can do
no harm: the store refuses its record, and the flag service its split, because both
were changed since it read them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from flipback.analysis import describe
from flipback.config import candidate_weight
from flipback.control._course import CourseKeeper
from flipback.control._dry_run import DryRun
from flipback.control._gating import Asked, gate_of
from flipback.control._ground import Ground
from flipback.control._guard import Look
from flipback.control._killswitch import KillSwitch
from flipback.control._moves import Moves
from flipback.control._order import Order, in_force
from flipback.control._steady import SteadyTime
from flipback.control._told import told_of_move
from flipback.errors import FlagWriteError
from flipback.ports import FlagState, Intent, Lease
from flipback.rollout import By, Move, MoveRefused, Phase, RolloutRecord, phase_of
from flipback.steering import NextMove, Situation, next_move
from flipback.verdict import Gate, GateFinding, Verdict


TTL_S = 10.0
_RENEWED_S = 3.0
_PERIOD_S = 1.0
_IDLE_S = 10.0


@dataclass(slots=True, kw_only=True)
class _Led:
    """A lease as this process holds it, by its own clock."""

    lease: Lease
    taken_at: float


class Controller:
    """Advances, pauses and promotes; rolling back is the evaluator's."""

    def __init__(
        self,
        ground: Ground,
        switch: KillSwitch,
        *,
        holder: str,
        dry_run: bool = False,
    ) -> None:
        self._ground = ground
        self._switch = switch
        self._moves = Moves(ground)
        self._dry = DryRun(ground) if dry_run else None
        self._course = CourseKeeper(ground.store, ground.clock, ground.faults)
        self._time = SteadyTime(ground.clock)
        self._holder = holder
        self._led: dict[str, _Led] = {}
        self._stepped_at: dict[str, float] = {}

    def step(self, looks: Iterable[Look]) -> None:
        """Move the routes that have an attempt under way; never raises."""
        for look in looks:
            try:
                self._step(look)
            except MoveRefused as refused:
                self._ground.faults.note(look.route, "not moved", refused)
            except Exception as error:  # noqa: BLE001 - the other routes go on
                self._ground.faults.note(look.route, "rollout not led", error)

    @property
    def leads(self) -> tuple[str, ...]:
        """Return the routes whose rollouts this process moves, its leases valid."""
        now = self._ground.clock.monotonic()
        held = tuple(self._led.items())
        return tuple(route for route, led in held if now - led.taken_at < TTL_S)

    def after_fork(self, holder: str) -> None:
        """Lead nothing any more: the leases are the parent's."""
        self._holder = holder
        self._led = {}

    def _step(self, look: Look) -> None:
        known = self._switch.records.get(look.route)
        record = known or RolloutRecord(route=look.route)
        phase = phase_of(record, self._switch.latch(look.route))
        if look.kill is not None and self._dry is None:
            self._keep(look, record, phase, self._weight(look))
        if not self._is_due(look.route, phase):
            return
        if self._dry is not None:
            self._say(look, record, phase)
            return
        led = phase.is_open or (phase is Phase.FINISHED and bool(record.pending))
        watched = phase is Phase.IDLE and bool(look.evidence.cells)
        lease = self._lease(look.route) if led or watched else None
        if lease is None:
            return
        if led:
            self._lead(look, lease)
        else:
            self._keep(look, record, phase, self._weight(look))

    def _lead(self, look: Look, lease: Lease) -> None:
        record = self._ground.store.rollout(look.route)
        if not self._is_of(look, record):
            return
        record = self._moves.settle(look.plan, record, lease)
        record = self._with_plan(look, record, lease)
        phase = phase_of(record, self._switch.latch(look.route))
        flag = self._moves.flag(look.plan)
        self._keep(look, record, phase, candidate_weight(look.plan, flag))
        if record.pending or not phase.runs:
            return
        gated = self._gate(look, record, phase, flag)
        asked = self._asked(look, record, phase, flag, gated)
        if asked.move is not None:
            self._carry_out(look, record, asked, lease, gated)

    def _is_of(self, look: Look, record: RolloutRecord) -> bool:
        """Return whether a look is at the rollout as it stands now, and not before."""
        seen = look.record
        era = self._switch.switches[look.route].standing.era
        return (seen.attempt, seen.revision, look.era) == (
            record.attempt,
            record.revision,
            era,
        )

    def _say(self, look: Look, record: RolloutRecord, phase: Phase) -> None:
        """Say what would be done; without the lease, which whoever acts needs."""
        if self._dry is None or record.pending or not phase.runs:
            return
        flag = self._moves.flag(look.plan)
        gated = self._gate(look, record, phase, flag)
        asked = self._asked(look, record, phase, flag, gated)
        if asked.move is not None:
            self._dry.would_move(record, asked)

    def _asked(
        self,
        look: Look,
        record: RolloutRecord,
        phase: Phase,
        flag: FlagState,
        gated: Gate,
    ) -> NextMove:
        return next_move(
            Situation(
                plan=look.plan,
                record=record,
                phase=phase,
                split=in_force(flag),
                analysis=look.analysis,
                gate=gated,
                loosened=look.loosened,
                now=self._time.now(),
            )
        )

    def _carry_out(
        self,
        look: Look,
        record: RolloutRecord,
        asked: NextMove,
        lease: Lease,
        gated: Gate,
    ) -> None:
        if asked.move is Move.ROLL_BACK:
            self._overdue(look, record, asked)
            return
        findings = _grounds(asked, look, gated)
        order = Order(
            plan=look.plan,
            record=record,
            move=asked,
            actor=asked.by,
            why=asked.why,
            findings=findings,
            lease=lease,
        )
        outcome = self._moves.carry_out(order)
        if outcome.pending:
            self._ground.faults.note(
                look.route, "flag not moved yet; tried again", outcome.pending
            )
        told = told_of_move(outcome.record, asked)
        if told is not None:
            self._ground.tell(told)

    def _overdue(self, look: Look, record: RolloutRecord, asked: NextMove) -> None:
        intent = Intent(
            id=f"{record.route} {record.attempt} deadline",
            actor=By.PLAN,
            reason=asked.why,
        )
        self._switch.kill(look.route, intent=intent, automatic=True)

    def _gate(
        self, look: Look, record: RolloutRecord, phase: Phase, flag: FlagState
    ) -> Gate:
        asked = Asked(
            plan=look.plan,
            record=record,
            phase=phase,
            weight=candidate_weight(look.plan, flag),
            without=look.without,
            now=self._time.now(),
        )
        return gate_of(asked, look.evidence, look.analysis)

    def _with_plan(
        self, look: Look, record: RolloutRecord, lease: Lease
    ) -> RolloutRecord:
        """Let the attempt go by a plan that was changed and promises no less."""
        if look.loosened or not record.plan:
            return record
        if record.plan == look.plan.model_dump_json():
            return record
        return self._moves.took_over(record, look.plan, lease)

    def _keep(
        self, look: Look, record: RolloutRecord, phase: Phase, weight: float | None
    ) -> None:
        self._course.keep(
            look.plan,
            record,
            phase,
            weight,
            look.evidence,
            look.analysis,
            trip=look.era,
            without=look.without,
        )

    def _weight(self, look: Look) -> float | None:
        """Return what the flag offers, None where it cannot be read now."""
        try:
            return candidate_weight(look.plan, self._moves.flag(look.plan))
        except (FlagWriteError, MoveRefused):
            return None

    def _is_due(self, route: str, phase: Phase) -> bool:
        period = _IDLE_S if phase is Phase.IDLE else _PERIOD_S
        now = self._ground.clock.monotonic()
        if now - self._stepped_at.get(route, -period) < period:
            return False
        self._stepped_at[route] = now
        return True

    def _lease(self, route: str) -> Lease | None:
        """Return the right to move a route, renewed in good time; None if not ours."""
        now = self._ground.clock.monotonic()
        led = self._led.get(route)
        if led is not None and now - led.taken_at < _RENEWED_S:
            return led.lease
        lease = self._ground.store.acquire(
            f"rollout {route}", holder=self._holder, ttl_s=TTL_S
        )
        if lease is None:
            self._led.pop(route, None)
            return None
        self._led[route] = _Led(lease=lease, taken_at=now)
        return lease


def _grounds(asked: NextMove, look: Look, gated: Gate) -> tuple[str, ...]:
    """Return what a move rests on, a sentence each."""
    if asked.move is Move.PAUSE:
        return tuple(map(describe, look.analysis.paused))
    passed = [each for each in gated.findings if each.verdict is Verdict.PASS]
    return tuple(map(_ruled_out, passed))


def _ruled_out(finding: GateFinding) -> str:
    where = finding.cohort or "everybody"
    harm = (
        "a breach of its limit"
        if finding.margin is None
        else f"harm beyond {finding.margin:.0%}"
    )
    return f"{finding.metric} of {where}: {harm} is ruled out"
