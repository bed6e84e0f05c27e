"""Whose request this is: once per request instead of once per call."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from openfeature.evaluation_context import (
    EvaluationContext,
    EvaluationContextAttribute,
    get_evaluation_context,
)
from openfeature.transaction_context import get_transaction_context

from flipback.routing._exchange import forget_last


class Scope:
    """One request or conversation: its context, and what was decided in it."""

    __slots__ = ("context", "memo")

    def __init__(self, context: EvaluationContext) -> None:
        self.context = context
        self.memo: dict[tuple[object, int], object] = {}


_scope: ContextVar[Scope | None] = ContextVar("flipback_scope", default=None)


@contextmanager
def context(user: EvaluationContext) -> Generator[EvaluationContext]:
    """Make this evaluation context the one of all routed calls inside.

    Each route decides once inside, so one conversation meets one variant even
    while the split moves. A kill is obeyed all the same. Tasks and
    `asyncio.to_thread` inherit the context, bare threads do not.
    """
    token = _scope.set(Scope(user))
    forget_last()
    try:
        yield user
    finally:
        _scope.reset(token)


def current_scope() -> Scope | None:
    """Return the innermost scope, None outside of any."""
    return _scope.get()


def current_context() -> EvaluationContext:
    """Return the scope's context, or else OpenFeature's transaction context.

    Of a propagator that raises, the decision says so: it asks it again.
    """
    scope = _scope.get()
    if scope is not None:
        return scope.context
    try:
        return get_transaction_context()
    except Exception:  # noqa: BLE001 - a propagator of others must not fail a call
        return EvaluationContext()


def targeting_key(user: EvaluationContext) -> str | None:
    """Return the key as OpenFeature will see it after merging its contexts."""
    return (
        user.targeting_key
        or get_transaction_context().targeting_key
        or get_evaluation_context().targeting_key
        or None
    )


def attribute(user: EvaluationContext, name: str) -> EvaluationContextAttribute | None:
    """Return an attribute as OpenFeature will see it after merging its contexts."""
    if name in user.attributes:
        return user.attributes[name]
    merged = get_evaluation_context().merge(get_transaction_context())
    return merged.attributes.get(name)
