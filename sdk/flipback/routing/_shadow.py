"""The candidate answers a share of control's calls; nobody sees what it says."""

from collections.abc import Callable, Collection
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from openfeature.evaluation_context import EvaluationContext
from opentelemetry.trace import SpanContext

from flipback.assignment import Assignment, Reason, Role
from flipback.exposure import BUCKETS
from flipback.plan import Until
from flipback.routing._exchange import UNSEEN, Exchange, Serving, forget_last
from flipback.routing._faults import Faults, described
from flipback.routing._parts import Parts
from flipback.routing._recorder import Paired
from flipback.routing._standing import Standing, Switch
from flipback.routing._workers import Workers
from flipback.telemetry import CallSpan


DROPPED = "shadow_dropped"
_BY_THE_FLAG = frozenset(
    {
        Reason.TARGETING_MATCH,
        Reason.STATIC,
        Reason.DEFAULT,
        Reason.CACHED,
        Reason.STALE,
        Reason.UNKNOWN,
    }
)
_SAMPLED_FROM = 1 << 32
_MOVED_WITHIN_S = 5.0


def in_sample(subject: int, share: float) -> bool:
    """Return whether a subject's calls are shadowed at this share.

    A share that grows keeps its subjects. The bits of the hash are neither those of
    its bucket nor those by which the store thins out subjects.
    """
    return subject // BUCKETS % _SAMPLED_FROM < share * _SAMPLED_FROM


def shadow_workers(
    switches: Collection[Switch], faults: Faults, *, threads: int, queue: int
) -> Workers:
    """Return the workers of all routes, who are there while one has a shadow stage."""

    def wanted() -> bool:
        standings = [switch.standing for switch in switches]
        return any(s.shadow > 0 and s.override is None for s in standings)

    def failed(error: BaseException) -> None:
        faults.note("*", "shadow answer lost", described(error))

    return Workers(threads=threads, queue=queue, wanted=wanted, failed=failed)


