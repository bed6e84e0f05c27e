import json
from dataclasses import replace
from math import inf

import pytest

from flipback.analysis import Analysis, as_json, describe, explain
from flipback.app import RouteStatus
from flipback.assignment import EVERYBODY, Cohort
from flipback.cli._status_json import status_json
from flipback.cli._status_text import status_text
from flipback.latch import Latch
from flipback.plan import FailsOn, Guardrail, RolloutPlan, Stage
from flipback.ports import ProcessRecord
from flipback.rollout import Phase
from flipback.signals import Measure
from flipback.verdict import (
    Action,
    Finding,
    Gate,
    GateFinding,
    Hoped,
    HypothesisFinding,
    Interval,
    Verdict,
)


PLAN = RolloutPlan(
    route="support",
    flag="support-model",
    control="v1",
    candidate="v2",
    stages=(Stage(weight=1),),
    guardrails=(Guardrail(metric="error", fails_on=FailsOn.INCREASE),),
)


def finding(cohort: Cohort, verdict: Verdict = Verdict.INCONCLUSIVE) -> Finding:
    return Finding(
        metric="error",
        cohort=cohort,
        verdict=verdict,
        log_e=4.25,
        peak_log_e=5.0,
        weight=0.5,
        control_n=900,
        candidate_n=100,
        control_value=0.02,
        candidate_value=0.05,
        interval=Interval(low=0.011, high=inf),
        deff=1.0,
        strata=1,
        engine="rate engine",
    )


def at_gate(
    place: int, verdict: Verdict, needs: int | None, note: str = ""
) -> GateFinding:
    return GateFinding(
        place=place,
        metric="error",
        cohort=EVERYBODY,
        verdict=verdict,
        margin=0.5,
        log_e=1.0,
        log_threshold=3.0,
        needs=needs,
        note=note,
    )


def gated(*findings: GateFinding, **changes: object) -> RouteStatus:
    gate = Gate(
        weight=10.0,
        next_weight=50.0,
        verdict=Verdict.INCONCLUSIVE,
        findings=findings,
    )
    route = status()
    assert route.analysis is not None
    promised = tuple(replace(finding(EVERYBODY), place=place) for place in range(3))
    return replace(
        route,
        analysis=replace(route.analysis, findings=promised),
        gate=replace(gate, **changes),  # type: ignore[arg-type]  # fields by name
    )


def status(**kinds: tuple[Finding, ...]) -> RouteStatus:
    broken, warned = kinds.get("broken", ()), kinds.get("warned", ())
    return RouteStatus(
        plan=PLAN,
        latch=Latch(route="support"),
        override=None,
        flag=None,
        analysis=Analysis(
            verdict=Verdict.FAIL if broken else Verdict.INCONCLUSIVE,
            findings=(finding(EVERYBODY), *broken),
            log_g=-inf,
            log_threshold=3.0,
            broken=broken,
            suspect=None,
            paused=kinds.get("paused", ()),
            warned=warned,
            peaks={},
            excluded={"targeting_match": 40},
        ),
        processes=(
            ProcessRecord(id="a", host="h", pid=1, seen_at=0.0, trips={"support": 2}),
        ),
        problems=(),
    )


def table(route: RouteStatus) -> list[str]:
    lines = status_text(route).splitlines()
    (start,) = (n for n, line in enumerate(lines) if line.split()[0] == "metric")
    count = len(route.analysis.findings) if route.analysis else 0
    return lines[start : start + 1 + count]


def test_the_evidence_is_a_table_that_lines_up() -> None:
    route = status(broken=(finding("plan=enterprise", Verdict.FAIL),))
    header, everybody, cohort = table(route)
    assert header.index("cohort") == everybody.index("(everybody)")
    assert len(everybody.partition("inconclusive")[0]) == header.index("verdict")
    assert cohort.split() == [
        *("error", "plan=enterprise", "900", "/", "100", "0.02", "0.05", "+150.0%"),
        *("+0.011", "..", "+inf", "4.25", "fail", "(blamed)"),
    ]


