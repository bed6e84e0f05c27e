import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flipback.plan import FailsOn, Guardrail, Metric, MetricKind, RolloutPlan, Stage
from flipback.plan._metrics import MAX_MATURITY
from flipback.routing import LIFETIME


GATED = {"gated": True}
Table = dict[str, object]
RATIO: Table = {"numerator": "hit", "denominator": "flagged"}
COST: Table = {"sum": {"fraud_loss": 1.0, "review_cost": 1.0}}


def guardrail(metric: str, **changes: object) -> Table:
    written: Table = {"metric": metric, "fails_on": "increase", "tolerance": 0.05}
    return {**written, **changes}


def table(metrics: Table, *guardrails: Table, **changes: object) -> Table:
    guarded = guardrails or tuple(map(guardrail, metrics))
    return {
        "route": "fraud",
        "flag": "fraud-model",
        "control": "v1",
        "candidate": "v2",
        "metrics": metrics,
        "stages": [{"weight": 1}],
        "guardrails": list(guarded),
        **changes,
    }


def plan(metrics: Table, *guardrails: Table, **changes: object) -> RolloutPlan:
    return RolloutPlan.model_validate(
        table(metrics, *guardrails, **changes), context=GATED
    )


def refusal(metrics: Table, *guardrails: Table, **changes: object) -> str:
    with pytest.raises(ValidationError) as caught:
        plan(metrics, *guardrails, **changes)
    return str(caught.value)


NAMING: list[Callable[[str], Table]] = [
    lambda name: {"guardrails": [guardrail(name)]},
    lambda name: {"hypothesis": {"metric": name, "rises_by": 0.1}},
    lambda name: {"metrics": {name: {}}},
    lambda name: {"metrics": {"m": {**RATIO, "numerator": name}}},
    lambda name: {"metrics": {"m": {**RATIO, "denominator": name}}},
    lambda name: {"metrics": {"m": {"sum": {name: 1, "b": 1}}}},
]


@pytest.mark.parametrize(
    "naming",
    NAMING,
    ids=["guardrail", "hypothesis", "table", "numerator", "denominator", "sum"],
)
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a|b", "'a|b' has `|` in its name"),
        ("@", "'@' has `@` in its name"),
        ("c++", "'c++' has `+` in its name"),
        ("exposure", "`exposure` is the count of exposures"),
    ],
)
def test_no_metric_is_named_like_what_is_kept_of_one(
    naming: Callable[[str], Table], name: str, told: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)):
        RolloutPlan.model_validate({**table({}, guardrail("error")), **naming(name)})


@pytest.mark.parametrize("absent", ["numerator", "denominator"])
def test_half_a_ratio_is_told_what_it_lacks(absent: str) -> None:
    half = {key: name for key, name in RATIO.items() if key != absent}
    assert f'is missing: add `{absent} = "..."`' in refusal({"precision": half})


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ({**RATIO, **COST}, "a ratio or a sum, never both"),
        ({"numerator": "a", "denominator": "a"}, "the ratio is 1"),
        ({**RATIO, "kind": "mean"}, "made of others is weighed as a mean"),
        ({**COST, "kind": "event"}, "made of others is weighed as a mean"),
        ({"sum": {"a": 1}}, "a sum has at least two components: add one, or guard `a`"),
        ({"sum": {"a": 1, "b": 0}}, "a weight of 0 leaves the component out"),
        ({"matures_after": "5ms"}, "less than a second is no time"),
        ({"matures_after": "91d"}, "write at most '90d', after which receipts expire"),
        ({"missing": "bad"}, "without `matures_after` nobody can tell"),
        ({"missing": 0}, "without `matures_after` nobody can tell"),
        (
            {**RATIO, "matures_after": "7d", "missing": "bad"},
            "made of others has no outcomes of its own",
        ),
        ({"matures_after": "7d", "missing": "worst"}, "'worst' is not known here"),
        ({"matures_after": "7d", "missing": True}, "neither a number nor a word"),
        ({"matures_after": "7d", "missing": float("nan")}, "nan is not finite"),
        ({"sum": {"a": 1, "b": float("inf")}}, "finite number"),
    ],
)
def test_a_table_that_makes_no_sense_says_why(metric: Table, told: str) -> None:
    assert told in refusal({"m": metric})


def test_a_metric_in_code_obeys_the_same_rules() -> None:
    with pytest.raises(ValidationError, match="at least two components"):
        Metric(sum={"a": 1.0})