class Served(NamedTuple):
    """A call that was served.

    Attributes:
        standing: The route's, before it was decided who serves.
        exchange: What was served; it is over.
        user: Whose call it was.
        span: Where in a trace it was.
    """

    standing: Standing
    exchange: Exchange
    user: EvaluationContext
    span: SpanContext


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A call that the candidate is to answer as well.

    Attributes:
        answer: Calls the candidate with the caller's own arguments.
        expected: Exceptions that are held against nobody.
        context: A copy of the caller's context variables.
    """

    served: Served
    answer: Callable[[], object]
    expected: tuple[type[Exception], ...]
    context: Context


class Shadow:
    """Shadow answers of one route.

    The caller has its answer before anything happens here, and pays for putting the
    call into a queue. The arguments are handed over as they are.
    """

    def __init__(
        self,
        parts: Parts,
        workers: Workers,
        *,
        switch: Switch,
        flush: Callable[[], object],
    ) -> None:
        """Take part in the queue of all routes.

        Args:
            parts: What the route works with.
            workers: The queue and its threads.
            switch: Of the route; says which share of calls is shadowed now.
            flush: Writes what was counted to the store.
        """
        self.switch = switch
        self._parts = parts
        self._workers = workers
        self._flush = flush
        self._introduced: set[str] = set()
        self._refused = False
        self._split_in = (0, 0)
        self._split_since = 0.0

    def wants(self, served: Served) -> bool:
        """Return whether the candidate is to answer this call as well.

        It is if the flag gave control to everybody who is like its subject, and if
        control's answer can be compared. What a split gave out is compared as a split.
        """
        exchange = served.exchange
        given = exchange.assignment
        if not exchange.answered or exchange.unseen:
            return False
        if given.randomized:
            self._see_split(served.standing)
            return False
        return (
            given.role is Role.CONTROL
            and given.reason in _BY_THE_FLAG
            and given.subject != 0
            and in_sample(given.subject, served.standing.shadow)
        )

    def refuse(self, name: str) -> None:
        """Say, once, that a candidate must not run unseen."""
        if not self._refused:
            self._refused = True
            self._note(
                "side effects are not shadowed",
                f"those of variant {name!r} would happen twice; shadow a version of it "
                "without them, or start with a small weight",
            )

    def enqueue(
        self,
        served: Served,
        answer: Callable[[], object],
        *,
        expected: tuple[type[Exception], ...],
    ) -> None:
        """Queue a call; where the queue is full, count that it was dropped."""
        question = _Question(
            served=served, answer=answer, expected=expected, context=copy_context()
        )
        if not self._workers.offer(partial(self._take_up, question)):
            self._parts.recorder.exclude(self._parts.plan.route, DROPPED)
            self._note(
                "shadow calls dropped",
                "the candidate answers too slowly; raise `workers` or `queue` of "
                "[shadow], or lower `shadow` of the stage",
            )

    def _see_split(self, standing: Standing) -> None:
        """Say that the flag splits in a shadow stage, unless a move is just under way.

        A rollout moves a moment before its flag does.
        """
        stage, now = (standing.attempt, standing.stage), self._parts.clock.monotonic()
        if self._split_in != stage:
            self._split_in, self._split_since = stage, now
        elif now - self._split_since >= _MOVED_WITHIN_S:
            self._note(
                "a split is not shadowed",
                "its calls are compared as a split; let the flag give all to control",
            )

    def _note(self, kind: str, detail: str) -> None:
        self._parts.faults.note(self._parts.plan.route, kind, detail)

    def _take_up(self, question: _Question) -> None:
        """Answer, unless the candidate was killed or the stage left meanwhile."""
        if self._is_wanted(question.served):
            question.context.run(self._answer, question)

    def _is_wanted(self, served: Served) -> bool:
        then, now = served.standing, self.switch.standing
        return (
            now.override is None
            and now.shadow > 0
            and (now.attempt, now.era) == (then.attempt, then.era)
            and now.killed.isdisjoint(served.exchange.assignment.cohorts)
        )

    def _answer(self, question: _Question) -> None:
        """Let the candidate answer in this context, which is thrown away."""
        UNSEEN.set(True)
        forget_last()
        served, parts = question.served, self._parts
        given = served.exchange.assignment
        epoch = parts.epochs.digest(served.standing, given.flag_version)
        self._introduce(epoch)
        candidate = parts.plan.candidate
        exchange = parts.begin_unseen(
            given._replace(variant=candidate, role=Role.CANDIDATE, epoch=epoch)
        )
        span = parts.span_unseen(exchange.assignment, served.user, served.span)
        try:
            parts.guarded(parts.mark_unseen, exchange, served.exchange)
            self._call(question, exchange, span)
        finally:
            parts.finish_unseen(exchange, span)
        if exchange.answered:
            self._book(given._replace(epoch=epoch), served, exchange)

    def _introduce(self, epoch: str) -> None:
        """Have the store know an epoch before the candidate can end the process.

        A crash is booked by whoever finds it, and under an epoch that nobody knows it
        would count for nothing.
        """
        if epoch not in self._introduced:
            self._parts.recorder.announce(epoch)
            self._flush()
            self._introduced.add(epoch)

    def _call(self, question: _Question, exchange: Exchange, span: CallSpan) -> None:
        tick = self._parts.clock.monotonic
        started = tick()
        try:
            with Serving(exchange):
                question.answer()
        except question.expected as error:
            self._parts.guarded(span.failed, error)
        except Exception as error:  # noqa: BLE001 - it is evidence, and nobody's answer
            exchange.end(failed=True, latency_s=None)
            self._parts.guarded(span.failed, error)
            name = self._parts.plan.candidate
            self._note(f"{name} raised unseen", type(error).__qualname__)
        else:
            exchange.end(failed=False, latency_s=tick() - started)

    def _book(self, given: Assignment, served: Served, exchange: Exchange) -> None:
        plan, clock = self._parts.plan, self._parts.clock
        stage = plan.stages[min(served.standing.stage, len(plan.stages) - 1)]
        warms_up = stage.until is Until.WARM
        self._parts.recorder.pair(
            plan.route,
            given,
            Paired(
                control=served.exchange.outcomes,
                candidate=exchange.outcomes,
                warm_at=clock.now().timestamp() if warms_up else None,
            ),
        )
