"""Moves that people ask for: each checked, then made by compare-and-set."""

import secrets
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from flipback.analysis import Analysis, Renewal, analyze
from flipback.app._refusals import (
    No,
    Stands,
    doubt_taken,
    may_promote,
    not_accepted,
    or_reason,
)
from flipback.app._reports import Moved, Restored
from flipback.assignment import Cohort
from flipback.config import candidate_weight
from flipback.control import (
    REASON,
    AcceptedPlans,
    Asked,
    Ground,
    KillSwitch,
    Moves,
    Order,
    Restoration,
    copies_in,
    gate_of,
    in_force,
    readmit_cohort,
    release_command,
    restore_flag,
    rollout_command,
)
from flipback.errors import FlagWriteError, RouteError
from flipback.latch import Latch, scope_of
from flipback.plan import RolloutPlan, lasting, nearest
from flipback.ports import (
    EntryKind,
    FlagChange,
    FlagState,
    FlagWriter,
    Intent,
    LedgerNote,
)
from flipback.rollout import (
    By,
    Move,
    MoveRefused,
    Phase,
    phase_of,
    refusal,
)
from flipback.steering import (
    DEADLINE,
    NextMove,
    doubts_of,
    elapsed,
    first,
    is_late,
    onward,
    resumed,
)
from flipback.verdict import Gate


_GIVE_A_SPLIT = "give the flag a split: `flipback check` says how"


