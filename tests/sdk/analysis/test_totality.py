"""One value that cannot be weighed must not disarm the guard of all the others."""

import json
from array import array
from collections.abc import Mapping
from math import inf, isfinite, isnan, nan

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.sdk.analysis._booked import Book, plan_of, seeded

from flipback.analysis import Analysis, PeakKey, analyze, as_json, explain
from flipback.assignment import EVERYBODY, Cohort
from flipback.booking import signals_of
from flipback.exposure import BUCKETS, MAX_VALUE, Cell, CellKey, Evidence
from flipback.plan import Hypothesis, RolloutPlan
from flipback.signals import Part
from flipback.verdict import Action, Finding, Verdict


ERRORS = {"metric": "error", "fails_on": "increase"}
RESOLVED = {"metric": "resolved", "fails_on": "decrease"}
COHORT = "segment=new"
PLANS = (
    plan_of(ERRORS, RESOLVED, segments=["new"]),
    plan_of(ERRORS, {**RESOLVED, "tolerance": 0.05, "smallest_harm": 1e-3}),
    plan_of(ERRORS, {**RESOLVED, "fails_on": "increase", "tolerance": 1.0}),
    plan_of(ERRORS, {**RESOLVED, "limit": 0.9}),
    plan_of(ERRORS, {**RESOLVED, "limit": 1e80, "fails_on": "increase"}),
    plan_of(ERRORS, {**RESOLVED, "limit": 0.0, "smallest_harm": 1e-300}),
)
COUNTS = st.integers(1, 10**15) | st.sampled_from([0, 1, 30, 10**15])
POISON = st.sampled_from([inf, -inf, nan, -0.0, 1e200, -1e200, 1.7e308, 5e-324, 1e-160])
SUMS = POISON | st.floats() | st.floats(-1e100, 1e100) | st.floats(-2, 2)


def cell_of(origin: float, n: list[int], x: list[float], xx: float) -> Cell:
    cell = Cell(origin)
    cell.n, cell.x, cell.xx = array("q", n), array("d", x), xx
    return cell


@st.composite
def any_sums(draw: st.DrawFn) -> Cell:
    """Draw sums that need not be those of any values."""
    sizes = draw(st.lists(COUNTS, min_size=1, max_size=4))
    sums = draw(st.lists(SUMS, min_size=1, max_size=4))
    n = [sizes[place % len(sizes)] for place in range(BUCKETS)]
    x = [sums[place % len(sums)] for place in range(BUCKETS)]
    return cell_of(draw(SUMS), n, x, draw(SUMS))


@st.composite
def sums_of_values(draw: st.DrawFn) -> Cell:
    """Draw the sums of two finite values, each as often as counted in each bucket."""
    sizes = st.floats(-MAX_VALUE, MAX_VALUE) | st.sampled_from(
        [0.0, 1.0, MAX_VALUE, -MAX_VALUE, 5e-324, 1e-160, 1e-100, 1e50]
    )
    one, other = draw(sizes), draw(sizes)
    cell = Cell.starting_at(one)
    n = draw(COUNTS)
    extra = draw(st.sampled_from([0, 1, n]))
    away = other - cell.origin
    near = one - cell.origin
    for bucket in range(BUCKETS):
        times = extra if bucket % 2 else 0
        cell.n[bucket] = n + times
        cell.x[bucket] = n * near + times * away
        cell.xx += n * near * near + times * away * away
    return cell


def broken_errors() -> Book:
    book = Book()
    book.events("control", 0, 1000)
    book.events("candidate", 20, 1000)
    return book


def key(
    variant: str,
    *,
    epoch: str = "e1",
    cohort: Cohort = EVERYBODY,
    metric: str = "resolved",
) -> CellKey:
    return CellKey("answer", 1, epoch, "", 0, metric, cohort, variant)


def resolved(analysis: Analysis, cohort: Cohort = EVERYBODY) -> Finding:
    (finding,) = [
        each
        for each in analysis.findings
        if (each.metric, each.cohort) == ("resolved", cohort)
    ]
    return finding


def beside_broken_errors(plan: RolloutPlan, cells: Mapping[CellKey, Cell]) -> Analysis:
    book = broken_errors()
    evidence = Evidence(cells=cells, subjects=book.subjects, excluded={})
    analysis = analyze(plan, evidence)
    assert analysis.verdict is Verdict.FAIL
    assert "error" in {finding.metric for finding in analysis.broken}
    assert isfinite(analysis.log_g)
    assert analysis.suspect is not None
    for finding in analysis.findings:
        assert_shown(finding)
    return analysis


def assert_shown(finding: Finding) -> None:
    assert isfinite(finding.log_e)
    assert isfinite(finding.peak_log_e)
    assert isfinite(finding.deff)
    for value in (finding.control_value, finding.candidate_value):
        assert value is None or isfinite(value)
    if finding.interval is not None:
        assert not isnan(finding.interval.low + 0 * finding.weight)
        assert finding.interval.low <= finding.interval.high


