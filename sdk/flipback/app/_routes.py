"""The routes of a router: each built once, from its plan."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flipback.app._assembly import Assembly
from flipback.config import flag_ref, variant_named_by
from flipback.errors import FlagWriteError, RouteError
from flipback.plan import RolloutPlan
from flipback.routing import (
    Decider,
    EpochBook,
    FlagReader,
    Parts,
    Route,
    Shadow,
    Variant,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A route as the application asked for it."""

    route: Route[..., Any]
    expected: tuple[type[Exception], ...]


class Routes:
    """Builds routes and what they are made of.

    A late outcome needs the parts of a route and not the route: a process that
    only records outcomes registers no function.
    """

    def __init__(self, assembly: Assembly, *, ready: Callable[[], object]) -> None:
        self._assembly = assembly
        self._ready = ready
        self._asked: dict[str, _Asked] = {}
        self._parts: dict[str, Parts] = {}
        self._variants: dict[str, dict[str, Variant[..., Any]]] = {
            route: {} for route in assembly.ground.plans
        }

    def route(
        self, plan: RolloutPlan, expected: tuple[type[Exception], ...]
    ) -> Route[..., Any]:
        """Return the route of this plan, the same one each time."""
        asked = self._asked.get(plan.route)
        if asked is None:
            asked = _Asked(route=self._build(plan, expected), expected=expected)
            self._asked[plan.route] = asked
        elif expected not in {(), asked.expected}:
            raise RouteError(
                f"route {plan.route!r} was asked for before with other `expected` "
                "exceptions; say them where it is asked for first"
            )
        return asked.route

    def parts(self, plan: RolloutPlan) -> Parts:
        """Return the parts of this plan's route, whether or not anybody routes it."""
        if plan.route not in self._parts:
            self._parts[plan.route] = self._put_together(plan)
        return self._parts[plan.route]

    def check(self) -> None:
        """Say before the first call what no call could say as clearly.

        Raises:
            RouteError: A route has no function for control.
        """
        for asked in self._asked.values():
            self._check(asked.route)

    def _build(
        self, plan: RolloutPlan, expected: tuple[type[Exception], ...]
    ) -> Route[..., Any]:
        assembly, parts = self._assembly, self.parts(plan)
        variants = self._variants[plan.route]
        assembly.epochs[plan.route] = parts.epochs
        switch = assembly.killswitch.switches[plan.route]
        decider = Decider(
            parts,
            switch=switch,
            reader=FlagReader(plan, assembly.binding.client),
            provider=assembly.binding.provider_name,
            registered=variants,
            ready=self._ready,
        )
        shadow = Shadow(
            parts, assembly.shadows, switch=switch, flush=assembly.flusher.flush
        )
        return Route(parts, decider, variants, expected=expected, shadow=shadow)

    def _put_together(self, plan: RolloutPlan) -> Parts:
        assembly, ground = self._assembly, self._assembly.ground
        return Parts(
            plan=plan,
            metrics=plan.recorded,
            recorder=assembly.recorder,
            in_flight=assembly.in_flight,
            epochs=self._epochs(plan),
            keyring=assembly.keyring,
            tracer=assembly.tracer,
            events=ground.events,
            faults=ground.faults,
            clock=ground.clock,
            flag_variants=self._flag_variants(plan),
        )

    def _epochs(self, plan: RolloutPlan) -> EpochBook:
        assembly, variants = self._assembly, self._variants[plan.route]
        return EpochBook(
            plan,
            provider=f"{assembly.binding.provider_name} {assembly.flags.version}",
            versions=lambda: (
                _version(variants, plan.control),
                _version(variants, plan.candidate),
            ),
            opened=assembly.recorder.opened,
            clock=assembly.ground.clock,
        )

    def _flag_variants(self, plan: RolloutPlan) -> frozenset[str]:
        """Return the flag's variants as the plan names them; empty if not known."""
        writer = self._assembly.flags.writer
        if writer is None:
            return frozenset()
        try:
            state = writer.read(flag_ref(plan))
        except FlagWriteError as error:
            self._assembly.ground.faults.note(plan.route, "flag unreadable", error)
            return frozenset()
        named = (variant_named_by(plan, value) for value in state.variants.values())
        return frozenset(filter(None, named))

    def _check(self, route: Route[..., Any]) -> None:
        plan, registered = route.plan, route.variants
        if plan.control not in registered:
            raise RouteError(
                f"route {plan.route!r} has no function for control {plan.control!r}; "
                f"register one with @route.variant({plan.control!r})"
            )
        known = self._parts[plan.route].flag_variants | {plan.candidate}
        for name in sorted(known - registered.keys()):
            self._assembly.ground.faults.note(
                plan.route,
                f"variant {name!r} has no function",
                f"subjects who get it from flag {plan.flag!r} are served control; "
                f"register it with @route.variant({name!r})",
            )


def _version(variants: Mapping[str, Variant[..., Any]], name: str) -> str:
    return variants[name].version if name in variants else "unregistered"