def test_harm_pauses_and_warnings_are_told_in_sentences() -> None:
    text = status_text(
        status(
            broken=(finding("plan=enterprise", Verdict.FAIL),),
            paused=(finding("plan=free"),),
            warned=(finding(EVERYBODY),),
        )
    )
    harm = describe(finding("plan=enterprise"))
    assert f"  harm       proven: {harm}" in text
    assert f"  pause      should pause: {describe(finding('plan=free'))}" in text
    assert f"  warning    {describe(finding(EVERYBODY))}" in text
    assert "  excluded   not compared: 40 by a fixed rule of the flag" in text
    assert "  processes  1 running\n" in text


def test_machines_get_null_for_what_is_not_finite() -> None:
    value = status_json(status())
    again = json.loads(json.dumps(value, allow_nan=False))
    assert again["evidence"]["log_g"] is None
    assert again["evidence"]["findings"][0]["interval"] == {
        "low": 0.011,
        "high": None,
    }
    assert again["evidence"]["excluded"] == {"targeting_match": 40}
    assert again["flag"] is None
    assert again["processes"][0]["trip"] == 2


def test_harm_proven_by_all_together_is_blamed_on_the_likeliest() -> None:
    route = status()
    assert route.analysis is not None
    suspect = route.analysis.findings[0]
    crossed = replace(route.analysis, verdict=Verdict.FAIL, suspect=suspect)
    text = status_text(replace(route, analysis=crossed))
    assert table(replace(route, analysis=crossed))[-1].endswith("fail (blamed)")
    assert "\n" + "".join(f"  {line}\n" for line in explain(suspect).splitlines()) in (
        f"{text}\n"
    )
    assert "blamed" not in status_text(route)


def test_proven_harm_on_which_nobody_acted_asks_for_a_kill() -> None:
    route = status(broken=(finding("plan=enterprise", Verdict.FAIL),))
    said = (
        "  warning    harm is proven, but no process has acted: "
        "run `flipback kill support --reason '...'`\n"
    )
    assert said in status_text(route)
    held = Latch(route="support", trip=1, held=True)
    assert "has acted" not in status_text(replace(route, latch=held))


def test_a_guarded_metric_that_nobody_records_is_told() -> None:
    route = replace(status(), unobserved=("no_click",), exposures=777)
    said = "  warning    candidate exposed 777 times, no `no_click` observed; see"
    assert said in status_text(route)
    assert status_json(route)["unobserved"] == ["no_click"]


def looked(**changes: object) -> RouteStatus:
    route = status()
    assert route.analysis is not None
    analysis = replace(route.analysis, **changes)  # type: ignore[arg-type]  # fields by name
    return replace(route, analysis=analysis)


def test_data_that_cannot_be_trusted_is_told_before_all_that_rests_on_it() -> None:
    route = looked(
        frozen=("9 % of subjects instead of 20 %",),
        faults=("clicks was never reported",),
        action=Action.FREEZE,
    )
    lines = status_text(route).splitlines()
    assert lines[1].startswith("  FROZEN     9 % of subjects instead of 20 %; nothing")
    assert lines[2].startswith("  FAULT      clicks was never reported; no stage")
    assert "  action     freeze: the data cannot be trusted" in lines


def test_what_a_look_asks_for_is_told() -> None:
    assert "  action     hold\n" in status_text(status())
    assert "  action     roll back\n" in status_text(looked(action=Action.ROLL_BACK))
    one = looked(action=Action.ROLL_BACK, cohorts=("plan=free",))
    assert "roll back: the harm is that of plan=free alone" in status_text(one)
    paused = status_text(looked(action=Action.PAUSE))
    assert "  action     pause: people must look, the split stays as it is\n" in paused


def test_what_of_a_metric_was_weighed_is_told() -> None:
    body = replace(finding(EVERYBODY), metric="latency_s", measure=Measure.LOG)
    tail = replace(body, measure=Measure.TAIL)
    capped = replace(body, metric="cost", measure=Measure.CAPPED)
    rows = table(looked(findings=(body, tail, capped)))[1:]
    names = ["latency_s (body)", "latency_s (tail)", "cost (capped)"]
    assert [row.strip().partition("  ")[0] for row in rows] == names


def test_users_are_counted_per_cohort() -> None:
    everybody = replace(finding(EVERYBODY), control_users=1200, candidate_users=99)
    free = replace(finding("plan=free"), control_users=3, candidate_users=1)
    said = "  users      (everybody) 1,200 / 99, plan=free 3 / 1\n"
    assert said in status_text(looked(findings=(everybody, free)))


