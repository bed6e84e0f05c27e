"""What a move asks for, and the record that follows; nothing is read or written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flipback.config import split_giving
from flipback.control._commands import REASON, rollout_command
from flipback.latch import Latch
from flipback.plan import RolloutPlan
from flipback.ports import FlagState, Lease
from flipback.rollout import Move, MoveRefused, RolloutRecord, moved
from flipback.steering import EDITED, NextMove, offered


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A move that somebody asks for.

    Attributes:
        plan: The plan that the attempt goes by.
        record: Where the rollout stands, as the asker has read it.
        move: What to do.
        actor: Who asks.
        why: Why, for people.
        found: The managed split as it was found and is accepted, None where it is
            not looked at.
        overruled: What asked for a pause, heard by a person who goes on all the same.
        findings: On which findings, a sentence each.
        lease: The asker's right to move; None for a person.
    """

    plan: RolloutPlan
    record: RolloutRecord
    move: NextMove
    actor: str
    why: str
    found: Mapping[str, int] | None = None
    overruled: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    lease: Lease | None = None


def following_of(
    order: Order, move: Move, latch: Latch, *, now: float
) -> RolloutRecord:
    """Return the record after a legal move.

    Args:
        order: What is asked for.
        move: Its move.
        latch: The greatest copy of the latch.
        now: Unix seconds.

    Raises:
        MoveRefused: The move is not legal where the rollout stands.
    """
    before = order.record
    following = moved(
        before,
        latch,
        move,
        by=order.move.by,
        to=order.move.to,
        stage=order.move.stage,
        actor=order.actor,
        why=order.why,
        now=now,
    )
    if move is Move.START:
        return _begun(following, before, order.plan, trip=latch.trip, now=now)
    if move is Move.RESUME and order.found is not None:
        return _resumed(following, order, order.found)
    return following


def in_force(flag: FlagState) -> Mapping[str, int]:
    """Return the managed split without the variants that nobody gets."""
    return offered(flag.split)


def _begun(
    record: RolloutRecord,
    before: RolloutRecord,
    plan: RolloutPlan,
    *,
    trip: int,
    now: float,
) -> RolloutRecord:
    """Return the record as the first of a new attempt."""
    version = plan.candidate_version or ""
    again = bool(before.tries) and version == before.version
    return replace(
        record,
        attempt=before.attempt + 1 if before.revision else before.attempt,
        trip=trip,
        started=now,
        replaced=(),
        overruled=(),
        renewals=0,
        renewed_at=now,
        plan=plan.model_dump_json(),
        version=version,
        tries=before.tries + 1 if again else 1,
    )


def not_renewed(record: RolloutRecord, before: RolloutRecord) -> RolloutRecord:
    """Return the record without a new beginning of what is weighed on its own.

    Where the split stays as it is, as from the last stage to the watch, no epoch begins
    either: nothing would count as seen since, however long one waits.
    """
    return replace(record, renewals=before.renewals, renewed_at=before.renewed_at)


def _resumed(
    record: RolloutRecord, order: Order, found: Mapping[str, int]
) -> RolloutRecord:
    """Return the record that goes on from the split that was found.

    A stage that is gone on with as it was has not begun anew. What is weighed on its
    own goes on in any case: whoever edited the split began its epoch before.
    """
    before = order.record
    same = before.stage == record.stage and found == before.split
    return replace(
        record,
        split=found,
        pending={},
        plan=order.plan.model_dump_json(),
        replaced=_replaced(before, order.plan),
        overruled=tuple(sorted({*before.overruled, *order.overruled})),
        since=before.since if same else record.since,
    )


def demand_unedited(record: RolloutRecord, flag: FlagState) -> None:
    """Refuse to move on from a split that somebody else has set."""
    if record.split and in_force(flag) not in (record.split, record.pending):
        go_on = (
            rollout_command("pause", record.route, REASON),
            rollout_command("resume", record.route),
        )
        raise MoveRefused(f"{EDITED}; to go on from it: {' and '.join(go_on)}")


def _replaced(before: RolloutRecord, plan: RolloutPlan) -> tuple[str, ...]:
    """Return the plans that the attempt does not go by any more."""
    known = (*before.replaced, RolloutPlan.digest_of(before.plan))
    return tuple(dict.fromkeys(each for each in known if each != plan.digest))


def wanted(plan: RolloutPlan, flag: FlagState, weight: float) -> Mapping[str, int]:
    """Return the split that gives the candidate a percentage, and control the rest.

    Raises:
        MoveRefused: The flag has no split, or one of other variants.
    """
    if not flag.split:
        raise MoveRefused(
            f"flag {plan.flag!r} has no split to move, as a kill leaves it; put the "
            f"rules back: {rollout_command('restore', plan.route, REASON)}"
        )
    split = split_giving(plan, flag, weight)
    others = {n for n, share in flag.split.items() if share} - (split or {}).keys()
    if split is not None and others:
        raise MoveRefused(
            f"the split of flag {plan.flag!r} also gives {', '.join(sorted(others))}; "
            "a rollout moves two variants, so set the others to 0 in the flag service"
        )
    if split is None:
        raise MoveRefused(
            f"flag {plan.flag!r} has no variant for {plan.control!r} or for "
            f"{plan.candidate!r}; run `flipback check`"
        )
    return offered(split)


def said(order: Order) -> str:
    """Return what is moved and why, for the ledger."""
    weight = order.move.weight
    offered = "" if weight is None else f", {weight:g} % of subjects"
    where = f"stage {order.move.stage + 1}{offered}"
    return f"{where}: {order.why}" if order.why else where
