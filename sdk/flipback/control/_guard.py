"""Look at the evidence, and flip the flag back when it proves harm."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from flipback.analysis import Analysis, PeakKey, analyze, describe
from flipback.booking import Booking
from flipback.control._delivery import KillReport
from flipback.control._flush import Flusher
from flipback.control._killswitch import EVALUATOR, Ground, KillSwitch
from flipback.histogram import Histogram
from flipback.plan import RolloutPlan
from flipback.ports import Intent
from flipback.routing import EpochBook, Standing
from flipback.verdict import Action, Finding


UNTRUSTED = "the data cannot be trusted, so nothing moves"
_Run = tuple[str, int, int, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at one route saw and did.

    Attributes:
        route: The route.
        analysis: What the evidence says; of an empty store: INCONCLUSIVE.
        kill: What the roll back reached, None where nothing was proven.
    """

    route: str
    analysis: Analysis
    kill: KillReport | None


class GuardrailEvaluator:
    """Analyses each route's evidence; any process may, and any may roll back.

    The evidence is read from the store, so all processes see the same, and a
    second process that proves the same harm makes no second trip.
    """

    def __init__(
        self,
        ground: Ground,
        switch: KillSwitch,
        flusher: Flusher,
        epochs: Mapping[str, EpochBook],
    ) -> None:
        self._ground = ground
        self._switch = switch
        self._flusher = flusher
        self._epochs = epochs
        self._peaks: dict[_Run, Mapping[PeakKey, float]] = {}
        self._untrusted: set[str] = set()
        self._freezing = [
            plan for plan in ground.plans.values() if Booking(plan).freezes
        ]

    def look(self) -> tuple[Look, ...]:
        """Flush, then look at every route once; roll back where harm is proven.

        Kills and releases are read first: what was observed before the last of
        them proves nothing any more.

        Raises:
            StoreError: The evidence cannot be read; nothing was decided.
        """
        self._prepare()
        return tuple(map(self._look, self._ground.plans.values()))

    def watch(self) -> None:
        """Look at every route, each whatever became of the others, and never raise."""
        self._prepare()
        for plan in self._ground.plans.values():
            try:
                self._look(plan, shown=False)
            except Exception as error:  # noqa: BLE001 - the other routes need a look
                self._ground.faults.note(plan.route, "no look at the evidence", error)

    def catch_up(self) -> None:
        """Take over what others have frozen, without a look; never raises."""
        for plan in self._freezing:
            self._freeze(plan, {})

    def _prepare(self) -> None:
        self._flusher.flush()
        self._switch.refresh()

    def _look(self, plan: RolloutPlan, *, shown: bool = True) -> Look:
        standing = self._switch.switches[plan.route].standing
        book = self._epochs.get(plan.route)
        comparison = None if book is None else book.comparison
        evidence = self._ground.store.evidence(
            plan.route,
            attempt=standing.attempt,
            trip=standing.trip,
            comparison=comparison,
        )
        run = (plan.route, standing.attempt, standing.trip, comparison)
        now = self._ground.clock.now().timestamp()
        peaks = self._peaks.get(run, {})
        analysis = analyze(plan, evidence, peaks=peaks, now=now, shown=shown)
        if analysis.action is Action.ROLL_BACK and not shown:
            analysis = analyze(plan, evidence, peaks=peaks, now=now)
        # Without a comparison of its own this process sees whichever is the latest.
        if comparison is not None:
            self._peaks[run] = analysis.peaks
        kill = self._act(plan, analysis, standing)
        if plan in self._freezing:
            self._freeze(plan, evidence.histograms)
        return Look(route=plan.route, analysis=analysis, kill=kill)

    def _act(
        self, plan: RolloutPlan, analysis: Analysis, standing: Standing
    ) -> KillReport | None:
        self._tell_of_doubt(plan.route, analysis)
        held = self._switch.latch(plan.route).held
        if analysis.action is not Action.ROLL_BACK or held:
            return None
        return self._roll_back(plan, analysis, standing)

    def _roll_back(
        self, plan: RolloutPlan, analysis: Analysis, standing: Standing
    ) -> KillReport:
        for finding in culprits(analysis):
            self._ground.events.verdict(plan.route, finding)
        intent = Intent(
            id=_intent(plan, standing),
            actor=EVALUATOR,
            reason="; ".join(map(describe, culprits(analysis))),
        )
        return self._switch.kill(plan.route, intent=intent, automatic=True)

    def _tell_of_doubt(self, route: str, analysis: Analysis) -> None:
        """Say that data cannot be trusted; it proves nothing, so it kills nothing."""
        if analysis.action is not Action.FREEZE:
            self._untrusted.discard(route)
            return
        why = "; ".join(analysis.frozen)
        self._ground.faults.note(route, UNTRUSTED, why)
        if route not in self._untrusted:
            self._untrusted.add(route)
            self._ground.events.freeze(route, why)

    def _freeze(self, plan: RolloutPlan, histograms: Mapping[str, Histogram]) -> None:
        """Freeze what control suffices for, and take over what others have frozen.

        All processes get what the first one froze, whatever the order of their
        looks, and so come to the same epoch.
        """
        book = self._epochs.get(plan.route)
        if book is None:
            return
        sufficient = {m: h.frozen() for m, h in histograms.items()}
        ready = {metric: frozen for metric, frozen in sufficient.items() if frozen}
        try:
            known = self._ground.store.freeze(plan.route, book.comparison, ready)
        except Exception as error:  # noqa: BLE001 - a look has done what it is for
            self._ground.faults.note(plan.route, "percentiles not frozen", error)
            return
        self._switch.freeze(plan.route, known)


def culprits(analysis: Analysis) -> tuple[Finding, ...]:
    """Return what to blame: the attributed findings, else the most likely one."""
    if analysis.broken or analysis.suspect is None:
        return analysis.broken
    return (analysis.suspect,)


def _intent(plan: RolloutPlan, standing: Standing) -> str:
    """Return the same id in every process that proves the same harm."""
    named = f"{plan.route}|{standing.attempt}|{standing.trip}|roll back"
    return hashlib.sha256(named.encode()).hexdigest()[:16]
