import pytest

from flipback.cli import ExitCode
from shells import Project


def kill(project: Project) -> None:
    argv = ("--reason", "errors double", "--actor", "ana", "--wait", "0s")
    project.run("kill", "summarizer", *argv)


def test_a_route_says_what_is_offered_and_served(project: Project) -> None:
    said = project.run("status")
    assert said.code == ExitCode.OK
    lines = said.out.splitlines()
    assert lines[:6] == [
        "summarizer: v2 against v1, flag summarizer-model",
        "  rollout    none is under way; people move the split in the flag service",
        "  next       `flipback start summarizer` gives the candidate 25 % of subjects",
        "  offered    v1 50 %, v2 50 %",
        "  served     as offered",
        "  processes  none is running",
    ]
    action = lines.index("  action     hold")
    table = next(n for n, line in enumerate(lines) if line.split()[0] == "metric")
    assert table == action + 1
    assert lines[table + 4] == (
        "  gate       from 50 % to 100 %: holds; harm ruled out by 0 of 3 findings"
    )
    assert lines[-1] == (
        "  users      (everybody) 0 / 0, plan=free 0 / 0, plan=enterprise 0 / 0"
    )
    assert [line.split()[:2] for line in lines[table + 1 : table + 4]] == [
        ["error", "(everybody)"],
        ["error", "plan=free"],
        ["error", "plan=enterprise"],
    ]


def test_the_gate_of_a_killed_route_is_not_asked(project: Project) -> None:
    kill(project)
    assert "\n  gate  " not in project.run("status").out
    (route,) = project.run("status", "--json").json()["routes"]
    assert route["gate"] is None


def test_machines_are_told_the_gate_of_the_split_in_force(project: Project) -> None:
    (route,) = project.run("status", "--json").json()["routes"]
    assert route["gate"]["weight"] == 50.0
    assert route["gate"]["next_weight"] == 100.0
    assert route["gate"]["verdict"] == "inconclusive"


def test_a_killed_route_says_who_why_and_how_to_release_it(project: Project) -> None:
    kill(project)
    said = project.run("status").out
    assert "  served     v1: killed\n" in said
    assert "  killed     trip 1, since " in said
    assert ", by ana\n" in said
    assert "  reason     errors double\n" in said
    assert "flipback release summarizer --trip 1 --reason '...'\n" in said


def test_a_released_route_says_so(project: Project) -> None:
    kill(project)
    project.run("release", "summarizer", "--trip", "1", "--reason", "fixed")
    said = project.run("status").out
    assert "  released   trip 1, " in said
    assert "  served     as offered\n" in said


def test_forced_control_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLIPBACK_FORCE_CONTROL", "summarizer")
    assert "v1: forced by FLIPBACK_FORCE_CONTROL" in project.run("status").out
    monkeypatch.delenv("FLIPBACK_FORCE_CONTROL")
    project.write("flipback.force-control", "")
    (route,) = project.run("status", "--json").json()["routes"]
    assert route["serves_control_because"] == "forced_control"


def test_a_forced_route_that_nobody_plans_is_a_mistake(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLIPBACK_FORCE_CONTROL", "sumarizer")
    said = project.run("status")
    assert said.code == ExitCode.MISTAKES
    assert (
        "FLIPBACK_FORCE_CONTROL: route: forces 'sumarizer', which no plan names; "
        "did you mean `summarizer`?" in said.err
    )
    assert "  served     as offered\n" in said.out
    (mistake,) = project.run("status", "--json").json()["mistakes"]
    assert mistake["file"] == "FLIPBACK_FORCE_CONTROL"


def test_a_mapped_flag_is_told_in_the_words_of_the_plan(project: Project) -> None:
    project.flag("summarizer-model", off=False, on=True)
    plan = project.root / "rollouts" / "summarizer.toml"
    plan.write_text(f'values = {{ true = "v2", false = "v1" }}\n{plan.read_text()}')
    said = project.run("status").out
    assert "offered    v1 (off) 50 %, v2 (on) 50 %\n" in said
    assert "gate       from 50 % to 100 %: holds" in said


def test_what_cannot_be_read_is_told(project: Project) -> None:
    project.write("flags.flagd.json", "{")
    said = project.run("status")
    assert said.code == ExitCode.UNAVAILABLE
    assert "  offered    unknown" in said.out
    assert "  served     the last good flags, where a process still" in said.out
    assert "  problem    flag service: " in said.out


def test_a_store_that_is_broken_is_told(project: Project) -> None:
    (project.root / "flipback.db").write_bytes(b"no database at all" * 100)
    said = project.run("status")
    assert said.code == ExitCode.UNAVAILABLE
    assert "  evidence   cannot be read" in said.out
    assert "  served     v1 in processes that start now: ledger and store" in said.out
    assert "processes that already run go on with what they last knew" in said.out
    assert "  processes  unknown: the store cannot be read\n" in said.out
    assert said.out.count("  problem ") == 1
    (route,) = project.run("status", "--json").json()["routes"]
    assert route["processes"] is None


def test_a_plan_with_mistakes_hides_no_other_route(project: Project) -> None:
    project.plan("chatbot", route="chatbot", candidate="v1")
    said = project.run("status")
    assert said.code == ExitCode.MISTAKES
    assert said.out.startswith("summarizer: ")
    assert "rollouts/chatbot.toml: candidate: " in said.err


def test_machines_get_all_of_it(project: Project) -> None:
    kill(project)
    (route,) = project.run("status", "--json").json()["routes"]
    assert route["latch"]["trip"] == 1
    assert route["latch"]["release"].startswith("flipback release summarizer --trip 1")
    assert route["serves_control_because"] == "killed"
    assert route["processes"] == []
    assert [found["cohort"] for found in route["evidence"]["findings"]] == [
        "",
        "plan=free",
        "plan=enterprise",
    ]
