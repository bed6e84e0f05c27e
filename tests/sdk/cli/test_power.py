import re
import shlex
from pathlib import Path

import pytest

from flipback.cli import ExitCode
from shells import Project, Said


HOW_TO = (Path(__file__).parents[3] / "docs/how-to/size-a-rollout.md").read_text()
PLAN = "rollouts/summarizer.toml"
WIDE = ("--calls-per-day", "100000")
MORE = """
[[guardrails]]
metric = "{}"
fails_on = "increase"
tolerance = 0.1
"""


def add(project: Project, metric: str, *lines: str) -> None:
    path = project.root / PLAN
    path.write_text("\n".join([path.read_text(), MORE.format(metric), *lines]))


def power(project: Project, *argv: str) -> Said:
    return project.run("power", PLAN, *WIDE, *argv)


def test_it_says_how_long_each_stage_takes(project: Project) -> None:
    said = power(
        project, "--baseline", "error=0.02", "--cohort", "plan=enterprise=0.03"
    )
    assert (said.code, said.err) == (ExitCode.OK, "")
    lines = said.out.splitlines()
    assert lines[0] == "summarizer: v2 against v1, 100,000 calls a day"
    assert "  cohorts    plan=free 97 %, plan=enterprise 3 %" in lines
    assert "stage 1: 25 %, then 95 %: lasts 16.9 days" in lines
    table = lines.index("stage 1: 25 %, then 95 %: lasts 16.9 days") + 2
    assert [line.split()[:2] for line in lines[table : table + 3]] == [
        ["error", "(everybody)"],
        ["error", "plan=free"],
        ["error", "plan=enterprise"],
    ]


@pytest.mark.parametrize(
    ("baseline", "says"),
    [
        ("error=0.02:5", "an event has no deviation; write error=0.02"),
        ("error=1e200", "'1e200' is too large to be weighed"),
    ],
)
def test_a_baseline_that_cannot_be_is_refused(
    project: Project, baseline: str, says: str
) -> None:
    said = power(project, "--baseline", baseline)
    assert said.code == ExitCode.USAGE
    assert says in said.err


@pytest.mark.parametrize(
    ("baseline", "says"),
    [("0:1", "no share of 0 can be tolerated"), ("1", "its baseline never varies")],
)
def test_a_baseline_that_nothing_can_be_decided_of_says_why(
    project: Project, baseline: str, says: str
) -> None:
    add(project, "score")
    said = power(project, "--baseline", f"score={baseline}")
    assert says in " ".join(said.out.split())


def test_the_how_to_shows_what_the_command_says(project: Project) -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", HOW_TO, re.DOTALL)
    (plan, shown) = [text for kind, text in blocks if kind in {"toml", "console"}]
    command, _, printed = shown.replace("\\\n", "").partition("\n")
    project.write(PLAN, plan)
    said = project.run(*shlex.split(command)[2:])
    assert said.out.startswith(printed.removesuffix("...\n"))


def test_a_window_is_told_as_the_plan_has_it(project: Project) -> None:
    path = project.root / PLAN
    stages = 'weight = 50\nwindow = "10s"\n[[stages]]\nweight = 100\nwindow = "36h"'
    path.write_text(path.read_text().replace("weight = 25", stages))
    said = power(project, "--baseline", "error=0.02").out
    assert "stage 1: 50 %, window 10s, then 95 %: " in said
    assert "stage 2: 95 %, window 1d 12h, then the end: " in said
    assert "no control is left" not in said


def test_it_fits_a_terminal(project: Project) -> None:
    add(project, "latency_s", 'on_fail = "pause"')
    said = project.run("power", PLAN, "--calls-per-day", "2000")
    assert "WARNING" in said.out
    assert max(map(len, said.out.splitlines())) <= 100


def test_it_needs_no_configuration_flag_or_store(project: Project) -> None:
    for name in ("flipback.toml", "flags.flagd.json"):
        (project.root / name).unlink()
    assert power(project).code == ExitCode.OK
    assert sorted(path.name for path in project.root.iterdir()) == ["rollouts"]


def test_equal_shares_and_default_baselines_are_said_to_be_guesses(
    project: Project,
) -> None:
    said = power(project).out
    assert "error in 0.01 of subjects, by default" in said
    assert "plan=free 50 %, plan=enterprise 50 %; taken to be equal" in said


