import gzip
import io
import json
import re
from types import SimpleNamespace

import pytest

from flipback.cli import ExitCode, main
from logs import PLAN, as_lines, traffic
from projects import as_toml
from shells import Project, Said


@pytest.fixture
def shell(project: Project) -> Project:
    """Return a shell without any configuration: a replay needs none."""
    (project.root / "flipback.toml").unlink()
    project.write("plan.toml", as_toml(PLAN))
    return project


def replay(shell: Project, *argv: str, log: str = "log.jsonl") -> Said:
    return shell.run("replay", log, "--plan", "plan.toml", *argv)


def unfolded(said: Said) -> str:
    """Return what was said without the ends of its lines."""
    return " ".join(said.out.split())


def test_a_roll_back_says_where_why_and_what_it_rests_on(shell: Project) -> None:
    shell.write("log.jsonl", as_lines(traffic(3_000, harm=0.5)))
    said = replay(shell)
    assert said.code == ExitCode.OK
    assert said.err == ""
    head, *lines = said.out.splitlines()
    assert head.startswith("roll back: at line ")
    assert " of log.jsonl, 2026-01-01 " in head
    assert lines[0].startswith("  because    resolved, cohort plan=enterprise: harm is")
    assert "of them in plan=enterprise" in said.out
    assert "the log was not read further" in said.out
    assert any(line.split()[:2] == ["resolved", "plan=free"] for line in lines)


def test_a_hold_says_what_the_gate_still_needs(shell: Project) -> None:
    shell.write("log.jsonl", as_lines(traffic(400)))
    said = replay(shell).out
    assert said.startswith("hold: no harm is proven until the end, line 400 of ")
    assert re.search(r"gate +from 50 % to \d+ %: holds; harm ruled out by \d+ of", said)
    assert re.search(r"\d more +inconclusive", said)


def test_data_that_cannot_be_trusted_is_told_first(shell: Project) -> None:
    rows = [{**row, "weight": 5} for row in traffic(600)]
    shell.write("log.jsonl", as_lines(rows))
    said = replay(shell).out
    assert said.startswith("hold: the data cannot be trusted at the end, line 600 of ")
    assert said.count("the split is not as set") == 1


def test_machines_get_all_of_it(shell: Project) -> None:
    shell.write("log.jsonl", as_lines(traffic(3_000, harm=0.5)))
    told = replay(shell, "--json").json()
    assert told["verdict"] == "roll back"
    assert told["finding"]["cohort"] == "plan=enterprise"
    assert told["exposures"]["candidate_by_cohort"]["plan=enterprise"] > 0
    assert told["line"] == told["rows"]["read"]
    assert told["gate"] is None
    assert len(told["analysis"]["findings"]) == 6


def test_machines_get_the_gate_of_a_hold(shell: Project) -> None:
    shell.write("log.jsonl", as_lines(traffic(400)))
    told = replay(shell, "--json").json()
    assert told["verdict"] == "hold"
    assert told["finding"] is None
    assert len(told["gate"]["findings"]) == 6


def test_standard_input_and_archives_are_read(
    shell: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = as_lines(traffic(300)).encode()
    (shell.root / "log.gz").write_bytes(gzip.compress(text, mtime=0))
    of_archive = replay(shell, "--json", log="log.gz").json()
    for stdin in (text, gzip.compress(text, mtime=0)):
        buffered = io.BufferedReader(io.BytesIO(stdin))
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=buffered))
        assert replay(shell, "--json", log="-").json() == of_archive


def test_standard_input_may_be_read_many_times(
    shell: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = as_lines(traffic(60)).encode()
    buffered = io.BufferedReader(io.BytesIO(text))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=buffered))
    told = replay(shell, "--aa", "25", "--json", log="-").json()
    assert told["runs"] == 25
    assert told["rows"]["read"] == 60


def test_a_csv_is_mapped(shell: Project) -> None:
    shell.write("log.csv", "at,user,model,failed\n1,a,v1,0\n2,b,v2,1\n")
    columns = "t=at,subject=user,variant=model,metric.error=failed"
    told = replay(shell, "--columns", columns, "--json", log="log.csv").json()
    assert told["rows"]["exposures"] == 2
    assert told["rows"]["unseen_metrics"] == ["resolved"]


