"""The call span: which variant served this user, and how it went.

Only the OpenTelemetry API is used: without an SDK, or sampled out, a call pays
for a span that does not record and for nothing else.
"""

from contextvars import Token
from importlib.metadata import version
from typing import NamedTuple

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
)

from flipback import semconv
from flipback.assignment import Assignment
from flipback.config import ContextId, Spans, TelemetrySettings
from flipback.telemetry._attributes import AttributeValue, common


_MAX_KNOWN = 4096


class _Alike(NamedTuple):
    """What decides all attributes but those of the single call."""

    route: str
    variant: str
    reason: str
    epoch: str
    flag_version: str | None
    cohorts: tuple[str, ...]
    stage: int
    attempt: int


def _no_sdk() -> bool:
    """Return whether nobody set up tracing, so that a span would be for nobody."""
    return isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


class CallSpan:
    """The span of one call, ended exactly once."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span, token: Token[Context] | None) -> None:
        self._span = span
        self._token = token

    @classmethod
    def none(cls) -> "CallSpan":
        """Return a span on which everything is a no-op."""
        return _NO_SPAN

    @property
    def context(self) -> SpanContext:
        """Return what a link to this span needs, invalid where there is no span."""
        return self._span.get_span_context()

    def failed(self, error: BaseException) -> None:
        """Name the error by its type; messages may hold what users wrote."""
        if self._span.is_recording():
            kind = type(error)
            name = kind.__qualname__
            if kind.__module__ != "builtins":
                name = f"{kind.__module__}.{name}"
            self._span.set_attribute(semconv.ERROR_TYPE, name)
            if self._token is not None:
                self._span.set_status(Status(StatusCode.ERROR))

    def fell_back(self) -> None:
        """Say that control answered in the candidate's place."""
        self._span.set_attribute(semconv.ROLE, semconv.ROLE_FALLBACK)

    def unseen(self) -> None:
        """Say that nobody sees this answer, as it is part of a shadow answer."""
        self._span.set_attribute(semconv.ROLE, semconv.ROLE_SHADOW)

    def end(self) -> None:
        """End a span of ours; one that was only annotated belongs to others."""
        if self._token is not None:
            otel.detach(self._token)
            self._span.end()


_NO_SPAN = CallSpan(trace.INVALID_SPAN, None)


class CallTracer:
    """Starts call spans, or annotates the current one, as the settings say."""

    def __init__(self, settings: TelemetrySettings) -> None:
        self._spans = settings.spans
        self._context_id = settings.context_id
        self.shows_keys = settings.context_id is ContextId.PLAIN
        self._tracer = trace.get_tracer(
            "flipback", version("flipback"), schema_url=semconv.SCHEMA_URL
        )
        self._known: dict[_Alike, dict[str, AttributeValue]] = {}

    def begin(self, route: str, assignment: Assignment, key: str | None) -> CallSpan:
        """Start what the settings ask for; `key` is the targeting key."""
        match self._spans:
            case Spans.OFF:
                return _NO_SPAN
            case Spans.ANNOTATE:
                span = trace.get_current_span()
                if span.is_recording():
                    span.set_attributes(self._attributes(route, assignment, key))
                return CallSpan(span, None)
            case Spans.CREATE if _no_sdk():
                return _NO_SPAN
            case Spans.CREATE:
                return self._create(route, assignment, key)

    def begin_unseen(
        self, route: str, assignment: Assignment, key: str | None, call: SpanContext
    ) -> CallSpan:
        """Start a trace of its own for a shadow answer, linked to the call's span.

        For a context that is thrown away: the call's span stays hidden in it. What the
        candidate traces is then no part of the caller's trace, whatever the settings.
        """
        bare = trace.set_span_in_context(trace.INVALID_SPAN)
        otel.attach(bare)
        if self._spans is not Spans.CREATE or _no_sdk():
            return _NO_SPAN
        span = self._tracer.start_span(
            f"{semconv.SPAN_CALL} {route}",
            context=bare,
            kind=SpanKind.INTERNAL,
            attributes={
                **self._attributes(route, assignment, key),
                semconv.ROLE: semconv.ROLE_SHADOW,
            },
            links=[Link(call)] if call.is_valid else None,
        )
        return CallSpan(span, otel.attach(trace.set_span_in_context(span, bare)))

    def _create(self, route: str, assignment: Assignment, key: str | None) -> CallSpan:
        span = self._tracer.start_span(
            f"{semconv.SPAN_CALL} {route}",
            kind=SpanKind.INTERNAL,
            attributes=self._attributes(route, assignment, key),
        )
        return CallSpan(span, otel.attach(trace.set_span_in_context(span)))

    def _attributes(
        self, route: str, assignment: Assignment, key: str | None
    ) -> dict[str, AttributeValue]:
        alike = _Alike(
            route,
            assignment.variant,
            assignment.reason,
            assignment.epoch,
            assignment.flag_version,
            assignment.cohorts,
            assignment.stage,
            assignment.attempt,
        )
        known = self._known.get(alike)
        if known is None:
            known = self._remember(alike, common(route, assignment))
        attributes = {**known, semconv.DECISION_ID: assignment.decision_id}
        if self._context_id is ContextId.HASH and assignment.subject:
            attributes[semconv.FLAG_CONTEXT_ID] = f"{assignment.subject:016x}"
        elif self._context_id is ContextId.PLAIN and key:
            attributes[semconv.FLAG_CONTEXT_ID] = key
        return attributes

    def _remember(
        self, alike: _Alike, attributes: dict[str, AttributeValue]
    ) -> dict[str, AttributeValue]:
        if len(self._known) >= _MAX_KNOWN:
            self._known = {}
        self._known[alike] = attributes
        return attributes