class Desk:
    """Starts, promotes, pauses, resumes and finishes, as a person asks."""

    def __init__(self, ground: Ground, switch: KillSwitch) -> None:
        self._ground = ground
        self._switch = switch
        self._moves = Moves(ground)
        self._accepted = AcceptedPlans()

    def start(self, route: str, *, actor: str, reason: str) -> Moved:
        """Begin a new attempt at the plan's first stage."""
        stands = self._stands(route)
        fresh = replace(stands, plan=stands.written)
        no = self._may_start(fresh, reason)
        if no is not None:
            return self._refused(fresh, no)
        return self._carry_out(fresh, first(fresh.plan), actor=actor, why=reason)

    def promote(
        self, route: str, *, actor: str, accept: Collection[Cohort], reason: str
    ) -> Moved:
        """Go on to the next stage: the gate passes, or a person takes the doubt."""
        stands = self._stands(route)
        if problem := refusal(stands.phase, Move.PROMOTE, By.PERSON):
            paused = stands.phase is Phase.PAUSED
            remedy = rollout_command("resume", route) if paused else ""
            return self._refused(stands, No(why=problem, remedy=remedy))
        analysis, gate = self._judged(stands, accept)
        no = may_promote(stands, analysis, gate, accept, reason)
        if no is not None:
            return replace(self._refused(stands, no), gate=gate)
        why = doubt_taken(gate, accept, reason)
        asked = onward(stands.plan, stands.record, by=By.PERSON, why=why)
        return self._carry_out(stands, asked, actor=actor, why=why)

    def pause(self, route: str, *, actor: str, reason: str) -> Moved:
        """Keep the split as it is until somebody resumes; the guard goes on."""
        stands = self._stands(route)
        asked = NextMove(
            move=Move.PAUSE,
            by=By.PERSON,
            to=Phase.PAUSED,
            stage=stands.record.stage,
            weight=None,
            why=reason,
        )
        return self._carry_out(stands, asked, actor=actor, why=reason)

    def resume(
        self, route: str, *, actor: str, accept_plan: bool, reason: str
    ) -> Moved:
        """Go on from the split as it is now, by the plan that was accepted."""
        stands = self._stands(route)
        if problem := refusal(stands.phase, Move.RESUME, By.PERSON):
            return self._refused(stands, No(why=problem))
        if stands.loosened and not accept_plan:
            return self._refused(stands, not_accepted(stands))
        plan = stands.written if accept_plan else stands.plan
        flag = self._moves.flag(plan)
        if not flag.split:
            return self._refused(stands, _no_split(stands))
        asked = resumed(plan, stands.record, candidate_weight(plan, flag))
        going = replace(stands, plan=plan)
        doubts = doubts_of(self._judged(going, ())[0])
        late = is_late(going.plan, going.record, self._now())
        return self._carry_out(
            going,
            asked,
            actor=actor,
            why=reason,
            flag=flag,
            overruled=(*doubts, DEADLINE) if late else doubts,
        )

    def finish(self, route: str, *, actor: str, reason: str) -> Moved:
        """Give the candidate to everybody, without a holdback; the attempt is over."""
        stands = self._stands(route)
        if problem := refusal(stands.phase, Move.FINISH, By.PERSON):
            return self._refused(stands, No(why=problem))
        left = stands.plan.watch - elapsed(stands.record, self._now())
        if left > timedelta(0) and not reason:
            watch = lasting(stands.plan.watch)
            why = f"it is watched for {watch}, {lasting(left)} of that is left"
            return self._refused(stands, No(why=why, remedy=or_reason("finish", route)))
        asked = NextMove(
            move=Move.FINISH,
            by=By.PERSON,
            to=Phase.FINISHED,
            stage=stands.record.stage,
            weight=100.0,
            why=reason,
        )
        return self._carry_out(stands, asked, actor=actor, why=reason)

    def restore(self, route: str, *, actor: str, reason: str) -> Restored:
        """Put the rules back that a kill took away, with nobody on the candidate.

        Args:
            route: The route, or a cohort of it as its latch is named.
            actor: Who.
            reason: Why.
        """
        ground, stands = self._ground, self._stands(scope_of(route).route)
        latch = ground.newest_latch(route)
        if ground.writer is None:
            return Restored(plan=stands.written, refused="nothing can write the flag")
        if not latch.trip:
            flag = self._offered(stands.written)
            why = f"{route} was never killed, so there is nothing to restore"
            remedy = "" if flag is None or flag.split else _GIVE_A_SPLIT
            return Restored(plan=stands.written, refused=why, remedy=remedy, flag=flag)
        intent = Intent(id=secrets.token_hex(8), actor=actor, reason=reason)
        done = self._put_back(stands.written, latch, ground.writer, intent)
        if done.change is not None:
            note = _restored(stands, done.change, actor, reason, self._at())
            self._moves.note(replace(note, route=latch.route))
        return Restored(
            plan=stands.written,
            refused=done.refused,
            remedy=done.remedy,
            flag=self._offered(stands.written),
            changed=done.change is not None and done.change.changed,
        )

    def _put_back(
        self, plan: RolloutPlan, latch: Latch, writer: FlagWriter, intent: Intent
    ) -> Restoration:
        """Restore what a kill of everybody took, or readmit a cohort to the split."""
        ground = self._ground
        if scope_of(latch.route).cohort:
            return readmit_cohort(
                plan,
                latch,
                writer=writer,
                intent=intent,
                newest=lambda: ground.newest_latch(latch.route),
            )
        return restore_flag(
            plan,
            latch,
            writer=writer,
            entries=ground.ledger.entries(),
            intent=intent,
            killed=self._switch.switches[plan.route].standing.killed,
            copies=lambda: copies_in(ground.store),
        )

    def _stands(self, route: str) -> Stands:
        plan = self._ground.plans.get(route)
        if plan is None:
            hint = nearest(route, self._ground.plans, otherwise="add a plan for it")
            raise RouteError(f"no plan is about route {route!r}; {hint}")
        self._switch.refresh()
        record = self._ground.store.rollout(route)
        accepted = self._accepted.of(plan, record)
        return Stands(
            written=plan,
            plan=accepted.plan,
            loosened=accepted.loosened,
            record=record,
            latch=self._ground.newest_latch(route),
        )

    def _may_start(self, stands: Stands, reason: str) -> No | None:
        latch, route = stands.latch, stands.plan.route
        if latch.held:
            why = f"{route} is killed: trip {latch.trip}, {latch.reason}"
            return No(why=why, remedy=release_command(route, latch.trip))
        if problem := refusal(stands.phase, Move.START, By.PERSON):
            return No(why=problem)
        if reason:
            return None
        return (
            self._too_often(stands) or self._too_soon(stands) or self._too_low(stands)
        )

    def _too_often(self, stands: Stands) -> No | None:
        tries, most = stands.record.tries, stands.plan.max_attempts
        version = stands.plan.candidate_version or ""
        if tries < most or version != stands.record.version:
            return None
        return No(
            why=f"this version of {stands.plan.candidate} has had {tries} attempts, "
            f"and max_attempts is {most}",
            remedy="give the plan another `candidate_version`, or say why it is worth "
            f"one more: {rollout_command('start', stands.plan.route, REASON)}",
        )

    def _too_soon(self, stands: Stands) -> No | None:
        left = self._left(stands.latch, stands.plan.cool_down)
        if not stands.latch.trip or left <= timedelta(0):
            return None
        return No(
            why=f"{stands.plan.route} cools down after trip {stands.latch.trip}, "
            f"{lasting(left)} left",
            remedy=or_reason("start", stands.plan.route),
        )

    def _too_low(self, stands: Stands) -> No | None:
        """Refuse to take subjects back to control without a word."""
        flag = self._offered(stands.plan)
        weight = None if flag is None else candidate_weight(stands.plan, flag)
        least = first(stands.plan).weight or 0.0
        if weight is None or weight <= least:
            return None
        return No(
            why=f"{stands.plan.candidate} serves {weight:g} % of subjects, and a start "
            f"gives it {least:g} %",
            remedy=or_reason("start", stands.plan.route),
        )

    def _left(self, latch: Latch, cool_down: timedelta) -> timedelta:
        """Return how long a latch still cools down; nothing, where nobody can tell."""
        try:
            until = datetime.fromisoformat(latch.at) + cool_down
            return until - self._ground.clock.now()
        except (OverflowError, TypeError, ValueError):
            return timedelta(0)

    def _judged(
        self, stands: Stands, accept: Collection[Cohort]
    ) -> tuple[Analysis, Gate]:
        standing = self._switch.switches[stands.plan.route].standing
        now = self._now()
        evidence = self._ground.store.evidence(
            stands.plan.route, attempt=standing.attempt, trip=standing.era
        )
        analysis = analyze(
            stands.plan,
            evidence,
            now=now,
            without=standing.killed,
            renewal=Renewal.of(stands.record),
        )
        asked = Asked(
            plan=stands.plan,
            record=stands.record,
            phase=stands.phase,
            weight=candidate_weight(stands.plan, self._moves.flag(stands.plan)),
            without=standing.killed,
            now=now,
        )
        return analysis, gate_of(asked, evidence, analysis, accepted=accept)

    def _carry_out(
        self,
        stands: Stands,
        asked: NextMove,
        *,
        actor: str,
        why: str,
        flag: FlagState | None = None,
        overruled: tuple[str, ...] = (),
    ) -> Moved:
        order = Order(
            plan=stands.plan,
            record=stands.record,
            move=asked,
            actor=actor,
            why=why,
            found=None if flag is None else in_force(flag),
            overruled=overruled,
        )
        try:
            outcome = self._moves.carry_out(order)
        except MoveRefused as refused:
            return self._refused(stands, No(why=str(refused)))
        return Moved(
            record=outcome.record,
            phase=phase_of(outcome.record, stands.latch),
            plan=stands.plan,
            flag=self._offered(stands.plan),
            recorded=outcome.recorded,
            pending=outcome.pending,
        )

    def _refused(self, stands: Stands, no: No) -> Moved:
        return Moved(
            record=stands.record,
            phase=stands.phase,
            plan=stands.plan,
            refused=no.why,
            remedy=no.remedy,
            flag=self._offered(stands.plan),
        )

    def _offered(self, plan: RolloutPlan) -> FlagState | None:
        try:
            return self._moves.flag(plan)
        except (FlagWriteError, MoveRefused):
            return None

    def _now(self) -> float:
        return self._ground.clock.now().timestamp()

    def _at(self) -> str:
        return self._ground.clock.now().isoformat()


def _no_split(stands: Stands) -> No:
    return No(
        why=f"flag {stands.plan.flag!r} has no split to go on from",
        remedy="give it one in the flag service, with the candidate at 0 or more",
    )


def _restored(
    stands: Stands, change: FlagChange, actor: str, reason: str, at: str
) -> LedgerNote:
    return LedgerNote(
        kind=EntryKind.RESTORE,
        route=stands.plan.route,
        at=at,
        text=reason,
        actor=actor,
        attempt=stands.record.attempt,
        before=change.before.token,
        after=change.after.token,
    )