def test_what_is_wrong_in_a_log_is_told_with_its_first_line(shell: Project) -> None:
    rows = traffic(60)
    rows[7]["variant"] = "V2"
    rows[9]["metrics"] = {"eror": 1}
    shell.write("log.jsonl", as_lines(rows) + '{"half')
    said = unfolded(replay(shell))
    assert (
        "left out: a variant that is neither control nor candidate of the plan (V2), "
        "once, first at line 8; it is not compared; did you mean `v2`?" in said
    )
    assert (
        "a metric that the plan does not know (eror), once, first at line 10; it is "
        "ignored; did you mean `error`?" in said
    )
    assert "the last line is half-written, once, first at line 61" in said
    assert "61 read: 59 exposures and 0 later outcomes used, 2 left out" in said


def test_a_cohort_that_never_comes_is_told_loudly(shell: Project) -> None:
    rows = traffic(60)
    for row in rows:
        row["cohort"] = row.pop("cohorts")
    shell.write("log.jsonl", as_lines(rows))
    said = unfolded(replay(shell))
    assert "NO ROW IS IN THE COHORT plan=enterprise, which the plan declares" in said
    assert "a name that says nothing here (cohort), 60 times, first at line 1" in said
    told = replay(shell, "--json").json()["rows"]
    assert told["unmet_cohorts"] == ["plan=free", "plan=enterprise"]


def test_values_that_an_application_would_leave_out_are_told(shell: Project) -> None:
    late = {**PLAN, "metrics": {"resolved": {"matures_after": "1h"}}}
    shell.write("plan.toml", as_toml(late))
    rows = traffic(60)
    rows.append({"t": rows[0]["t"] + 90_000, "of": "r0", "metrics": {"resolved": 1}})
    del rows[0]["metrics"]["resolved"]
    shell.write("log.jsonl", as_lines(rows))
    said = unfolded(replay(shell))
    assert "left out 1 values that came later than `matures_after` allows" in said


def test_calls_that_both_answered_are_shown_as_pairs(shell: Project) -> None:
    rows = traffic(60)
    for row in rows:
        row["paired"] = {"v1": row["metrics"], "v2": row.pop("metrics")}
    shell.write("log.jsonl", as_lines(rows))
    said = replay(shell).out
    assert "60 more calls that both arms answered" in said
    assert "0 / 0, 60 pairs" in said


def test_a_hold_says_what_takes_longest(shell: Project) -> None:
    shell.write("log.jsonl", as_lines(traffic(1_500)))
    told = replay(shell, "--json").json()["gate"]["findings"]
    needed = max(each["needs"] or 0 for each in told)
    assert f"takes longest: some {needed:,} more exposures" in unfolded(replay(shell))


@pytest.mark.parametrize("wide", [80, 100, 160])
def test_it_fits_the_terminal(
    shell: Project, monkeypatch: pytest.MonkeyPatch, wide: int
) -> None:
    rows = traffic(1_500)
    rows[7]["variant"] = "V2"
    shell.write("log.jsonl", as_lines(rows))
    monkeypatch.setenv("COLUMNS", str(wide))
    monkeypatch.setattr("flipback.cli._page.is_terminal", lambda _: True)
    head, *lines = replay(shell).out.splitlines()
    assert head.startswith("hold: ")
    assert max(map(len, lines)) <= min(wide, 140)
    assert any("difference between" in line for line in lines)
    assert ("no room for " in lines[-1]) is (wide < 160)


def test_a_metric_that_never_comes_is_told_loudly(shell: Project) -> None:
    rows = [{**row, "metrics": {"error": 0}} for row in traffic(60)]
    shell.write("log.jsonl", as_lines(rows))
    assert "NO ROW HAS THE METRIC 'resolved'" in replay(shell).out


@pytest.mark.parametrize("as_json", [False, True])
def test_a_log_that_cannot_be_used_is_a_mistake(shell: Project, as_json: bool) -> None:  # noqa: FBT001 - a parameter of the test
    shell.write("log.jsonl", "no log at all\n")
    said = replay(shell, *["--json"] * as_json)
    assert said.code == ExitCode.MISTAKES
    assert said.err.startswith("flipback: log.jsonl:1: no row, as 1 of 1 rows")
    assert not as_json or json.loads(said.out)["exit"] == 1


