"""The plan that an attempt goes by: a looser one in the files needs a person's word."""

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from flipback.plan import RolloutPlan, loosened
from flipback.rollout import RolloutRecord


_KEYS = TypeAdapter(dict[str, object])
_UNREADABLE = "the plan that was accepted cannot be read by this version of flipback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The plan in force.

    Attributes:
        plan: What decisions go by.
        loosened: What the plan in the files promises less of; empty where it is the
            one in force.
    """

    plan: RolloutPlan
    loosened: tuple[str, ...] = ()


class AcceptedPlans:
    """Tells which plan is in force, remembering what it compared last."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, RolloutPlan, Accepted]] = {}

    def of(self, plan: RolloutPlan, record: RolloutRecord) -> Accepted:
        """Return the plan in force, given the one in the files.

        That is the one in the files, unless it promises less than the one that the
        attempt was started with, or that a person has accepted since; or unless it
        was replaced since this process was started with it.
        """
        known = self._known.get(plan.route)
        if known is not None and known[0] == record.plan and known[1] is plan:
            return known[2]
        found = _compared(plan, record)
        self._known[plan.route] = (record.plan, plan, found)
        return found


def _compared(plan: RolloutPlan, record: RolloutRecord) -> Accepted:
    if not record.plan or record.plan == plan.model_dump_json():
        return Accepted(plan=plan)
    before = _plan_in(record.plan)
    if before is None:
        return Accepted(plan=plan, loosened=(_UNREADABLE,))
    if plan.digest in record.replaced:
        return Accepted(plan=before)
    less = loosened(before, plan)
    return Accepted(plan=before if less else plan, loosened=less)


def _plan_in(dumped: str) -> RolloutPlan | None:
    """Return the accepted plan; None where it cannot be read.

    What another version adds to a plan is left out: while a rollout runs, processes
    of two versions may take turns.
    """
    try:
        written = _KEYS.validate_json(dumped)
        known = {k: v for k, v in written.items() if k in RolloutPlan.model_fields}
        return RolloutPlan.model_validate(known)
    except ValidationError:
        return None
