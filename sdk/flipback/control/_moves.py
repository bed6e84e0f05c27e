"""Move a rollout: first the record says what is wanted, then the flag is brought there.

    1. read the flag, then the latch: a kill that the flag shows is in the latch too
    2. record: the next stage, and the split that is wanted, `pending`
    3. flag: the split, only from the version that was read
    4. record: the split is acknowledged, and the stage begins
    5. ledger: who, what, why, and the versions before and after

After a crash between 2 and 4 whoever comes next finds `pending`, and the flag as it was
before (then it is written), as it is wanted (then it is acknowledged), or as neither:
then a person has edited it, and the rollout pauses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flipback.config import candidate_weight, flag_ref
from flipback.control._ground import Ground
from flipback.control._lost import after_lost
from flipback.control._order import (
    Order,
    demand_unedited,
    following_of,
    in_force,
    not_renewed,
    said,
    wanted,
)
from flipback.errors import FlagProblem, FlagWriteError, LedgerError
from flipback.plan import RolloutPlan
from flipback.ports import (
    EntryKind,
    FlagChange,
    FlagState,
    Intent,
    Lease,
    LedgerNote,
)
from flipback.rollout import By, Move, MoveRefused, Phase, RolloutRecord
from flipback.steering import EDITED, stage_reached


MEANWHILE = "somebody else moved the rollout meanwhile; look at it again"
KILLED = "the route was killed"
_NO_WRITER = (
    "nothing can write the flag from here; move the split in the flag service by hand"
)
_ONWARD = frozenset({Move.ADVANCE, Move.PROMOTE, Move.FINISH})
_KINDS: Mapping[Move, EntryKind] = {
    Move.START: EntryKind.START,
    Move.ADVANCE: EntryKind.ADVANCE,
    Move.PROMOTE: EntryKind.PROMOTE,
    Move.PAUSE: EntryKind.PAUSE,
    Move.RESUME: EntryKind.RESUME,
    Move.FINISH: EntryKind.FINISH,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an order.

    Attributes:
        record: Where the rollout stands now.
        recorded: The ledger has it.
        pending: Why the flag is not there yet, empty where it is; it is tried again.
    """

    record: RolloutRecord
    recorded: bool = True
    pending: str = ""


