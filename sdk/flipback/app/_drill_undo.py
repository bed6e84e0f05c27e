"""Put in order what a drill has changed, whoever made it and wherever it broke off."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from flipback.app._drill import DRILL_ROUTE, drill_under_way
from flipback.config import candidate_weight, flag_ref, variant_named_by
from flipback.control import Ground
from flipback.errors import FlagProblem, FlagWriteError, FlipbackError
from flipback.latch import Latch
from flipback.plan import RolloutPlan
from flipback.ports import (
    EntryKind,
    FlagState,
    FlagWriter,
    Intent,
    LedgerEntry,
    LedgerNote,
)
from flipback.rollout import Phase, RolloutRecord


CLEAN = "flipback drill --clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What was put in order, and what could not be; a sentence each."""

    done: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class Undo:
    """Releases the drill's kill, restores its flag exactly, and ends its record.

    Nothing but the drill's own route and flag is touched, and the flag only where it
    is as a drill leaves it: what a person made of it since is theirs.
    """

    def __init__(self, ground: Ground, writer: FlagWriter, plan: RolloutPlan) -> None:
        self._ground = ground
        self._writer = writer
        self._plan = plan

    def latch(self) -> Latch:
        """Return the greatest copy of the drill's latch."""
        return self._ground.newest_latch(DRILL_ROUTE)

    def is_due(self) -> bool:
        """Return whether a drill has left anything behind."""
        record = self._ground.store.rollout(DRILL_ROUTE)
        return bool(drill_under_way(record)) or self.latch().held

    def prepare(self, drill: str, before: FlagState, *, actor: str) -> None:
        """Remember durably how the flag is, before anything of it is changed."""
        self._ground.ledger.note(
            LedgerNote(
                kind=EntryKind.START,
                route=DRILL_ROUTE,
                at=self._ground.clock.now().isoformat(),
                text=f"{drill} on flag {self._plan.flag}",
                actor=actor,
                before=before.version.token,
                snapshot=before.raw,
            )
        )

    def announce(self, drill: str, *, actor: str) -> bool:
        """Tell every process that a drill is on; False if somebody else was first."""
        known = self._ground.store.rollout(DRILL_ROUTE)
        trip = self.latch().trip
        record = replace(known, phase=Phase.CANARY, trip=trip, why=drill)
        return self._replaced(record, actor)

    def after(self, before: FlagState, *, actor: str) -> Undone:
        """Put in order what a drill of this process has changed."""
        return self._all(before, actor)

    def after_another(self, *, actor: str) -> Undone:
        """Put in order what a drill has left that nobody makes any more."""
        return self._all(self._snapshot(), actor)

    def _all(self, before: FlagState | None, actor: str) -> Undone:
        done: list[str] = []
        left: list[str] = []
        for act in (self._release(actor), self._restore(before, actor)):
            try:
                done.extend(act)
            except FlipbackError as error:
                left.append(str(error))
        if not left:
            left.extend(self._end(actor))
        return Undone(done=tuple(done), left=tuple(left))

    def _release(self, actor: str) -> Iterator[str]:
        latch = self.latch()
        if not latch.held:
            return
        at = self._ground.clock.now().isoformat()
        released = latch.released(latch.trip, reason="drill", actor=actor, at=at)
        self._ground.ledger.release(released)
        self._ground.store.put_latch(released)
        yield f"trip {latch.trip} of {DRILL_ROUTE} is released"

    def _restore(self, before: FlagState | None, actor: str) -> Iterator[str]:
        ref = flag_ref(self._plan)
        now = self._writer.read(ref)
        if not self._is_as_drilled(now) or (before and now.version == before.version):
            return
        if before is None:
            raise FlagWriteError(
                f"flag {ref.key!r} is as a drill left it, and no ledger knows how it "
                "was before; put its split back by hand",
                kind=FlagProblem.NOT_FOUND,
            )
        intent = Intent(id=f"restore-{now.version.token}", actor=actor, reason="drill")
        self._writer.restore(before, expect=now.version, intent=intent)
        yield f"flag {ref.key!r} is restored as it was"

    def _is_as_drilled(self, flag: FlagState) -> bool:
        """Return whether the flag is as armed for a drill, or as its kill leaves it."""
        serves = flag.variants.get(flag.default_variant or "")
        if not flag.split:
            return variant_named_by(self._plan, serves) == self._plan.control
        return candidate_weight(self._plan, flag) in {0.0, 100.0}

    def _end(self, actor: str) -> Iterator[str]:
        known = self._ground.store.rollout(DRILL_ROUTE)
        if not drill_under_way(known):
            return
        ended = replace(known, phase=Phase.FINISHED, why="")
        if not self._replaced(ended, actor):
            yield "the store has not taken note of the end of the drill"

    def _replaced(self, record: RolloutRecord, actor: str) -> bool:
        now = self._ground.clock.now().timestamp()
        following = replace(
            record, revision=record.revision + 1, actor=actor, since=now
        )
        return self._ground.store.replace_rollout(following, lease=None)

    def _snapshot(self) -> FlagState | None:
        """Return the flag as it was before the last drill; None if nobody knows."""
        drill = drill_under_way(self._ground.store.rollout(DRILL_ROUTE))
        noted = [each for each in self._entries() if each.note.startswith(drill)]
        if not noted:
            return None
        now = self._writer.read(flag_ref(self._plan))
        version = replace(now.version, token=noted[-1].before)
        return replace(now, raw=noted[-1].snapshot, version=version)

    def _entries(self) -> Iterator[LedgerEntry]:
        """Yield what ledgers know of drills; the store has those of other hosts."""
        store = self._ground.store
        copies = [store.mirrored(name) for name in store.ledgers()]
        for entry in chain(*copies, self._ground.ledger.entries()):
            if entry.route == DRILL_ROUTE and entry.kind is EntryKind.START:
                yield entry
