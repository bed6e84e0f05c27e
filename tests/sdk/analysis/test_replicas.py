"""How the stream was divided among processes must not matter."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sdk.analysis._booked import plan_of, seeded

from flipback.analysis import Analysis, analyze
from flipback.exposure import CellKey, Evidence
from flipback.histogram import MIN_OBSERVATIONS, Histogram
from flipback.tally import Seen, Tally, merged
from flipback.verdict import Verdict


DAY = 86_400.0
WARM = "warm"
SHARES = {"e1": 0.2, "e2": 0.4}
PLAN = plan_of(
    {"metric": "error", "fails_on": "increase"},
    {"metric": "error", "fails_on": "increase", "limit": 0.2},
    {"metric": "latency_s", "fails_on": "increase", "tolerance": 0.02},
    {"metric": "cost", "fails_on": "increase"},
    {"metric": "balance", "fails_on": "decrease"},
    {"metric": "flag", "fails_on": "change"},
    {"metric": "precision", "fails_on": "decrease"},
    {"metric": "worth", "fails_on": "decrease"},
    {"metric": "kept", "fails_on": "decrease", "tolerance": 0.01},
    {"metric": "score", "fails_on": "decrease"},
    {"metric": "score", "fails_on": "decrease", "limit": 5.0},
    segments=["a", "b"],
    hypothesis={"metric": "score", "rises_by": 0.1},
    metrics={
        "cost": {"kind": "heavy tail"},
        "precision": {"numerator": "true_flag", "denominator": "flag"},
        "worth": {"sum": {"score": 1.0, "cost": -0.5}},
        "kept": {"matures_after": "2d", "missing": "bad"},
    },
)


class Call(NamedTuple):
    seen: Seen
    metrics: Mapping[str, float]
    is_pair: bool


def stream(seed: int, count: int = 600) -> list[Call]:
    rng = seeded(seed)
    return [call(rng, f"e{1 + (place > count / 2)}") for place in range(count)]


def call(rng: Random, epoch: str) -> Call:
    variant = "candidate" if rng.random() < SHARES[epoch] else "control"
    segment = rng.choice(["a", "b"])
    at = DAY * rng.random()
    subject = rng.getrandbits(64)
    seen = Seen(variant, subject, (f"segment={segment}",), epoch, "rule", at)
    return Call(seen, values(rng), rng.random() < 0.2)


def values(rng: Random) -> dict[str, float]:
    flag = float(rng.random() < 0.4)
    found = {
        "error": float(rng.random() < 0.05),
        "latency_s": rng.lognormvariate(0, 1),
        "cost": rng.lognormvariate(0, 1.5),
        "balance": 1e8 + rng.gauss(0, 1),
        "flag": flag,
        "true_flag": flag * float(rng.random() < 0.8),
        "score": rng.gauss(7, 2),
    }
    return found | ({"kept": 1.0} if rng.random() < 0.8 else {})


def tallied(calls: Sequence[Call]) -> Tally:
    """Add calls up as one process does, with percentiles that all processes share."""
    tally = Tally(PLAN)
    rng = seeded(0)
    for place in range(MIN_OBSERVATIONS):
        seen = tally.expose(Seen("control", place, epoch=WARM))
        for metric in ("latency_s", "cost"):
            tally.outcome(seen, metric, rng.lognormvariate(0, 1))
    tally.freeze()
    for each in calls:
        add(tally, each)
    return tally


def add(tally: Tally, each: Call) -> None:
    if each.is_pair:
        for metric, value in each.metrics.items():
            if metric in ("error", "score", "latency_s"):
                tally.pair(each.seen, metric, value, value)
        return
    seen = tally.expose(each.seen, share=SHARES[each.seen.epoch])
    for metric, value in each.metrics.items():
        tally.outcome(seen, metric, value, now=seen.at + DAY)


def together(tallies: Sequence[Tally]) -> Evidence:
    """Merge what processes added up, as a store does; the warm-up is everybody's."""
    parts = [tally.evidence for tally in tallies]
    subjects: dict[CellKey, int] = {}
    histograms: dict[str, Histogram] = {}
    shares: dict[tuple[str, str], float] = {}
    for part in parts:
        shares |= part.shares
        for key, count in part.subjects.items():
            if key.epoch != WARM:
                subjects[key] = subjects.get(key, 0) + count
        for metric, histogram in part.histograms.items():
            histograms.setdefault(metric, Histogram()).merge(histogram)
    cells = merged(
        {key: cell for key, cell in part.cells.items() if key.epoch != WARM}
        for part in parts
    )
    return Evidence(
        cells=cells,
        subjects=subjects,
        excluded={},
        shares=shares,
        histograms=histograms,
    )


def assert_alike(one: Analysis, other: Analysis) -> None:
    assert (one.action, one.verdict) == (other.action, other.verdict)
    assert other.log_g == pytest.approx(one.log_g, abs=1e-9)
    for mine, yours in zip(one.findings, other.findings, strict=True):
        assert yours.log_e == pytest.approx(mine.log_e, rel=1e-9, abs=1e-9)
        assert yours.note == mine.note
    peaks = [dict(each.peaks) for each in (one, other)]
    assert peaks[0] == pytest.approx(peaks[1], rel=1e-9, abs=1e-9)


@pytest.mark.long
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 99), replicas=st.integers(1, 7), shuffle=st.integers(0, 99))
def test_any_partition_into_replicas_gives_the_same_evidence_of_every_kind(
    seed: int, replicas: int, shuffle: int
) -> None:
    calls, rng = stream(seed), seeded(shuffle)
    whole = analyze(PLAN, together([tallied(calls)]), now=9 * DAY)
    parts: list[list[Call]] = [[] for _ in range(replicas)]
    for each in rng.sample(calls, len(calls)):
        rng.choice(parts).append(each)
    tallies = [tallied(part) for part in parts]
    rng.shuffle(tallies)
    assert_alike(whole, analyze(PLAN, together(tallies), now=9 * DAY))


def test_every_kind_is_weighed_in_that_stream() -> None:
    analysis = analyze(PLAN, together([tallied(stream(1))]), now=9 * DAY)
    weighed = {(each.metric, each.measure) for each in analysis.findings if each.log_e}
    assert weighed == {(each.metric, each.measure) for each in analysis.findings}
    assert analysis.hypothesis is not None
    assert analysis.hypothesis.relative is not None


@pytest.mark.parametrize("harmed", [True, False])
def test_a_restart_in_the_middle_gives_the_same_verdict(
    harmed: bool,  # noqa: FBT001 - a column of a table
) -> None:
    calls = [harm(each) if harmed else each for each in stream(7)]
    before, after = calls[:300], calls[300:]
    first = analyze(PLAN, together([tallied(before)]), now=9 * DAY)
    whole = analyze(PLAN, together([tallied(calls)]), peaks=first.peaks, now=9 * DAY)
    sums = together([tallied(before), tallied(after)])
    restarted = analyze(PLAN, sums, peaks=first.peaks, now=9 * DAY)
    assert_alike(whole, restarted)
    forgetful = analyze(PLAN, sums, now=9 * DAY)
    assert forgetful.verdict is whole.verdict
    assert (whole.verdict is Verdict.FAIL) == harmed


def harm(call: Call) -> Call:
    if call.seen.variant == "control" or call.is_pair:
        return call
    return call._replace(metrics={**call.metrics, "error": 1.0})
