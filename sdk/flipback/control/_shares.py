"""Ask the flag service, for each new epoch, what share of subjects it gives out."""

from collections.abc import Mapping
from dataclasses import replace

from flipback.config import flag_ref, variant_named_by
from flipback.exposure import Epoch
from flipback.plan import RolloutPlan
from flipback.ports import FlagState, FlagWriter
from flipback.routing import Faults


NO_SHARE = "share of the split not known"
_UNKNOWN: Mapping[str, float] = {}


class Shares:
    """Adds the candidate's share to epochs, by rule, once per epoch and process.

    For the thread that flushes. Where it cannot be known, as without a writer or
    while the service cannot be read, an epoch has none, and nobody compares the
    split that was seen with it.
    """

    def __init__(
        self,
        plans: Mapping[str, RolloutPlan],
        writer: FlagWriter | None,
        faults: Faults,
    ) -> None:
        self._plans = plans
        self._writer = writer
        self._faults = faults
        self._known: dict[str, Mapping[str, float]] = {}

    def added(self, epoch: Epoch) -> Epoch:
        """Return the epoch with its shares; with none where they are not known."""
        shares = self._known.get(epoch.digest)
        if shares is None:
            shares = self._known[epoch.digest] = self._asked(epoch)
        return replace(epoch, shares=shares) if shares else epoch

    def _asked(self, epoch: Epoch) -> Mapping[str, float]:
        plan = self._plans.get(epoch.route)
        if self._writer is None or plan is None or not epoch.flag_version:
            return _UNKNOWN
        try:
            state = self._writer.read(flag_ref(plan))
            if state.version.token != epoch.flag_version:
                return _UNKNOWN
            return _shares(plan, state)
        except Exception as error:  # noqa: BLE001 - evidence does not wait for it
            self._faults.note(epoch.route, NO_SHARE, error)
            return _UNKNOWN


def _shares(plan: RolloutPlan, state: FlagState) -> Mapping[str, float]:
    found = {rule: _share(plan, state, split) for rule, split in state.splits.items()}
    return {rule: share for rule, share in found.items() if share is not None}


def _share(
    plan: RolloutPlan, state: FlagState, split: Mapping[str, int]
) -> float | None:
    """Return the candidate's share of both arms, None where one of them is absent."""
    weights = {plan.control: 0, plan.candidate: 0}
    for name, weight in split.items():
        variant = variant_named_by(plan, state.variants.get(name))
        if variant in weights:
            weights[variant] += weight
    if not all(weights.values()):
        return None
    return weights[plan.candidate] / sum(weights.values())
