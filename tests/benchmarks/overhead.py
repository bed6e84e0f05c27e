"""What routing adds to the flag evaluation that an application pays for anyway.

All contenders take turns in short rounds in one thread, and each ratio is the
median over rounds of a ratio within one round: a busy machine slows both sides.
Time is that of the thread, so other processes do not count.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Sampler,
    SamplingResult,
)
from typing_extensions import override

import flipback
from flipback_providers.flagfile import FlagFileProvider


USERS = 200
ROUNDS = 60
FLAG = """{"flags": {"model": {"state": "ENABLED",
  "variants": {"v1": "v1", "v2": "v2"}, "defaultVariant": "v1",
  "targeting": {"if": [
    {"==": [{"var": "plan"}, "internal"]}, "v2",
    {"in": [{"var": "country"}, ["AQ"]]}, "v1",
    {"ends_with": [{"var": "email"}, "@example.com"]}, "v2",
    {"fractional": [["v1", 75], ["v2", 25]]}]}}}}"""
PLAN = """
route = "model"
flag = "model"
control = "v1"
candidate = "v2"
[cohorts]
plan = ["free", "enterprise"]
[[stages]]
weight = 25
[[guardrails]]
metric = "error"
fails_on = "increase"
tolerance = 0.2
"""
CONFIG = """
flags = "flagfile:flags.flagd.json"
plans = ["plan.toml"]
guard = {{ run = "manual", flush = "1h" }}
telemetry = {{ spans = "{spans}" }}
"""
ATTRIBUTES = {f"attribute.{number}": "value" for number in range(8)}
Contender = Callable[[EvaluationContext], object]


class _Switchable(Sampler):
    """A sampler that the benchmark turns on and off."""

    sampler: Sampler = ALWAYS_ON

    @override
    def should_sample(self, *args: object, **kwargs: object) -> SamplingResult:
        return self.sampler.should_sample(*args, **kwargs)  # type: ignore[arg-type]

    @override
    def get_description(self) -> str:
        return "switchable"


def main() -> str:
    """Measure and return the table."""
    switchable = _Switchable()
    trace.set_tracer_provider(TracerProvider(sampler=switchable))
    tracer = trace.get_tracer("benchmark")

    with tempfile.TemporaryDirectory() as folder:
        provider = FlagFileProvider(
            _write(Path(folder), "off").parent / "flags.flagd.json"
        )
        api.set_provider_and_wait(provider, "bare")
        client = api.get_client("bare")

        def in_span(user: EvaluationContext) -> None:
            with tracer.start_as_current_span("span", attributes=ATTRIBUTES):
                client.get_string_details("model", "v1", user)

        with (
            flipback.Router.from_config(_write(Path(folder, "off"), "off")) as off,
            flipback.Router.from_config(_write(Path(folder, "on"), "create")) as on,
        ):
            plain, traced = _routed(off), _routed(on)
            times = _measure(
                {
                    "provider": lambda u: provider.resolve_string_details(
                        "model", "v1", u
                    ),
                    "client": lambda u: client.get_string_details("model", "v1", u),
                    "routed": plain,
                    "sampled out": traced,
                    "recorded": traced,
                    "in span": in_span,
                },
                switchable,
            )
        api.shutdown()
    return _table(times)


def _measure(
    contenders: Mapping[str, Contender], switchable: _Switchable
) -> Mapping[str, Sequence[float]]:
    users = [
        EvaluationContext(
            f"user-{number}",
            {"plan": ("free", "enterprise")[number % 2], "country": "DE", "email": "x"},
        )
        for number in range(USERS)
    ]
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, contender in contenders.items():
            switchable.sampler = ALWAYS_OFF if name == "sampled out" else ALWAYS_ON
            started = time.thread_time()
            for user in users:
                contender(user)
            times[name].append((time.thread_time() - started) / USERS * 1e6)
    return times


def _table(times: Mapping[str, Sequence[float]]) -> str:
    def us(name: str) -> float:
        return statistics.median(times[name])

    def ratio(name: str) -> float:
        pairs = zip(times[name], times["client"], strict=True)
        return statistics.median(mine / bare for mine, bare in pairs)

    # Both spans are measured around an evaluation: alone in a loop, a span is
    # twice as quick, because the processor's caches hold nothing else.
    spans = [
        (recorded - routed) / (in_span - bare)
        for recorded, routed, in_span, bare in zip(
            *(times[name] for name in ("recorded", "routed", "in span", "client")),
            strict=True,
        )
    ]
    rows = {
        "flag file provider, bare": ("provider", ""),
        "the same through the OpenFeature client": ("client", ""),
        "routed call, no span": ("routed", "<= 1.50x"),
        "routed call, span sampled out": ("sampled out", ""),
        "routed call, span recorded": ("recorded", ""),
        "the client inside a bare recorded span, 8 attributes": ("in span", ""),
    }
    lines = [
        "| one call around an empty model | us | beside the client | target |",
        "|---|---|---|---|",
    ]
    for title, (name, target) in rows.items():
        lines.append(f"| {title} | {us(name):.1f} | {ratio(name):.2f}x | {target} |")
    added = f"The recorded span adds {statistics.median(spans):.2f}x a bare one"
    return "\n".join([*lines, "", f"{added} (target <= 1.30x)."])


def _routed(router: flipback.Router) -> Contender:
    route: flipback.Route[[], None] = router.route("model")

    @route.variant("v1", version="1")
    def control() -> None: ...

    @route.variant("v2", version="2")
    def candidate() -> None: ...

    return route.call


def _write(folder: Path, spans: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "flags.flagd.json").write_text(FLAG)
    (folder / "plan.toml").write_text(PLAN)
    config = folder / "flipback.toml"
    config.write_text(CONFIG.format(spans=spans))
    return config