@settings(max_examples=300)
@given(
    cells=st.lists(any_sums() | sums_of_values(), min_size=4, max_size=4),
    plan=st.sampled_from(PLANS),
)
@example(cells=[cell_of(0.0, [9] * 64, [nan] * 64, nan)] * 4, plan=PLANS[0])
def test_whatever_the_sums_are_a_broken_guardrail_beside_them_fails(
    cells: list[Cell], plan: RolloutPlan
) -> None:
    one, two, three, four = cells
    for cohort in (EVERYBODY, COHORT):
        beside_broken_errors(
            plan,
            {
                key("control", cohort=cohort): one,
                key("candidate", cohort=cohort): two,
                key("control", epoch="e2", cohort=cohort): three,
                key("candidate", epoch="e2", cohort=cohort): four,
            },
        )


OF_EVERY_KIND = plan_of(
    ERRORS,
    {"metric": "took", "fails_on": "increase", "tolerance": 0.1},
    {"metric": "cost", "fails_on": "change"},
    {"metric": "part", "fails_on": "decrease", "tolerance": 0.05},
    {"metric": "worth", "fails_on": "increase"},
    {"metric": "rare", "fails_on": "increase", "tolerance": 1.0},
    {"metric": "rare", "fails_on": "increase", "limit": 0.5},
    {"metric": "done", "fails_on": "change", "tolerance": 1.0},
    {"metric": "late", "fails_on": "decrease"},
    {"metric": "late", "fails_on": "increase", "limit": 1.0},
    segments=["new"],
    hypothesis={"metric": "late", "rises_by": 0.1},
    metrics={
        "took": {"kind": "latency"},
        "cost": {"kind": "heavy tail"},
        "part": {"numerator": "one", "denominator": "other"},
        "worth": {"sum": {"one": 1e100, "other": -1e-100}},
        "rare": {"kind": "event", "missing": "bad", "matures_after": "1d"},
        "done": {"kind": "event"},
        "late": {"matures_after": "1d", "missing": 1e100},
    },
)
HOPES = tuple(
    OF_EVERY_KIND.model_copy(update={"hypothesis": Hypothesis(metric=name, **hope)})
    for name in ("late", "rare", "took", "cost", "part", "worth", "done")
    for hope in ({"rises_by": 1e300}, {"falls_by": 1 - 2**-53})
)


def names_of(plan: RolloutPlan) -> list[tuple[str, str]]:
    """Return every signal's name with each variant that it may be booked under."""
    metrics = [name for name in plan.judged if name != "error"]
    signals = {signal for name in metrics for signal in signals_of(plan, name)}
    names = [each._replace(part=part).name for each in signals for part in Part]
    exposures = ["exposure", "exposure@86400"]
    return [
        (name, variant)
        for name in sorted(names) + exposures
        for variant in ("control", "candidate")
    ]


@settings(max_examples=100, deadline=None)
@given(
    cells=st.lists(any_sums() | sums_of_values(), min_size=6, max_size=6),
    counts=st.lists(COUNTS, min_size=5, max_size=5),
    shuffle=st.integers(0, 99),
    plan=st.sampled_from(HOPES),
    share=st.sampled_from([0.0, 0.5, 5e-324, 1.0, nan]) | st.floats(),
)
def test_no_kind_of_metric_disarms_the_guard_of_another(
    cells: list[Cell],
    counts: list[int],
    shuffle: int,
    plan: RolloutPlan,
    share: float,
) -> None:
    rng, book = seeded(shuffle), broken_errors()
    booked: dict[CellKey, Cell] = {}
    for name, variant in names_of(plan):
        for epoch in ("e1", "e2"):
            for cohort in (EVERYBODY, COHORT):
                where = key(variant, epoch=epoch, cohort=cohort, metric=name)
                booked[where] = rng.choice(cells)
                if name != "exposure" or epoch != "e1":
                    book.subjects[where] = rng.choice(counts)
    evidence = Evidence(
        cells=booked,
        subjects=book.subjects,
        excluded={},
        shares={("e2", ""): share},
    )
    analysis = analyze(plan, evidence, now=rng.choice([inf, 0.0, 1e18]))
    assert "error" in {finding.metric for finding in analysis.broken}
    assert analysis.action in (Action.ROLL_BACK, Action.FREEZE)
    for finding in analysis.findings:
        assert_shown(finding)
    json.dumps(as_json(analysis), allow_nan=False)
    for finding in (*analysis.findings, analysis.hypothesis):
        assert finding is not None
        assert explain(finding)


@pytest.mark.parametrize("guardrail", [RESOLVED, {**RESOLVED, "limit": 0.9}])
@pytest.mark.parametrize("huge", [1e200, -1e200, 1.7e308])
def test_one_huge_value_leaves_its_guardrail_undecided_and_says_so(
    guardrail: Mapping[str, object], huge: float
) -> None:
    book = broken_errors()
    book.values("control", "resolved", [0.0, 1.0, 1.0, 1.0] * 100)
    book.values("candidate", "resolved", [0.0, 1.0] * 100)
    book.value("candidate", "resolved", huge)
    analysis = beside_broken_errors(plan_of(ERRORS, guardrail), book.cells)
    finding = resolved(analysis)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.log_e == 0
    assert finding.interval is None
    assert finding.note.startswith("a value of resolved is too large to weigh; ")


