"""Decide who is served what: kill first, then the flag, in doubt control."""

import os
import random
from collections.abc import Callable, Container
from typing import NamedTuple

from openfeature.evaluation_context import EvaluationContext

from flipback.assignment import (
    NO_VALUE,
    OTHER_VALUE,
    Assignment,
    Cohort,
    Reason,
    Role,
)
from flipback.routing._context import attribute, current_scope, targeting_key
from flipback.routing._faults import described, shortened
from flipback.routing._flag import Evaluated, FlagReader
from flipback.routing._parts import Parts
from flipback.routing._standing import Standing, Switch


# Names of decisions need to be unique, not secret: receipts are signed. An instance
# of our own, because applications seed the global one.
_MAX_KNOWN = 4096
_ids = random.Random()  # noqa: S311 - see above
os.register_at_fork(after_in_child=_ids.seed)


_Killed = tuple[frozenset[Cohort], tuple[tuple[str, str], ...]]
"""Cohorts that are killed, and the same as attribute and value."""


class _Memory(NamedTuple):
    """What everybody who is answered alike shares, under one standing.

    Replaced whole, so that it is never half stale.
    """

    standing: Standing
    known: dict[tuple[Evaluated, tuple[Cohort, ...]], Assignment]


class Decider:
    """Turns an evaluation context into an assignment; never raises."""

    def __init__(
        self,
        parts: Parts,
        *,
        switch: Switch,
        reader: FlagReader,
        provider: str,
        registered: Container[str],
        ready: Callable[[], object],
    ) -> None:
        plan = parts.plan
        self._plan = plan
        self._parts = parts
        self._switch = switch
        self._reader = reader
        self._provider = provider
        self._registered = registered
        self._ready = ready
        self._timed = parts.recorder.bookings[plan.route].needs_time
        self._roles = {plan.control: Role.CONTROL, plan.candidate: Role.CANDIDATE}
        self._memory = _Memory(switch.standing, {})
        self._killed: _Killed = frozenset(), ()
        self._cohorts = tuple(
            (name, {value: f"{name}={value}" for value in values})
            for name, values in plan.cohorts.items()
        )

    def forget(self) -> None:
        """Forget what was known, since the code of a variant changed."""
        self._parts.epochs.forget()
        self._memory = _Memory(self._switch.standing, {})

    def decide(self, user: EvaluationContext) -> Assignment:
        """Return the assignment of this user, which is control in any doubt."""
        try:
            self._ready()
            return self._decide(user)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not fail a call
            self._parts.faults.note(self._plan.route, Reason.FAULT, described(error))
            standing = self._switch.standing
            said = Evaluated(name=None, reason=standing.override or Reason.FAULT)
            return _given_to(0, self._described(standing, said, ()), 0.0)

    def _decide(self, user: EvaluationContext) -> Assignment:
        standing = self._switch.standing
        unit = self._unit(user)
        cohorts = self._cohorts_of(user)
        if standing.override is not None:
            said = Evaluated(name=None, reason=standing.override)
        elif standing.killed and self._is_killed(user, cohorts, standing.killed):
            said = Evaluated(name=None, reason=Reason.KILLED)
        elif unit is None:
            said = Evaluated(
                name=None, reason=Reason.NO_TARGETING_KEY, problem=self._no_unit()
            )
        else:
            said = self._ask(user, standing.era)
        alike = self._alike(standing, said, cohorts)
        subject = 0
        if unit is not None and standing.override is None:
            subject = self._parts.keyring.subject(unit)
        at = self._parts.clock.now().timestamp() if self._timed else 0.0
        return _given_to(subject, alike, at)

    def _is_killed(
        self,
        user: EvaluationContext,
        cohorts: tuple[Cohort, ...],
        killed: frozenset[Cohort],
    ) -> bool:
        """Return whether a subject is in one of these cohorts, declared or not.

        A kill outlives the plan that it was made under, which may watch less by now.
        """
        if not killed.isdisjoint(cohorts):
            return True
        if self._killed[0] is not killed:
            pairs = (cohort.partition("=") for cohort in killed)
            self._killed = killed, tuple((name, value) for name, _, value in pairs)
        return any(
            _spelled(attribute(user, name)) == value for name, value in self._killed[1]
        )

    def _ask(self, user: EvaluationContext, era: int) -> Evaluated:
        """Evaluate once per scope, so that a conversation keeps its variant.

        A kill ends that: what was answered before it is not served after its release.
        """
        scope = current_scope()
        if scope is None or scope.context is not user:
            return self._reader.evaluate(user)
        known = scope.memo.get((self, era))
        if not isinstance(known, Evaluated):
            known = scope.memo[self, era] = self._reader.evaluate(user)
        return known

    def _resolve(self, said: Evaluated) -> tuple[str, Reason]:
        """Return who serves and why; whatever the code does not know is control."""
        if said.name is None:
            if said.problem:
                self._parts.faults.note(self._plan.route, said.reason, said.problem)
            return self._plan.control, said.reason
        if said.name in self._registered:
            return said.name, said.reason
        self._parts.faults.note(
            self._plan.route,
            Reason.UNKNOWN_VARIANT,
            f"flag {self._plan.flag!r} says {shortened(said.name)}, which has no code",
        )
        return self._plan.control, Reason.UNKNOWN_VARIANT

    def _alike(
        self, standing: Standing, said: Evaluated, cohorts: tuple[Cohort, ...]
    ) -> Assignment:
        """Return the assignment but for its subject, from memory if it can.

        Remembered is what cannot go stale: a registered variant of a flag whose
        version is known, under this very standing.
        """
        name = said.name
        if said.version is None or name is None or name not in self._registered:
            return self._described(standing, said, cohorts)
        memory = self._memory
        if memory.standing is not standing or len(memory.known) > _MAX_KNOWN:
            memory = self._memory = _Memory(standing, {})
        key = (said, cohorts)
        known = memory.known.get(key)
        if known is None:
            known = memory.known[key] = self._described(standing, said, cohorts)
        return known

    def _described(
        self, standing: Standing, said: Evaluated, cohorts: tuple[Cohort, ...]
    ) -> Assignment:
        variant, reason = self._resolve(said)
        randomized = reason is Reason.SPLIT
        epochs = self._parts.epochs
        return Assignment(
            variant=variant,
            role=self._roles.get(variant, Role.OTHER),
            flag_key=self._plan.flag,
            flag_version=said.version,
            rule=said.rule,
            randomized=randomized,
            reason=reason,
            provider=self._provider,
            epoch=epochs.digest(standing, said.version) if randomized else "",
            attempt=standing.attempt,
            stage=standing.stage,
            cohorts=cohorts,
            subject=0,
            decision_id="",
        )

    def _unit(self, user: EvaluationContext) -> str | None:
        """Return the randomisation key, None where the subject has none."""
        key = user.targeting_key or targeting_key(user)
        if key is None or self._plan.unit == "targetingKey":
            return key
        unit = attribute(user, self._plan.unit)
        return None if unit is None else str(unit)

    def _no_unit(self) -> str:
        unit = self._plan.unit
        also = "" if unit == "targetingKey" else f" or no attribute {unit!r}, the unit"
        return (
            f"the evaluation context has no targeting key{also}; "
            "pass EvaluationContext('user-id')"
        )

    def _cohorts_of(self, user: EvaluationContext) -> tuple[Cohort, ...]:
        given = user.attributes
        cohorts: list[Cohort] = []
        for name, declared in self._cohorts:
            value = given.get(name)
            cohort = declared.get(value) if isinstance(value, str) else None
            cohorts.append(cohort or _cohort(name, declared, attribute(user, name)))
        return tuple(cohorts)


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _given_to(subject: int, alike: Assignment, at: float) -> Assignment:
    """Return this assignment for one subject, as a decision of its own."""
    decision_id = f"{_ids.getrandbits(64):016x}"
    return Assignment._make((*alike[:-3], subject, decision_id, at))


def _cohort(name: str, declared: dict[str, Cohort], value: object) -> Cohort:
    """Name a cohort; undeclared values pool in one, absent ones in another."""
    if value is None:
        return f"{name}={NO_VALUE}"
    return declared.get(_spelled(value), f"{name}={OTHER_VALUE}")