def test_a_hope_is_told_with_what_is_known_of_its_effect() -> None:
    hoped = HypothesisFinding(
        metric="missed",
        hoped=-0.05,
        verdict=Hoped.NOT_SHOWN,
        relative=Interval(low=-0.07, high=inf),
    )
    text = status_text(looked(hypothesis=hoped))
    said = "not shown: missed falls by 5.0%; its effect is between -7.0% and +inf"
    assert f"  hypothesis {said}\n" in text
    nothing = replace(hoped, relative=None, note="no observations of the candidate")
    text = status_text(looked(hypothesis=nothing))
    assert "not shown: missed falls by 5.0%; no observations of the candi" in text


def test_the_gate_stands_beside_what_it_is_about() -> None:
    route = gated(
        at_gate(0, Verdict.PASS, 0),
        at_gate(1, Verdict.INCONCLUSIVE, 1234),
        at_gate(2, Verdict.INCONCLUSIVE, None, "control breaches the limit"),
    )
    rows = [row.split() for row in table(route)]
    assert rows[0][-2:] == ["gate", "verdict"]
    assert [row[row.index("4.25") + 1 : -1] for row in rows[1:]] == [
        ["passes"],
        ["1,234", "more"],
        ["never"],
    ]
    text = status_text(route)
    said = "from 10 % to 50 %: holds; harm ruled out by 1 of 3 findings"
    assert f"  gate       {said}\n" in text
    assert "  gate       error of (everybody): control breaches the limit\n" in text
    assert status_json(route)["gate"] == (as_json(route.gate) if route.gate else None)


def test_what_only_needs_time_does_not_say_never() -> None:
    early = "needs 9 more observations of control before its strata count"
    hopeless = "it needs over 1,000 times as many"
    route = gated(
        at_gate(0, Verdict.INCONCLUSIVE, None, early),
        at_gate(1, Verdict.INCONCLUSIVE, None, hopeless),
    )
    rows = table(route)[1:]
    assert " not yet " in rows[0]
    assert " never " in rows[1]


def test_proven_harm_counts_no_exposures_that_are_missing() -> None:
    text = status_text(
        gated(at_gate(0, Verdict.INCONCLUSIVE, 57), verdict=Verdict.FAIL)
    )
    assert "takes longest" not in text


def test_a_finished_rollout_has_no_gate() -> None:
    route = replace(gated(at_gate(0, Verdict.PASS, 0)), phase=Phase.FINISHED)
    assert "gate" not in status_text(route)


def test_a_guardrail_that_only_warns_is_not_asked_at_the_gate() -> None:
    route = gated(at_gate(1, Verdict.FAIL, None), at_gate(2, Verdict.PASS, 0))
    rows = [row.split() for row in table(route)]
    assert [row[-2] for row in rows[1:]] == ["-", "harm", "passes"]


def test_a_gate_says_all_that_it_waits_for_once() -> None:
    route = gated(
        waits=("the window is not over", "clicks was never reported"),
        asks=("plan=free", "plan=team"),
    )
    assert route.analysis is not None
    faulty = replace(route.analysis, faults=("clicks was never reported",))
    text = status_text(replace(route, analysis=faulty))
    assert "  gate       waits: the window is not over\n" in text
    assert "  gate       a person may accept, undecided: plan=free, plan=team\n" in text
    assert text.count("clicks was never reported") == 1


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Verdict.PASS, "may be left; harm"),
        (Verdict.FAIL, "holds, harm is proven; harm"),
        (Verdict.INCONCLUSIVE, "holds; harm"),
    ],
)
def test_a_gate_says_whether_the_stage_may_be_left(verdict: Verdict, said: str) -> None:
    assert f"from 10 % to 50 %: {said}" in status_text(gated(verdict=verdict))


def test_the_same_reason_is_told_once() -> None:
    never = at_gate(0, Verdict.INCONCLUSIVE, None)
    text = status_text(gated(never, never, never))
    said = "error of (everybody) and 2 more: no number of exposures will do"
    assert text.count(said) == 1


def test_three_findings_are_told_in_full() -> None:
    harms = [
        replace(finding(f"plan={n}", Verdict.FAIL), log_e=float(n)) for n in range(5)
    ]
    text = status_text(status(broken=tuple(harms)))
    told = [n for n in range(5) if f"error, cohort plan={n}: harm is proven" in text]
    assert told == [2, 3, 4]