def test_a_huge_value_in_one_cohort_leaves_another_armed() -> None:
    rng, book = seeded(1), Book()
    for segment in ("a", "b"):
        cohort = f"segment={segment}"
        good = [float(rng.random() < 0.9) for _ in range(2000)]
        bad = [float(rng.random() < 0.4) for _ in range(500)]
        book.values("control", "resolved", good, cohort=cohort)
        book.values("candidate", "resolved", bad, cohort=cohort)
    book.value("candidate", "resolved", 1e200, cohort="segment=a")
    analysis = analyze(plan_of(RESOLVED, segments=["a", "b"]), book.evidence)
    assert [finding.cohort for finding in analysis.broken] == ["segment=b"]


def test_control_that_cannot_be_weighed_excuses_no_breach_of_a_limit() -> None:
    book = Book()
    book.value("control", "resolved", 0.0)
    book.value("control", "resolved", 1e200)
    book.values("candidate", "resolved", [0.0] * 100)
    analysis = analyze(plan_of({**RESOLVED, "limit": 0.9}), book.evidence)
    assert analysis.verdict is Verdict.FAIL


@pytest.mark.parametrize("scale", [1e-100, 1e-6, 1.0, 1e6, 1e98])
def test_the_unit_of_a_metric_does_not_decide(scale: float) -> None:
    rng, book = seeded(1), Book()
    good = [scale * rng.gauss(10, 1) for _ in range(2000)]
    bad = [scale * rng.gauss(9, 1) for _ in range(500)]
    book.values("control", "resolved", good)
    book.values("candidate", "resolved", bad)
    finding = resolved(analyze(plan_of(RESOLVED), book.evidence))
    assert finding.verdict is Verdict.FAIL
    assert finding.log_e == pytest.approx(171.543125)


def test_values_too_close_to_be_squared_say_that_they_are_the_same() -> None:
    book = Book()
    book.values("control", "resolved", [0.0, 1e-200] * 100)
    book.values("candidate", "resolved", [0.0, 1e-200] * 100)
    assert "same value" in resolved(analyze(plan_of(RESOLVED), book.evidence)).note


@pytest.mark.parametrize("guardrail", [RESOLVED, {**RESOLVED, "limit": 1e90}])
def test_evidence_that_overflows_leaves_its_guardrail_undecided(
    guardrail: Mapping[str, object],
) -> None:
    book = Book()
    book.values("control", "resolved", [1e90, 1e90] * 100)
    book.values("candidate", "resolved", [0.0, 1e-130] * 100)
    finding = resolved(analyze(plan_of(guardrail), book.evidence))
    assert finding.log_e == 0
    if not isinstance(guardrail.get("limit"), float):
        return
    assert "too small or too far apart to weigh" in finding.note


@pytest.mark.parametrize("peak", [nan, inf])
def test_a_peak_that_is_no_finite_number_is_forgotten(peak: float) -> None:
    plan = plan_of(RESOLVED, ERRORS)
    known = {PeakKey(0, ""): peak}
    analysis = analyze(plan, broken_errors().evidence, peaks=known)
    assert [finding.metric for finding in analysis.broken] == ["error"]
    assert analysis.peaks[PeakKey(0, "")] == 0


@pytest.mark.parametrize("importance", [5e-324, 1e-300, 1e308])
def test_an_importance_of_any_size_leaves_the_other_armed(importance: float) -> None:
    plan = plan_of({**ERRORS, "importance": importance}, RESOLVED, segments=["new"])
    analysis = analyze(plan, broken_errors().evidence)
    assert sum(finding.weight for finding in analysis.findings) == pytest.approx(1)
    assert not isnan(analysis.log_g)
    heaviest = {**ERRORS, "importance": 1e308}
    both = plan_of(heaviest, {**RESOLVED, "importance": 1e308})
    assert analyze(both, broken_errors().evidence).verdict is Verdict.FAIL


@settings(max_examples=200)
@given(
    hits=st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)),
    exposed=st.tuples(COUNTS, COUNTS),
    guardrail=st.fixed_dictionaries(
        {
            "metric": st.just("error"),
            "fails_on": st.sampled_from(["increase", "decrease"]),
            "limit": st.sampled_from([None, 5e-324, 0.5, 1 - 2**-53]),
            "tolerance": st.sampled_from([0.0, 1 - 2**-53, 1.0, 10.0]),
        }
    ),
    alpha=st.sampled_from([0.2, 0.05, 1e-300, 5e-324]),
)
def test_events_are_weighed_whatever_their_counts(
    hits: tuple[int, int],
    exposed: tuple[int, int],
    guardrail: Mapping[str, object],
    alpha: float,
) -> None:
    book = Book()
    book.events("candidate", hits[0], exposed[0])
    book.events("control", hits[1], exposed[1])
    analysis = analyze(plan_of(guardrail, alpha=alpha), book.evidence)
    assert_shown(analysis.findings[0])