def test_a_plan_that_can_never_decide_is_no_mistake_but_told_on_top(
    project: Project,
) -> None:
    said = project.run("power", PLAN, "--calls-per-day", "100")
    assert said.code == ExitCode.OK
    assert said.out.splitlines()[1].startswith("  WARNING    stage 1 (25 %) never ends")
    assert "takes      for ever" in said.out
    assert "NEVER ENDS" in said.out


def test_json_has_the_same_and_null_for_what_never_happens(project: Project) -> None:
    found = project.run("power", PLAN, "--calls-per-day", "100", "--json").json()
    assert found["lasts_days"] is None
    (stage,) = found["stages"]
    assert (stage["weight"], stage["next_weight"]) == (25, 95)
    assert len(stage["tests"]) == 3
    warning = found["warnings"][0]
    assert (warning["stage"], warning["metric"], warning["cohort"]) == (1, "error", "")
    assert "never ends" in warning["text"]
    assert found["blind"][0]["harm"] == pytest.approx(0.3)


def test_a_plan_with_mistakes_is_refused(project: Project) -> None:
    project.plan("summarizer", control="v2")
    said = power(project)
    assert (said.code, said.out) == (ExitCode.MISTAKES, "")
    assert "control and candidate are both 'v2'" in said.err


def test_a_plan_that_does_not_exist_is_a_mistake(project: Project) -> None:
    said = project.run("power", "rollouts/nothing.toml", *WIDE)
    assert said.code == ExitCode.MISTAKES
    assert "rollouts/nothing.toml: the file: cannot be read" in said.err


@pytest.mark.parametrize(
    ("metric", "line", "wanted"),
    [
        ("timeout", 'kind = "event"', "`--baseline timeout=0.02`"),
        ("score", "", "`--baseline score=0.8`"),
        ("cost", 'kind = "heavy tail"', "`--baseline cost=12:30`"),
        (
            "precision",
            '[metrics.precision]\nnumerator = "caught"\ndenominator = "flagged"',
            "`--baseline flagged=0.05`",
        ),
    ],
)
def test_a_missing_baseline_is_named_with_what_to_write(
    project: Project, metric: str, line: str, wanted: str
) -> None:
    add(project, metric, line)
    said = power(project)
    assert said.code == ExitCode.USAGE
    assert f"{PLAN}: [guardrails[2]] metric: nothing is known of `{metric}`" in said.err
    assert wanted in said.err


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--baseline", "eror=0.1", "did you mean `error`?"),
        ("--baseline", "error=2", "2 is no share of subjects"),
        ("--cohort", "plan=fre=0.1", "did you mean `plan=free`?"),
        ("--cohort", "country=DE=0.1", "the plan has: plan=free, plan=enterprise"),
    ],
)
def test_a_name_that_the_plan_does_not_have_is_a_mistake(
    project: Project, option: str, text: str, said: str
) -> None:
    found = power(project, option, text)
    assert (found.code, found.out) == (ExitCode.USAGE, "")
    assert said in found.err
    as_json = power(project, option, text, "--json").json()
    assert as_json["exit"] == ExitCode.USAGE
    assert as_json["mistakes"][0]["key"].startswith(option)


def test_shares_of_one_attribute_add_up_to_all_at_most(project: Project) -> None:
    shares = ("--cohort", "plan=free=0.9", "--cohort", "plan=enterprise=0.2")
    said = power(project, *shares)
    assert said.code == ExitCode.USAGE
    assert "the shares of plan add up to 1.1" in said.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--calls-per-day", "0"], "is not above 0"),
        (["--calls-per-day", "many"], "is no number"),
        (["--calls-per-day", "inf"], "is no finite number"),
        ([*WIDE, "--baseline", "error"], "has no `=`"),
        ([*WIDE, "--baseline", "error=0.1:-1"], "is not below 0"),
        ([*WIDE, "--cohort", "free=0.1"], "is no cohort with its share"),
        ([*WIDE, "--cohort", "plan=free=3"], "is no share"),
        ([], "--calls-per-day"),
    ],
)
def test_an_argument_that_makes_no_sense_is_explained(
    project: Project, argv: list[str], said: str
) -> None:
    found = project.run("power", PLAN, *argv)
    assert found.code == ExitCode.USAGE
    assert said in found.err
