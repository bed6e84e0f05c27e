"""What a process obeys, given latches, break-glass and the rollout's record; pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from flipback.assignment import Cohort, Reason
from flipback.control._force import is_forced
from flipback.latch import Latch, scope_of
from flipback.plan import RolloutPlan
from flipback.rollout import RolloutRecord, phase_of
from flipback.routing import Standing
from flipback.steering import shadow_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a process knows about all routes.

    Attributes:
        latches: Latches by their names, those of cohorts among them.
        records: Rollout records by route.
        forced: Routes that break-glass forces to control.
        complete: Ledger and store have both been read.
        stopped: Nobody would see the next kill any more.
    """

    latches: Mapping[str, Latch]
    records: Mapping[str, RolloutRecord]
    forced: Collection[str]
    complete: bool
    stopped: bool


def standing_of(plan: RolloutPlan, known: Known, before: Standing) -> Standing:
    """Return a route's standing; the very same where nothing has changed."""
    route = plan.route
    latch = known.latches.get(route, Latch(route=route))
    record = known.records.get(route, RolloutRecord(route=route))
    cohorts = _cohort_latches(route, known.latches)
    phase = phase_of(record, latch)
    now = replace(
        before,
        override=_override(route, latch, known),
        trip=latch.trip,
        era=latch.trip + sum(each.trip - each.held for each in cohorts.values()),
        attempt=record.attempt,
        stage=record.stage,
        phase=phase,
        killed=frozenset(cohort for cohort, each in cohorts.items() if each.held),
        shadow=shadow_share(plan, record, phase),
    )
    return before if now == before else now


def _override(route: str, latch: Latch, known: Known) -> Reason | None:
    if known.stopped:
        return Reason.NOT_READY
    if is_forced(route, known.forced):
        return Reason.FORCED
    if latch.held:
        return Reason.KILLED
    return None if known.complete else Reason.NOT_READY


def _cohort_latches(route: str, latches: Mapping[str, Latch]) -> Mapping[Cohort, Latch]:
    scopes = ((scope_of(name), latch) for name, latch in latches.items())
    return {s.cohort: latch for s, latch in scopes if s.cohort and s.route == route}
