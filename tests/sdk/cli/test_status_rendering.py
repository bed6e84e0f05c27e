import json
from dataclasses import replace
from math import inf

from flipback.analysis import Analysis
from flipback.app import RouteStatus
from flipback.assignment import EVERYBODY, Cohort
from flipback.cli._status_json import status_json
from flipback.cli._status_text import status_text
from flipback.control import describe
from flipback.latch import Latch
from flipback.plan import FailsOn, Guardrail, RolloutPlan, Stage
from flipback.ports import ProcessRecord
from flipback.verdict import Finding, Interval, Verdict


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


def test_the_evidence_is_a_table_that_lines_up() -> None:
    lines = status_text(status(broken=(finding("plan=enterprise", Verdict.FAIL),)))
    header, everybody, cohort = lines.splitlines()[-3:]
    assert header.index("cohort") == everybody.index("(everybody)")
    assert len(everybody.partition("inconclusive")[0]) == header.index("verdict")
    assert cohort.split() == [
        *("error", "plan=enterprise", "900", "100", "0.02", "0.05", "+150.0%"),
        *("0.011", "..", "+inf", "4.25", "fail", "(blamed)"),
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
    assert "  excluded   40 targeting_match" in text
    assert "  processes  1 running\n" in text


def test_machines_get_null_for_what_is_not_finite() -> None:
    value = status_json(status())
    again = json.loads(json.dumps(value, allow_nan=False))
    assert again["evidence"]["log_g"] is None
    assert again["evidence"]["findings"][0]["interval"] == [0.011, None]
    assert again["evidence"]["excluded"] == {"targeting_match": 40}
    assert again["flag"] is None
    assert again["processes"][0]["trip"] == 2


def test_harm_proven_by_all_together_is_blamed_on_the_likeliest() -> None:
    route = status()
    assert route.analysis is not None
    suspect = route.analysis.findings[0]
    crossed = replace(route.analysis, verdict=Verdict.FAIL, suspect=suspect)
    text = status_text(replace(route, analysis=crossed))
    assert text.splitlines()[-1].endswith("fail (blamed)")
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