def test_an_outcome_may_take_as_long_as_its_receipt_is_valid() -> None:
    assert MAX_MATURITY == LIFETIME
    longest = Metric(matures_after=MAX_MATURITY)
    assert longest.matures_after == timedelta(days=90)


def test_ratios_and_sums_are_made_of_what_is_recorded() -> None:
    told = refusal({"precision": RATIO, "m": {"sum": {"precision": 1, "hit": -1}}})
    assert "`precision` is made of other metrics itself" in told
    told = refusal({"precision": RATIO, "m": {**RATIO, "denominator": "precision"}})
    assert "`precision` is made of other metrics itself" in told
    told = refusal({"m": {"sum": {"m": 1, "hit": -1}}})
    assert "`m` is made of other metrics itself" in told


@pytest.mark.parametrize(
    ("name", "metric", "told"),
    [
        ("error", {"matures_after": "1d"}, "`error` is known when the call ends"),
        ("latency_s", {"matures_after": "1d"}, "`latency_s` is known when the call en"),
        ("error", RATIO, "flipback records `error` itself"),
        ("latency_s", COST, "flipback records `latency_s` itself"),
        ("error", {"kind": "latency"}, "`error` is 0 or 1, which is no time"),
        ("error", {"kind": "heavy tail"}, "`error` is 0 or 1, which has no tail"),
        ("latency_s", {"kind": "event"}, "not an event"),
    ],
)
def test_what_flipback_records_itself_stays_what_it_is(
    name: str, metric: Table, told: str
) -> None:
    assert told in refusal({name: metric})
    if "kind" in metric:
        assert told in refusal({}, guardrail(name, kind=metric["kind"]))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("error", "mean"), ("latency_s", "mean"), ("latency_s", "heavy tail")],
)
def test_what_flipback_records_itself_may_be_weighed_otherwise(
    name: str, kind: str
) -> None:
    assert plan({name: {"kind": kind}}).kind_of(name) == kind


def test_a_metric_is_weighed_as_said_or_by_its_name() -> None:
    guards = (
        guardrail("error"),
        guardrail("latency_s"),
        guardrail("score"),
        guardrail("refused", kind="event"),
        guardrail("refused", fails_on="decrease"),
        guardrail("cost"),
        guardrail("precision"),
    )
    written = plan({"cost": {"kind": "heavy tail"}, "precision": RATIO}, *guards)
    assert {name: written.kind_of(name) for name in written.judged} == {
        "error": MetricKind.EVENT,
        "latency_s": MetricKind.LATENCY,
        "score": MetricKind.MEAN,
        "refused": MetricKind.EVENT,
        "cost": MetricKind.HEAVY_TAIL,
        "precision": MetricKind.MEAN,
    }


def test_a_metric_has_one_kind() -> None:
    told = refusal({"m": {"kind": "event"}}, guardrail("m", kind="mean"))
    assert "[metrics.m] says that `m` is of kind 'event'" in told
    twice = guardrail("m", kind="event"), guardrail("m", kind="mean", limit=2)
    assert "guardrails[1] says that `m` is of kind 'event'" in refusal({}, *twice)
    told = refusal({"m": RATIO}, guardrail("m", kind="mean"))
    assert "`m` is made of other metrics, so it is weighed as a mean" in told


def test_a_limit_is_a_share_whoever_says_that_the_metric_is_an_event() -> None:
    slo = guardrail("m", tolerance=None, limit=2)
    assert "2 is no share of subjects" in refusal({"m": {"kind": "event"}}, slo)
    plan({"m": {"kind": "mean"}}, slo)


def test_a_latency_has_one_bad_side() -> None:
    told = refusal({}, guardrail("latency_s", fails_on="change"))
    assert "`latency_s` is a latency, of which only more is harm" in told
    plan({}, guardrail("latency_s", fails_on="change", kind="mean"))


MATURED: Table = {"matures_after": "30d"}


@pytest.mark.parametrize(
    ("metric", "fails_on", "told"),
    [
        ({"kind": "latency", "missing": 1}, "increase", "of which none can be filled"),
        ({"kind": "latency", "missing": "bad"}, "increase", "of which none can be fil"),
        ({"kind": "heavy tail", "missing": "bad"}, "increase", "no value is the bad"),
        ({"kind": "event", "missing": 0}, "increase", "without an outcome saw none"),
        ({"missing": "bad"}, "change", "neither 0 nor 1 is bad"),
    ],
)
def test_a_missing_outcome_counts_as_something_that_exists(
    metric: Table, fails_on: str, told: str
) -> None:
    guarded = guardrail("m", fails_on=fails_on)
    assert told in refusal({"m": {**MATURED, **metric}}, guarded)


