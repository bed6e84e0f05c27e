"""What people get wrong: each time a sentence that says where and what to do."""

import math
import subprocess
from collections.abc import Callable

import pytest
from openfeature.evaluation_context import EvaluationContext

import flipback
from apps import App
from flipback import ConfigError, Reason, RouteError, Router
from projects import HALF, PLAN, ROUTE, CreateProject, Project


pytestmark = pytest.mark.long


Cli = Callable[..., subprocess.CompletedProcess[str]]
GUARDRAIL = {"metric": "error", "fails_on": "increase", "tolerance": 0.2}
WRONG_PLANS: dict[str, tuple[dict[str, object], list[str]]] = {
    "unknown key": (
        {"canditate": "v2"},
        ["canditate", "unknown key", "did you mean `candidate`?"],
    ),
    "missing key": ({"control": None}, ["control", "is missing"]),
    "falling weights": (
        {"stages": [{"weight": 10}, {"weight": 5}]},
        ["stages[2]", "does not rise above", "write more than 10"],
    ),
    "unknown cohort": (
        {"guardrails": [{**GUARDRAIL, "cohorts": ["plan=enterprize"]}]},
        ["cohorts", "is not declared", "did you mean `plan=enterprise`?"],
    ),
    "NaN": (
        {"guardrails": [{**GUARDRAIL, "tolerance": math.nan}]},
        ["guardrails[1]", "tolerance"],
    ),
    "infinity": (
        {"guardrails": [{**GUARDRAIL, "limit": math.inf}]},
        ["guardrails[1]", "limit"],
    ),
    "no margin": (
        {"guardrails": [{"metric": "error", "fails_on": "increase"}]},
        ["neither `tolerance` nor `limit`", "add `tolerance = 0.05`"],
    ),
}


def write_plan(project: CreateProject, changes: dict[str, object]) -> Project:
    """Write a plan, also with the numbers that JSON and TOML spell differently."""
    folder = project(plan={**PLAN, **changes})
    plan = folder.path / "rollouts" / "plan.toml"
    text = plan.read_text().replace("NaN", "nan").replace("Infinity", "inf")
    plan.write_text(text)
    return folder


@pytest.mark.parametrize("wrong", WRONG_PLANS)
def test_a_wrong_plan_starts_no_router(project: CreateProject, wrong: str) -> None:
    changes, said = WRONG_PLANS[wrong]
    folder = write_plan(project, changes)
    with pytest.raises(ConfigError) as caught:
        Router.from_config(folder.config)
    message = str(caught.value)
    assert all(text in message for text in ["plan.toml", *said])
    assert all(mistake.remedy for mistake in caught.value.mistakes)


@pytest.mark.parametrize("wrong", WRONG_PLANS)
def test_a_wrong_plan_is_named_by_check(
    project: CreateProject, run_cli: Cli, wrong: str
) -> None:
    changes, said = WRONG_PLANS[wrong]
    done = run_cli(write_plan(project, changes), "check")
    assert done.returncode == 1
    assert all(text in done.stdout for text in ["rollouts/plan.toml", *said])
    assert "Traceback" not in done.stdout + done.stderr


def test_a_flag_that_is_missing_is_named_by_check(
    project: CreateProject, run_cli: Cli
) -> None:
    done = run_cli(project(plan={"flag": "suport-model"}), "check")
    assert done.returncode == 1
    assert "rollouts/plan.toml: flag: the flag service has no flag" in done.stdout
    assert "create it with variants for 'v1' and 'v2'" in done.stdout


def test_a_flag_that_is_missing_means_control_and_is_said(
    project: CreateProject, caplog: pytest.LogCaptureFixture
) -> None:
    with App(project(plan={"flag": "suport-model"})) as app:
        assert app.serve(20) == {"v1": 20}
        assert app.reason() is Reason.FLAG_NOT_FOUND
    assert "has no flag 'suport-model'; add it, or correct its name" in caplog.text