class Moves:
    """Carries out moves; every write is a compare-and-set on what was read.

    All raise `MoveRefused` where the rollout or the flag is not as the asker thought,
    `StoreError` and `FlagWriteError` where nothing could be read or written.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def flag(self, plan: RolloutPlan) -> FlagState:
        """Return the flag as its service has it now."""
        if self._ground.writer is None:
            raise MoveRefused(_NO_WRITER)
        return self._ground.writer.read(flag_ref(plan))

    def carry_out(self, order: Order) -> Outcome:
        """Move the rollout, and bring the flag to where it is wanted."""
        asked = order.move
        if asked.move is None:
            return Outcome(record=order.record)
        flag = None if asked.weight is None else self.flag(order.plan)
        latch = self._ground.newest_latch(order.plan.route)
        following = following_of(order, asked.move, latch, now=self._now())
        if asked.move is Move.START:
            entries = self._ground.ledger.entries()
            following = after_lost(following, order.record, entries)
        if flag is not None and asked.weight is not None:
            if asked.move in _ONWARD:
                demand_unedited(order.record, flag)
            pending = wanted(order.plan, flag, asked.weight)
            following = replace(following, pending=pending, split=in_force(flag))
            if asked.move is not Move.START and following.pending == following.split:
                following = not_renewed(following, order.record)
        self._replace(following, order.lease)
        if flag is None:
            return Outcome(record=following, recorded=self._note(order, following))
        return self._brought(order, following, flag)

    def settle(
        self, plan: RolloutPlan, record: RolloutRecord, lease: Lease | None
    ) -> RolloutRecord:
        """Finish what a crash or an outage has left pending.

        Where somebody has paused since, it is acknowledged and not written.
        """
        if not record.pending:
            return record
        flag, goes_on = self.flag(plan), record.phase is not Phase.PAUSED
        if not goes_on and in_force(flag) != record.pending:
            return record
        settled, change = self._converge(plan, record, flag, lease)
        if settled.phase is record.phase:
            # Whoever left it undone may have died before it wrote that down.
            text = f"stage {record.stage + 1}, left pending and finished: {record.why}"
            entry = self._entry(EntryKind.FLAG_WRITE, settled, change, text=text)
            self.note(entry)
        return settled

    def took_over(
        self, record: RolloutRecord, plan: RolloutPlan, lease: Lease | None
    ) -> RolloutRecord:
        """Let the attempt go by another plan, which promises no less."""
        weight = candidate_weight(plan, self.flag(plan))
        before = RolloutPlan.digest_of(record.plan)
        runs = record.phase is Phase.CANARY and weight is not None
        following = replace(
            record,
            revision=record.revision + 1,
            plan=plan.model_dump_json(),
            replaced=(*record.replaced, before),
            stage=stage_reached(plan, weight) if runs and weight else record.stage,
        )
        self._replace(following, lease)
        self.note(
            LedgerNote(
                kind=EntryKind.EPOCH,
                route=plan.route,
                at=self._at(),
                text=f"the plan was changed; it is {plan.digest} now",
                attempt=record.attempt,
            )
        )
        return following

    def note(self, note: LedgerNote) -> bool:
        """Write to the ledger; False, said once, where it cannot be written."""
        try:
            self._ground.ledger.note(note)
        except LedgerError as error:
            self._ground.faults.note(note.route, "not in the ledger", error)
            return False
        return True

    def _brought(self, order: Order, record: RolloutRecord, flag: FlagState) -> Outcome:
        pending, change = "", None
        try:
            record, change = self._converge(order.plan, record, flag, order.lease)
        except FlagWriteError as error:
            pending = str(error)
        recorded = self._note(order, record, change)
        return Outcome(record=record, recorded=recorded, pending=pending)

    def _converge(
        self,
        plan: RolloutPlan,
        record: RolloutRecord,
        flag: FlagState,
        lease: Lease | None,
    ) -> tuple[RolloutRecord, FlagChange | None]:
        """Write the pending split, unless it is there, or a person wrote another."""
        self._demand_no_kill(record)
        change = None
        if in_force(flag) == record.split and record.split != record.pending:
            try:
                change = self._written(plan, record, flag)
            except FlagWriteError as error:
                flag = self.flag(plan)
                edited = in_force(flag) != record.split
                if error.kind is not FlagProblem.CONFLICT or not edited:
                    raise
        if change is None and in_force(flag) != record.pending:
            return self._edited(record, flag, lease), None
        acknowledged = replace(
            record,
            revision=record.revision + 1,
            split=record.pending,
            pending={},
            since=self._now(),
        )
        self._replace(acknowledged, lease)
        return acknowledged, change

    def _written(
        self, plan: RolloutPlan, record: RolloutRecord, flag: FlagState
    ) -> FlagChange:
        if self._ground.writer is None:
            raise MoveRefused(_NO_WRITER)
        intent = Intent(
            id=f"{record.route} {record.attempt}.{record.revision}",
            actor=record.actor,
            reason=record.why,
        )
        return self._ground.writer.set_split(
            flag_ref(plan), record.pending, expect=flag.version, intent=intent
        )

    def _edited(
        self, record: RolloutRecord, flag: FlagState, lease: Lease | None
    ) -> RolloutRecord:
        """Give way to a person who edited the split while it was being written."""
        paused = replace(
            record,
            revision=record.revision + 1,
            phase=Phase.PAUSED,
            resumes=record.phase if record.phase.runs else Phase.CANARY,
            split=in_force(flag),
            pending={},
            why=f"{EDITED} while it was being moved",
        )
        self._replace(paused, lease)
        self.note(
            LedgerNote(
                kind=EntryKind.PAUSE,
                route=record.route,
                at=self._at(),
                text=paused.why,
                actor=By.PLAN,
                attempt=record.attempt,
                stage=record.stage,
            )
        )
        return paused

    def _demand_no_kill(self, record: RolloutRecord) -> None:
        latch = self._ground.newest_latch(record.route)
        if latch.held or latch.trip > record.trip:
            raise MoveRefused(f"{KILLED} (trip {latch.trip}), so nothing is ramped")

    def _replace(self, record: RolloutRecord, lease: Lease | None) -> None:
        if not self._ground.store.replace_rollout(record, lease=lease):
            raise MoveRefused(MEANWHILE)

    def _note(
        self, order: Order, record: RolloutRecord, change: FlagChange | None = None
    ) -> bool:
        move = order.move.move
        if move is None or move is Move.ROLL_BACK:
            return True
        entry = self._entry(_KINDS[move], record, change, text=said(order))
        return self.note(replace(entry, actor=order.actor, findings=order.findings))

    def _entry(
        self,
        kind: EntryKind,
        record: RolloutRecord,
        change: FlagChange | None,
        *,
        text: str,
    ) -> LedgerNote:
        return LedgerNote(
            kind=kind,
            route=record.route,
            at=self._at(),
            text=text,
            actor=record.actor,
            attempt=record.attempt,
            stage=record.stage,
            before="" if change is None else change.before.token,
            after="" if change is None else change.after.token,
        )

    def _now(self) -> float:
        return self._ground.clock.now().timestamp()

    def _at(self) -> str:
        return self._ground.clock.now().isoformat()