@pytest.mark.parametrize(
    "metric",
    [
        {"missing": "exclude"},
        {"missing": "bad"},
        {"missing": -2.5},
        {"kind": "event", "missing": "bad"},
        {"kind": "heavy tail", "missing": 0},
        {"kind": "latency"},
    ],
)
def test_a_missing_outcome_may_count(metric: Table) -> None:
    written = plan({"m": {**MATURED, **metric}})
    assert written.metric("m").missing == metric.get("missing", "exclude")


@pytest.mark.parametrize("metric", [RATIO, COST, {**RATIO, **MATURED}])
def test_ratios_and_sums_can_be_guarded_limited_and_hoped_for(metric: Table) -> None:
    slo = guardrail("m", fails_on="decrease", tolerance=None, limit=-3)
    hope = {"metric": "m", "rises_by": 0.1, "required": True}
    written = plan({"m": metric}, guardrail("m"), slo, hypothesis=hope)
    assert written.recorded == {"error", "latency_s", *written.metric("m").components}


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("clisk", "did you mean `click`?"), ("revenue", "add one, or remove the table")],
)
def test_a_table_that_nothing_uses_is_a_misspelling(name: str, remedy: str) -> None:
    told = refusal({name: MATURED}, guardrail("click"))
    assert f"no guardrail or hypothesis is about this metric: {remedy}" in told


def test_the_table_of_a_part_says_how_it_is_weighed_and_no_more() -> None:
    guards = (guardrail("precision"),)
    plan({"precision": RATIO, "flagged": {"kind": "event"}}, *guards)
    late = {"matures_after": "7d", "missing": "bad"}
    told = refusal({"precision": RATIO, "flagged": late}, *guards)
    assert told.count("as a part of `precision` the metric counts when") == 2
    plan({"precision": RATIO, "flagged": late}, *guards, guardrail("flagged"))


def test_a_table_for_the_hypothesis_alone_is_used() -> None:
    hope = {"metric": "clicks", "rises_by": 0.1}
    plan({"clicks": MATURED}, guardrail("error"), hypothesis=hope)


def test_tables_survive_being_written_and_read() -> None:
    late = {**MATURED, "missing": 0.5}
    metrics: Table = {"precision": RATIO, "cost": COST, "late": late}
    written = plan(metrics, gate="strict", undecided="ask", max_ramp_margin=0.5)
    again = RolloutPlan.model_validate_json(written.model_dump_json(), context=GATED)
    assert again == written
    assert again.digest == written.digest


names = st.sampled_from(["a", "b", "error", "latency_s", "m", "n"])
described = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from([kind.value for kind in MetricKind]),
        "numerator": names,
        "denominator": names,
        "sum": st.dictionaries(names, st.integers(-1, 1), max_size=3),
        "matures_after": st.sampled_from(["0s", "1s", "7d"]),
        "missing": st.sampled_from(["exclude", "bad", 0, 1.5]),
    },
)


@given(st.dictionaries(names, described, max_size=3), st.lists(names, min_size=1))
def test_in_every_plan_that_is_taken_each_guarded_metric_is_well_defined(
    metrics: Table, guarded: list[str]
) -> None:
    guards = [guardrail(name) for name in dict.fromkeys(guarded)]
    try:
        written = plan(metrics, *guards)
    except ValidationError:
        return
    for name in written.judged:
        metric = written.metric(name)
        assert not any(written.metric(part).components for part in metric.components)
        assert set(metric.components or (name,)) <= written.recorded
        assert not metric.components or written.kind_of(name) is MetricKind.MEAN
        assert metric.missing == "exclude" or metric.matures_after


def test_a_plan_in_code_may_use_every_direction() -> None:
    promise = Guardrail(metric="flagged", fails_on=FailsOn.CHANGE)
    written = RolloutPlan(
        route="r",
        flag="f",
        control="v1",
        candidate="v2",
        stages=(Stage(weight=1),),
        guardrails=(promise,),
    )
    assert written.guardrails == (promise,)