def test_a_variant_that_the_flag_does_not_have_cannot_be_registered(
    project: CreateProject,
) -> None:
    router = Router.from_config(project().config)
    route: flipback.Route[[], str] = router.route(ROUTE)
    with pytest.raises(RouteError) as caught:
        route.variant("v22")(lambda: "v22")
    message = str(caught.value)
    assert "flag 'support-model' has no variant 'v22', only 'v1', 'v2'" in message
    assert "did you mean" in message
    router.stop()


def test_a_variant_of_the_flag_without_code_is_said_and_served_control(
    project: CreateProject, caplog: pytest.LogCaptureFixture
) -> None:
    with App(project(split={**HALF, "v3": 50})) as app:
        served = {app.serve(1).most_common(1)[0][0] for _ in range(50)}
    assert served == {"v1", "v2"}
    assert "variant 'v3' has no function" in caplog.text
    assert "register it with @route.variant('v3')" in caplog.text


def test_a_plan_whose_candidate_the_flag_does_not_have_is_named_by_check(
    project: CreateProject, run_cli: Cli
) -> None:
    done = run_cli(project(plan={"candidate": "v9"}), "check")
    assert done.returncode == 1
    assert "candidate: 'v9' is no variant of flag 'support-model'" in done.stdout


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("/proc/flipback.db", "let this process write to it and its folder"),
        ("missing/flipback.db", "does not exist"),
        ("rollouts", "is a folder; name a file in it"),
    ],
)
def test_a_store_that_cannot_be_written_means_control_and_is_said(
    project: CreateProject, caplog: pytest.LogCaptureFixture, store: str, said: str
) -> None:
    folder = project(store=f"sqlite:{store}", ledger="x.ledger.jsonl")
    with App(folder) as app:
        assert app.serve(20) == {"v1": 20}
        assert app.reason() is Reason.NOT_READY
    assert store in caplog.text
    assert said in caplog.text
    assert "Traceback" not in caplog.text


def test_a_damaged_store_means_control_and_is_said(
    project: CreateProject, caplog: pytest.LogCaptureFixture
) -> None:
    folder = project()
    with App(folder) as app:
        app.serve(20)
    damaged = bytearray(folder.store.read_bytes())
    damaged[100:2000] = b"x" * 1900
    folder.store.write_bytes(damaged)
    with App(folder) as app:
        assert app.serve(20) == {"v1": 20}
    assert f"{folder.store} is damaged; move it away" in caplog.text


def test_status_of_a_damaged_store_is_a_sentence(
    project: CreateProject, run_cli: Cli
) -> None:
    folder = project()
    folder.store.write_bytes(b"this is no database at all, is it?" * 100)
    done = run_cli(folder, "status")
    said = done.stdout + done.stderr
    assert "flipback.db is no SQLite database" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_no_number_is_dropped_and_said(
    project: CreateProject, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    router = Router.from_config(project().config)
    route: flipback.Route[[], bool] = router.route(ROUTE)
    for name in ("v1", "v2"):
        route.variant(name, version="1")(lambda: flipback.record("resolved", value))
    with router:
        assert not any(route.call(EvaluationContext(f"u{n}")) for n in range(20))
        (look,) = router.guard.look()
    resolved = [each for each in look.analysis.findings if each.metric == "resolved"]
    assert {each.control_n + each.candidate_n for each in resolved} == {0}
    assert "outcome dropped: resolved" in caplog.text
    assert "is not finite; record a number or nothing at all" in caplog.text


def test_a_subject_without_a_key_is_served_control_and_said(
    project: CreateProject, caplog: pytest.LogCaptureFixture
) -> None:
    with App(project()) as app:
        decided = app.route.decide(EvaluationContext())
    assert (decided.variant, decided.assignment.reason) == (
        "v1",
        Reason.NO_TARGETING_KEY,
    )
    assert "pass EvaluationContext('user-id')" in caplog.text


def test_a_configuration_that_is_not_there_is_a_sentence(
    project: CreateProject, run_cli: Cli
) -> None:
    folder = project()
    folder.config.unlink()
    done = run_cli(folder, "check")
    assert done.returncode != 0
    assert "flipback.toml" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    with pytest.raises(ConfigError, match="does not exist"):
        Router.from_config(folder.config)
