"""A route: one `predict()`, several variants, one flag that chooses."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, cast

from openfeature.evaluation_context import EvaluationContext
from typing_extensions import ParamSpec, TypeVar, override

from flipback.assignment import Assignment, Role
from flipback.errors import RouteError
from flipback.plan import OnError, RolloutPlan
from flipback.routing._context import current_context
from flipback.routing._decide import Decider
from flipback.routing._exchange import UNSEEN, Exchange, Serving
from flipback.routing._faults import described
from flipback.routing._parts import Parts
from flipback.routing._shadow import Served, Shadow
from flipback.routing._standing import Switch
from flipback.telemetry import CallSpan


P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant(Generic[P, R]):
    """A function that can serve a route.

    Attributes:
        side_effects: It must not run twice for one call: no fallback, no shadow.
    """

    name: str
    function: Callable[P, R]
    version: str
    side_effects: bool


class Decision:
    """An assignment before the call; alone it is no exposure."""

    __slots__ = ("_parts", "assignment")

    def __init__(self, parts: Parts, assignment: Assignment) -> None:
        self._parts = parts
        self.assignment = assignment

    @property
    def variant(self) -> str:
        """Return the name of the variant that this subject gets."""
        return self.assignment.variant

    @property
    def role(self) -> Role:
        """Return what that variant is to the rollout."""
        return self.assignment.role

    def expose(self) -> str:
        """Count the exposure, when the subject meets the variant; return its receipt.

        Each call counts one exposure: call it once per decision.
        Everything that is known of the call, errors and latency included, is
        then recorded by that receipt. It is empty where the secret cannot be
        read, and inside of a shadow answer, which counts nothing; such a decision
        is not compared anyway.
        """
        if UNSEEN.get():
            return ""
        self._parts.expose(self.assignment)
        return self._parts.receipt(self.assignment, frozenset())

    @override
    def __repr__(self) -> str:
        return f"Decision({self.variant!r}, {self.assignment.reason.value})"


class Route(Generic[P, R]):
    """The variants of one call, and the flag that decides between them.

    Annotate it to have the variants and calls checked:
    `summarize: Route[[str], str] = router.route("summarizer")`.
    """

    def __init__(
        self,
        parts: Parts,
        decider: Decider,
        variants: dict[str, Variant[..., Any]],
        *,
        expected: tuple[type[Exception], ...],
        shadow: Shadow | None = None,
    ) -> None:
        self._parts = parts
        self._shadow = shadow
        self._switch = Switch(parts.plan.route) if shadow is None else shadow.switch
        self._decider = decider
        # The decider looks into the same dict; Any there: it reads names only.
        self._variants = cast("dict[str, Variant[P, R]]", variants)
        self._expected = expected
        self._raises = parts.plan.on_error is OnError.RAISE

    @property
    def plan(self) -> RolloutPlan:
        """Return the rollout plan of this route."""
        return self._parts.plan

    @property
    def variants(self) -> Mapping[str, Variant[P, R]]:
        """Return what has been registered."""
        return self._variants

    def variant(
        self, name: str, *, version: str | None = None, side_effects: bool = False
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Register a function as this variant; it can still be called by itself.

        Args:
            name: One of the flag's variants.
            version: Version of the model or prompt; a new one is compared anew.
                Default: the version of the application's package, if it has one.
            side_effects: Never call control after this variant raised, and never
                let it answer unseen.

        Raises:
            RouteError: The name is taken, the flag has no such variant, or the
                function is of a kind that cannot be routed.
        """

        def register(function: Callable[P, R]) -> Callable[P, R]:
            self._parts.check_name(name, tuple(self._variants))
            _check_kind(self.plan.route, name, function)
            self._variants[name] = Variant(
                name=name,
                function=function,
                version=self._parts.version_of(function, version, name),
                side_effects=side_effects,
            )
            self._decider.forget()
            return function

        return register

    def decide(self, user: EvaluationContext) -> Decision:
        """Return who would serve this user, without a call and without an exposure."""
        return Decision(self._parts, self._decider.decide(user))

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the variant of the current context (`flipback.context(user)`)."""
        return self.call(current_context(), *args, **kwargs)

    def call(self, user: EvaluationContext, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the variant of this user.

        Raises:
            RouteError: No control is registered, so that nothing can serve.
            Exception: What control raised; what the candidate raised only where
                the plan says `on_error = "raise"`, it has side effects, or the
                error is one of the route's `expected`.
        """
        standing = self._switch.standing
        assignment = self._decider.decide(user)
        variant = self._variants.get(assignment.variant)
        if variant is None:
            raise RouteError(
                f"route {self.plan.route!r} has no function for control "
                f"{self.plan.control!r}; register one with "
                f"@route.variant({self.plan.control!r})"
            )
        exchange = self._parts.begin(assignment)
        span = self._parts.span(assignment, user)
        if exchange.unseen:
            self._parts.guarded(span.unseen)
        try:
            return self._serve(variant, exchange, span, *args, **kwargs)
        finally:
            self._parts.finish(exchange, span)
            if standing.shadow:
                served = Served(standing, exchange, user, span.context)
                self._let_answer(served, *args, **kwargs)

    def _let_answer(self, served: Served, /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Let the candidate answer unseen, some time, if this call is shadowed."""
        try:
            candidate = self._variants.get(self.plan.candidate)
            shadow = self._shadow
            if shadow is None or candidate is None or not shadow.wants(served):
                return
            if candidate.side_effects:
                shadow.refuse(candidate.name)
                return
            answer = partial(candidate.function, *args, **kwargs)
            shadow.enqueue(served, answer, expected=self._expected)
        except Exception as error:  # noqa: BLE001 - control has answered, that stands
            self._parts.faults.note(self.plan.route, "not shadowed", described(error))

    def _serve(
        self,
        variant: Variant[P, R],
        exchange: Exchange,
        span: CallSpan,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        tick = self._parts.clock.monotonic
        started = tick()
        try:
            with Serving(exchange):
                result = variant.function(*args, **kwargs)
        except self._expected as error:
            self._parts.guarded(span.failed, error)
            raise
        except Exception as error:
            exchange.end(failed=True, latency_s=None)
            self._parts.guarded(span.failed, error)
            if not self._may_fall_back(variant):
                raise
            self._parts.faults.note(
                self.plan.route, f"{variant.name} raised", type(error).__qualname__
            )
        except BaseException as error:
            self._parts.guarded(span.failed, error)
            raise
        else:
            exchange.end(failed=False, latency_s=tick() - started)
            return result
        return self._fall_back(span, *args, **kwargs)

    def _may_fall_back(self, variant: Variant[P, R]) -> bool:
        return (
            variant.name != self.plan.control
            and not variant.side_effects
            and not self._raises
            and self.plan.control in self._variants
        )

    def _fall_back(self, span: CallSpan, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Let control answer in its place; that is no exposure of control."""
        self._parts.guarded(span.fell_back)
        with Serving(None):
            return self._variants[self.plan.control].function(*args, **kwargs)


def _check_kind(route: str, name: str, function: Callable[..., object]) -> None:
    """Refuse what would count as done before it has even begun."""
    for kind, is_kind in (
        ("a coroutine function", inspect.iscoroutinefunction),
        ("a generator function", inspect.isgeneratorfunction),
        ("an async generator function", inspect.isasyncgenfunction),
    ):
        if is_kind(function) or is_kind(type(function).__call__):
            raise RouteError(
                f"route {route!r}: variant {name!r} is {kind}; this version routes "
                "plain functions only, whose answer is complete when they return"
            )
