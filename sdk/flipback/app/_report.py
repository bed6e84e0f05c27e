"""Gather from store, ledger and plan what a report tells."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TypeVar

from flipback.app._reports import RouteStatus
from flipback.app._status import StatusReader
from flipback.config import candidate_weight, variant_named_by
from flipback.control import Ground, KillSwitch
from flipback.control._course import Spot, look_as_point
from flipback.course import CoursePoint
from flipback.errors import LedgerError, RouteError, StoreError
from flipback.latch import scope_of
from flipback.plan import nearest
from flipback.ports import EntryKind, LedgerEntry
from flipback.report import FindingKey, ReportData
from flipback.rollout import Phase, RolloutRecord


_T = TypeVar("_T")


def report_on(
    ground: Ground, switch: KillSwitch, route: str, attempt: int | None = None
) -> ReportData:
    """Return what there is to tell of an attempt; the kill switch was refreshed before.

    What cannot be read is a problem that is told, and the rest is told all the same.

    Args:
        ground: Store, ledger and plans.
        switch: Knows where every route stands.
        route: The route.
        attempt: Which run of its rollout, the latest if not given.

    Raises:
        RouteError: No plan is about the route, or it has had no such attempt.
    """
    plan = ground.plans.get(route)
    if plan is None:
        hint = nearest(route, ground.plans, otherwise="add a plan for it")
        raise RouteError(f"no plan is about route {route!r}; {hint}")
    status = StatusReader(ground, switch).status(plan)
    record = status.record or RolloutRecord(route=route)
    asked = record.attempt if attempt is None else attempt
    if not 1 <= asked <= record.attempt:
        raise RouteError(
            f"{route} has had no attempt {asked}; name one of 1 to {record.attempt}"
        )
    return _Gatherer(ground, switch, status).gathered(record, asked)


class _Gatherer:
    """Reads what the status of a route does not have, and counts what cannot be."""

    def __init__(self, ground: Ground, switch: KillSwitch, status: RouteStatus) -> None:
        self._ground = ground
        self._switch = switch
        self._status = status
        self._problems = list(status.problems)

    def gathered(self, record: RolloutRecord, attempt: int) -> ReportData:
        """Return the data of one attempt."""
        status, route = self._status, self._status.plan.route
        is_latest = attempt == record.attempt
        entries = tuple(_of_attempt(self._entries(route), attempt))
        course = tuple(self._course(route, attempt))
        return ReportData(
            plan=status.plan,
            attempt=attempt,
            latest=record.attempt,
            phase=status.phase if is_latest and self._is_known() else None,
            made_at=self._ground.clock.now(),
            version=version("flipback"),
            record=record if is_latest and record.revision else None,
            latch=status.latch if is_latest else None,
            killed_cohorts=status.killed_cohorts if is_latest else (),
            course=course,
            last_look=self._last_look(course) if is_latest else None,
            silent=_silent(status) if is_latest else {},
            distrust=_distrust(status) if is_latest else (),
            excluded=dict(status.analysis.excluded)
            if is_latest and status.analysis is not None
            else {},
            waits=_waits(status) if is_latest else (),
            weight=_weight(status) if is_latest else None,
            entries=entries,
            problems=tuple(dict.fromkeys(self._problems)),
        )

    def _is_known(self) -> bool:
        """Return whether the store, which has the record, could be read."""
        return self._status.processes is not None

    def _course(self, route: str, attempt: int) -> Sequence[CoursePoint]:
        store = self._ground.store
        return self._read(lambda: store.course(route, attempt=attempt), ())

    def _last_look(self, course: Sequence[CoursePoint]) -> CoursePoint | None:
        """Return the evidence as it is now, all findings of it; None where none is."""
        status, route = self._status, self._status.plan.route
        if status.analysis is None:
            return None
        standing = self._switch.switches[route].standing
        held, store = status.latch.held, self._ground.store
        evidence = self._read(
            lambda: store.evidence(
                route,
                attempt=standing.attempt,
                trip=standing.era - 1 if held else standing.era,
            ),
            None,
        )
        if evidence is None:
            return None
        ended = standing.phase is Phase.ROLLED_BACK and course
        at = course[-1].at if ended else self._ground.clock.now().timestamp()
        spot = Spot(
            attempt=standing.attempt,
            trip=standing.era,
            phase=standing.phase,
            stage=standing.stage,
            weight=_weight(status),
            at=at,
        )
        point = look_as_point(status.plan, spot, evidence, status.analysis)
        seen = point.control_exposures or point.candidate_exposures
        return point if seen else None

    def _entries(self, route: str) -> Sequence[LedgerEntry]:
        """Return what any host's ledger says of a route, oldest first, each once."""
        found: dict[str, LedgerEntry] = {}
        try:
            own = self._ground.ledger.entries()
        except LedgerError as error:
            self._problems.append(f"ledger: {error}")
            own = ()
        nothing: Sequence[LedgerEntry] = ()
        for entry in (*own, *self._read(self._mirrored, nothing)):
            if route in {entry.route, scope_of(entry.route).route}:
                found.setdefault(entry.digest, entry)
        return sorted(found.values(), key=lambda entry: (entry.at, entry.number))

    def _mirrored(self) -> Sequence[LedgerEntry]:
        store = self._ground.store
        return [entry for name in store.ledgers() for entry in store.mirrored(name)]

    def _read(self, read: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return read()
        except StoreError as error:
            if not any(str(error) in problem for problem in self._problems):
                self._problems.append(f"store: {error}")
            return otherwise


def _of_attempt(entries: Sequence[LedgerEntry], attempt: int) -> Sequence[LedgerEntry]:
    """Return what happened from the start of an attempt to that of the next one.

    What happened before any was started is told with the first.
    """
    starts = {
        entry.attempt: place
        for place, entry in enumerate(entries)
        if entry.kind is EntryKind.START
    }
    later = [place for number, place in starts.items() if number > attempt]
    end = min(later, default=len(entries))
    if attempt == 1:
        return entries[:end]
    if attempt not in starts:
        return [entry for entry in entries if entry.attempt == attempt]
    return entries[starts[attempt] : end]


def _silent(status: RouteStatus) -> dict[FindingKey, str]:
    if status.analysis is None:
        return {}
    return {
        FindingKey(each.place, each.measure, each.cohort): each.note
        for each in status.analysis.findings
        if each.note
    }


def _distrust(status: RouteStatus) -> tuple[str, ...]:
    if status.analysis is None:
        return ()
    return (*status.analysis.frozen, *status.analysis.faults)


def _waits(status: RouteStatus) -> tuple[str, ...]:
    return () if status.gate is None else status.gate.waits


def _weight(status: RouteStatus) -> float | None:
    """Return the percent who are offered the candidate: none where a kill left that."""
    flag, plan = status.flag, status.plan
    if flag is None:
        return None
    weight = candidate_weight(plan, flag)
    serves = flag.variants.get(flag.default_variant or "")
    if weight is None and not flag.split:
        return 0.0 if variant_named_by(plan, serves) == plan.control else None
    return weight
