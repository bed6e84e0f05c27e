"""One exposure being served: what it records until it ends."""

import math
import threading
from collections.abc import Callable
from contextvars import ContextVar
from numbers import Real
from typing import cast

from flipback.assignment import Assignment
from flipback.exposure import MAX_VALUE
from flipback.plan import BUILT_IN_METRICS, ERROR, LATENCY
from flipback.routing._faults import Faults
from flipback.routing._inflight import UNTRACKED


_TOO_LARGE = "the value is too large to be squared; record it in another unit"


class Exchange:
    """A decision that met its subject, with the outcomes recorded so far.

    The faces of a route (a plain function now, coroutines and streams later)
    differ in when they begin and end an exchange, and in nothing else.

    Attributes:
        answered: Whether the variant returned or raised what counts as an error.
        unseen: Whether the subject never meets it, so that it is no exposure.
    """

    __slots__ = (
        "_faults",
        "_lock",
        "_metrics",
        "_over",
        "_sign",
        "answered",
        "assignment",
        "outcomes",
        "promised",
        "route",
        "slot",
        "unseen",
    )

    def __init__(
        self,
        route: str,
        assignment: Assignment,
        *,
        metrics: frozenset[str],
        sign: Callable[[Assignment, frozenset[str]], str],
        faults: Faults,
        unseen: bool = False,
    ) -> None:
        self.route = route
        self.assignment = assignment
        self.outcomes: dict[str, float] = {}
        self.promised: frozenset[str] | None = None
        self.slot = UNTRACKED
        self.answered = False
        self.unseen = unseen
        self._metrics = metrics
        self._sign = sign
        self._faults = faults
        self._lock = threading.Lock()
        self._over = False

    def record(self, metric: object, value: object) -> bool:
        """Keep an outcome; False, counted and logged once, if it cannot be one."""
        name, number, problem = named(metric), 0.0, ""
        try:  # before the lock is taken: conversion may run the application's code
            number = _number(value)
        except ValueError as error:
            problem = str(error)
        with self._lock:
            problem = self._problem(name) or problem
            if not problem:
                self.outcomes[name] = number
        if problem:
            self._faults.note(self.route, f"outcome dropped: {name}", problem)
        return not problem

    def end(self, *, failed: bool, latency_s: float | None) -> None:
        """Add the built-in outcomes; what the variant itself recorded stands.

        Only a crash stands above it: that is an error whatever was said before.

        Args:
            failed: Whether the variant raised.
            latency_s: Seconds that it took, None where that says nothing.
        """
        with self._lock:
            if failed:
                self.outcomes[ERROR] = 1.0
            else:
                self.outcomes.setdefault(ERROR, 0.0)
            if latency_s is not None:
                self.outcomes.setdefault(LATENCY, max(0.0, latency_s))
            self.answered = self._over = True

    def close(self) -> None:
        """Take no more: a thread that outlives the call needs the receipt."""
        if not self._over:
            with self._lock:
                self._over = True

    def receipt(self) -> str:
        """Return the receipt of this decision, for outcomes that come later."""
        with self._lock:
            if self.promised is None:
                self.promised = frozenset(self.outcomes) | frozenset(BUILT_IN_METRICS)
        return self._sign(self.assignment, self.promised)

    def _problem(self, metric: str) -> str:
        if self._over:
            return "the call is over; record it with its receipt: router.record"
        if metric not in self._metrics:
            known = ", ".join(sorted(self._metrics))
            return f"no guardrail or hypothesis names it; the plan knows {known}"
        if metric in self.outcomes:
            return "recorded before for this decision; the first value stands"
        return ""


def not_a_value(value: object) -> str:
    """Return why this is no value of a metric, or an empty string if it is one.

    NumPy's numbers and truth values are values: models answer with them.
    """
    try:
        _number(value)
    except ValueError as error:
        return str(error)
    return ""


def _number(value: object) -> float:
    """Return a metric's value as a float.

    Raises:
        ValueError: It is none; with what to record instead. Nothing else is raised,
            whatever the value's own methods do.
    """
    kind = type(value).__name__
    try:
        known = issubclass(type(value), int | float | Real) or _is_truth(value)
        # mypy: only what is known is converted.
        number = float(value) if known else None  # type: ignore[arg-type]
    except OverflowError:
        raise ValueError(_TOO_LARGE) from None
    except Exception as error:
        raise ValueError(f"this {kind} fails to convert; record a float") from error
    if number is None:
        raise ValueError(f"{kind} is no number; record a float, an int or a bool")
    if not math.isfinite(number):
        raise ValueError(f"{number} is not finite; record a number or nothing at all")
    if abs(number) > MAX_VALUE:
        raise ValueError(_TOO_LARGE)
    return number


def _is_truth(value: object) -> bool:
    """Return whether this is NumPy's truth value, which is no number to Python."""
    dtype = getattr(value, "dtype", None)
    return getattr(dtype, "kind", None) == "b" and getattr(value, "shape", None) == ()


def named(metric: object) -> str:
    """Return a metric's name; running no code of the application, it cannot raise."""
    if issubclass(type(metric), str):
        return str.__str__(cast("str", metric))
    return f"({type(metric).__name__})"


class _Muted:
    """Stands for a fallback call, whose outcomes belong to nobody."""


_MUTED = _Muted()
_current: ContextVar[Exchange | _Muted | None] = ContextVar(
    "flipback_exchange", default=None
)
_last: ContextVar[Exchange | None] = ContextVar("flipback_last", default=None)
_outside = Faults()

UNSEEN: ContextVar[bool] = ContextVar("flipback_unseen", default=False)
"""Whether all this is for an answer that nobody will see."""


class Serving:
    """Marks an exchange as the one being served, for `record` and `receipt`."""

    __slots__ = ("_exchange", "_token")

    def __init__(self, exchange: Exchange | None) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        """Make it current; None mutes `record`, as a fallback call must be."""
        self._token = _current.set(self._exchange or _MUTED)

    def __exit__(self, *_: object) -> None:
        """Put back what was current before."""
        _current.reset(self._token)
        if self._exchange is not None:
            _last.set(self._exchange)


def record(metric: str, value: float) -> bool:
    """Record an outcome of the exposure that is being served; never raises.

    Call it inside a variant. Each metric counts once per decision. Returns False
    where the value was not taken, which is counted and logged once: outside of a
    routed call, for a metric that no guardrail names, for NaN, infinity and what
    is beyond 1e100, whose square would be.
    """
    serving = _current.get()
    if isinstance(serving, Exchange):
        return serving.record(metric, value)
    if serving is None:
        _outside.note("*", "record outside of a routed call", named(metric))
    return False


def receipt() -> str | None:
    """Return the receipt of the decision being served, or else of the last one here.

    Store it or send it along; `router.record(receipt, metric, value)` attaches
    an outcome weeks later, in any process with the same secret. None before any
    routed call of this `flipback.context`, and where the secret cannot be read.
    """
    serving = _current.get()
    exchange = serving if isinstance(serving, Exchange) else _last.get()
    return None if exchange is None else exchange.receipt() or None


def unsigned(_assignment: Assignment, _promised: frozenset[str]) -> str:
    """Return no receipt: an unseen answer takes no late outcomes."""
    return ""


def forget_last() -> None:
    """Forget the last decision here: what comes next is another request's."""
    _last.set(None)