def test_standard_input_that_is_closed_is_an_empty_log(
    shell: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    said = replay(shell, log="-")
    assert said.code == ExitCode.MISTAKES
    assert said.err.startswith("flipback: standard input: is empty")


def test_nobody_need_listen(shell: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.write("log.jsonl", as_lines(traffic(60)))
    monkeypatch.setattr("sys.stdout", None)
    assert main(["replay", "log.jsonl", "--plan", "plan.toml"]) == ExitCode.OK


def test_a_copy_that_has_no_room_says_what_to_do(
    shell: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffered = io.BufferedReader(io.BytesIO(as_lines(traffic(3)).encode()))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=buffered))
    monkeypatch.setattr("tempfile.tempdir", str(shell.root / "nowhere"))
    said = replay(shell, "--aa", "25", log="-")
    assert said.code == ExitCode.MISTAKES
    assert "standard input: cannot be copied to read it again" in said.err
    assert "set TMPDIR" in said.err


@pytest.mark.parametrize("log", [".", "nowhere.jsonl"])
def test_a_path_that_is_no_log_is_a_mistake(shell: Project, log: str) -> None:
    said = replay(shell, log=log)
    assert said.code == ExitCode.MISTAKES
    assert said.err.startswith(f"flipback: {log}: ")


def test_every_mistake_in_the_plan_is_named(shell: Project) -> None:
    shell.write("log.jsonl", as_lines(traffic(3)))
    shell.write("plan.toml", as_toml({**PLAN, "candidate": "v1", "wait": 3}))
    said = replay(shell)
    assert said.code == ExitCode.MISTAKES
    assert "plan.toml: candidate: " in said.err
    assert "plan.toml: wait: unknown key" in said.err


@pytest.mark.long
def test_false_roll_backs_are_counted(shell: Project) -> None:
    shell.write("log.jsonl", as_lines(traffic(300, harm=0.5)))
    said = replay(shell, "--aa", "5", "--seed", "3")
    assert said.out.startswith("false roll backs: ")
    assert "% of 5 runs of log.jsonl with exchanged arms, 95 % interval " in said.out
    told = replay(shell, "--aa", "5", "--seed", "3", "--json").json()
    assert (told["runs"], told["seed"], told["alpha"]) == (5, 3, 0.05)
    assert told["interval"][0] <= told["rate"] <= told["interval"][1]


def test_harm_that_is_injected_is_caught_and_set_beside_what_power_says(
    shell: Project,
) -> None:
    shell.write("log.jsonl", as_lines(traffic(3_000)))
    argv = ["--inject", "resolved:-40%", "--cohort", "plan=enterprise"]
    said = replay(shell, *argv)
    assert "injected   resolved -40% for the candidate in plan=enterprise, caug" in (
        said.out
    )
    assert "foretells about " in said.out
    told = replay(shell, *argv, "--json").json()
    assert told["injected"]["changed"] > 0
    assert told["injected"]["foretold_candidate_exposures"] > 0
    many = replay(shell, *argv, "--aa", "3").out
    assert many.startswith("roll backs: 100.0% of 3 runs")
    assert "caught     after " in many


def test_harm_that_changes_nothing_is_told(shell: Project) -> None:
    rows = [{**row, "metrics": {"error": 0, "resolved": 1}} for row in traffic(60)]
    shell.write("log.jsonl", as_lines(rows))
    said = replay(shell, "--inject", "error:+20%").out
    assert "NOT caught; 0 values changed" in said
    assert "nothing was changed" in said


USAGE = [
    (["--inject", "eror:+20%"], "no metric 'eror'; did you mean `error`?"),
    (["--inject", "error:+1", "--cohort", "plan=fre"], "did you mean `plan=free`?"),
    (["--cohort", "plan=free"], "nothing says how; add --inject"),
    (["--inject", "error"], "'error' is no harm; write it as error:+20%"),
    (["--inject", "error:+0%"], "changes nothing"),
    (["--inject", "error:-200%"], "nothing falls by more than 100%"),
    (["--columns", "t"], "'t' is not FIELD=COLUMN"),
    (["--columns", "when=t"], "'when' is no field"),
    (["--weight", "0"], "no share between 0 and 100 percent"),
    (["--weight", "half"], "'half' is no number"),
    (["--aa", "0"], "'0' is no whole number from 1 on"),
    (["--seed", "-1"], "is no whole number"),
]


@pytest.mark.parametrize(("argv", "says"), USAGE)
def test_a_wrong_argument_is_told(shell: Project, argv: list[str], says: str) -> None:
    shell.write("log.jsonl", as_lines(traffic(3)))
    said = replay(shell, *argv)
    assert said.code == ExitCode.USAGE
    assert says in said.err


def test_a_metric_that_is_made_of_others_is_not_injected(shell: Project) -> None:
    ratio = {"precision": {"numerator": "hits", "denominator": "flagged"}}
    guardrail = {"metric": "precision", "fails_on": "decrease", "tolerance": 0.1}
    plan = {**PLAN, "metrics": ratio, "guardrails": [guardrail]}
    shell.write("plan.toml", as_toml(plan))
    said = replay(shell, "--inject", "precision:-20%")
    assert said.code == ExitCode.USAGE
    assert "made of others; name one of: hits, flagged" in said.err
