"""One route on a bench: real parts, a flag that says what it is told, a fake clock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata
from typing_extensions import override

from flipback.config import TelemetrySettings
from flipback.exposure import EXPOSURE, Batch
from flipback.plan import RolloutPlan
from flipback.routing import (
    Decider,
    EpochBook,
    Faults,
    FlagReader,
    InFlight,
    Keyring,
    Parts,
    Recorder,
    Route,
    Standing,
    Switch,
)
from flipback.telemetry import CallTracer, EventLog
from flipback.testing import FakeClock
from projects import PLAN, ROUTE


T = TypeVar("T")
Details = FlagResolutionDetails[Any]
Answer = Callable[[EvaluationContext], Details]
USER = EvaluationContext("user-1", {"plan": "enterprise"})
FREE = Standing(override=None)
_numbers = count()


def says(value: FlagValueType, reason: str = Reason.SPLIT, **metadata: str) -> Details:
    """Return an answer of a flag, of version `1` and rule `all` if not said."""
    return FlagResolutionDetails(
        value=value,
        variant="a name of its own",
        reason=reason,
        flag_metadata={"version": "1", "rule": "all", **metadata},
    )


def fails(code: ErrorCode, message: str | None = None) -> Details:
    return FlagResolutionDetails(
        value=None, reason=Reason.ERROR, error_code=code, error_message=message
    )


class ToldProvider(AbstractProvider):
    """Answers every evaluation, of whatever type, with `answer`."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
        self.asked = 0

    @override
    def get_metadata(self) -> Metadata:
        return Metadata(name="told")

    def _say(
        self,
        flag_key: str,
        default_value: T,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[T]:
        del flag_key, default_value
        self.asked += 1
        assert evaluation_context is not None
        return self.answer(evaluation_context)

    resolve_boolean_details = _say
    resolve_string_details = _say
    resolve_integer_details = _say
    resolve_float_details = _say
    resolve_object_details = _say


@dataclass(slots=True, kw_only=True)
class Bench:
    """A route and everything that it works with.

    Variant `v1` (control) and `v2` (candidate) return their own names and add them
    to `served`; a test may replace them by `serve`.
    """

    route: Route[[], str]
    parts: Parts
    decider: Decider
    switch: Switch
    provider: ToldProvider
    clock: FakeClock
    domain: str
    functions: dict[str, Any]
    served: list[str] = field(default_factory=list[str])
    due: list[int] = field(default_factory=list[int])

    @property
    def faults(self) -> Faults:
        return self.parts.faults

    @property
    def kinds(self) -> Mapping[str, int]:
        """Return the counts of faults of this route and of all, by kind."""
        return {kind: n for (_, kind), n in self.faults.counts().items()}

    def say(self, value: FlagValueType, reason: str = Reason.SPLIT) -> None:
        self.provider.answer = lambda _: says(value, reason)

    def serve(self, name: str, function: Callable[[], str], **options: Any) -> None:  # noqa: ANN401 - the options of Route.variant
        self.functions.pop(name, None)
        self.route.variant(name, **{"version": "1", **options})(function)

    def call(self, user: EvaluationContext = USER) -> str:
        return self.route.call(user)

    def drained(self) -> "Seen":
        return Seen(self.parts.recorder.drain())


class Seen:
    """A batch, or none, as tests ask about it."""

    def __init__(self, batch: Batch | None) -> None:
        self.batch = batch or Batch(writer="", sequence=0)

    def means(self, cohort: str = "") -> dict[tuple[str, str], tuple[int, float]]:
        """Return (variant, metric) to count and mean, of everybody or a cohort."""
        return {
            (key.variant, key.metric): (cell.total_n, cell.mean)
            for key, cell in self.batch.cells.items()
            if key.cohort == cohort
        }

    def exposures(self, cohort: str = "") -> dict[str, int]:
        """Return variant to exposures, of everybody or a cohort."""
        return {
            variant: n
            for (variant, metric), (n, _) in self.means(cohort).items()
            if metric == EXPOSURE
        }

    @property
    def excluded(self) -> dict[str, int]:
        return {reason: n for (_, reason), n in self.batch.excluded.items()}

    @property
    def cohorts(self) -> set[str]:
        return {key.cohort for key in self.batch.cells}

    @property
    def epochs(self) -> set[str]:
        return {key.epoch for key in self.batch.cells}


def build_bench(  # noqa: PLR0913 - each a knob of some test
    *,
    plan: Mapping[str, object] | None = None,
    telemetry: Mapping[str, str] | None = None,
    secret: Callable[[], bytes] = lambda: b"a secret",
    expected: tuple[type[Exception], ...] = (),
    flag_variants: Sequence[str] = (),
    ready: Callable[[], object] = lambda: None,
    recorder: type[Recorder] = Recorder,
    events: type[EventLog] = EventLog,
    bind: bool = True,
) -> Bench:
    """Build a bench; `plan` sets keys of `projects.PLAN`, `bind` its provider."""
    whole = RolloutPlan.model_validate({**PLAN, **(plan or {})})
    settings = TelemetrySettings.model_validate(telemetry or {})
    clock, due, versions = FakeClock(), list[int](), dict[str, Any]()
    counted = recorder(
        writer="bench", plans={ROUTE: whole}, due=due.append, clock=clock
    )
    parts = Parts(
        plan=whole,
        metrics=whole.recorded,
        recorder=counted,
        in_flight=InFlight(),
        epochs=_epochs(whole, versions, counted, clock),
        keyring=Keyring(secret, clock),
        tracer=CallTracer(settings),
        events=events(settings),
        faults=Faults(),
        clock=clock,
        flag_variants=frozenset(flag_variants),
    )
    return _wired(parts, versions, due, clock, ready, expected, bind=bind)


def _epochs(
    plan: RolloutPlan, versions: dict[str, Any], recorder: Recorder, clock: FakeClock
) -> EpochBook:
    return EpochBook(
        plan,
        provider="told 1",
        versions=lambda: (
            getattr(versions.get(plan.control), "version", ""),
            getattr(versions.get(plan.candidate), "version", ""),
        ),
        opened=recorder.opened,
        clock=clock,
    )


def _wired(
    parts: Parts,
    versions: dict[str, Any],
    due: list[int],
    clock: FakeClock,
    ready: Callable[[], object],
    expected: tuple[type[Exception], ...],
    *,
    bind: bool,
) -> Bench:
    """Return a bench of these parts, with a provider and both variants."""
    provider, domain = ToldProvider(lambda _: says("v2")), f"bench-{next(_numbers)}"
    if bind:
        api.set_provider_and_wait(provider, domain)
    switch = Switch(ROUTE)
    switch.standing = FREE
    decider = Decider(
        parts,
        switch=switch,
        reader=FlagReader(parts.plan, api.get_client(domain)),
        provider="told",
        registered=versions,
        ready=ready,
    )
    bench = Bench(
        route=Route(parts, decider, versions, expected=expected),
        parts=parts,
        decider=decider,
        switch=switch,
        provider=provider,
        clock=clock,
        domain=domain,
        functions=versions,
        due=due,
    )
    for name in (parts.plan.control, parts.plan.candidate):
        bench.serve(name, _serving(bench, name))
    return bench


def _serving(bench: Bench, name: str) -> Callable[[], str]:
    def serve() -> str:
        bench.served.append(name)
        return name

    return serve
