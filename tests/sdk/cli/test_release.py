from flipback.cli import ExitCode
from shells import Project


RELEASE = ("--reason", "it was the database", "--actor", "ana")


def kill(project: Project, *routes: str) -> None:
    project.run("kill", *routes, "--reason", "errors", "--actor", "ben", "--wait", "0s")


def test_a_release_names_its_trip(project: Project) -> None:
    kill(project, "summarizer")
    said = project.run("release", "summarizer", "--trip", "1", *RELEASE)
    assert said.code == ExitCode.OK
    assert "summarizer: trip 1 is released" in said.out


def test_an_old_release_never_frees_a_newer_kill(project: Project) -> None:
    kill(project, "summarizer")
    kill(project, "summarizer")
    said = project.run("release", "summarizer", "--trip", "1", *RELEASE)
    assert said.code == ExitCode.REFUSED
    assert "summarizer is held by trip 2, not by trip 1" in said.out
    assert "by ben: errors" in said.out
    assert "flipback release summarizer --trip 2" in said.out


def test_what_is_not_held_cannot_be_released(project: Project) -> None:
    said = project.run("release", "summarizer", "--trip", "1", *RELEASE, "--json")
    assert said.code == ExitCode.REFUSED
    assert said.json()["refused"] == "summarizer is not held by any kill"


def test_a_release_that_is_not_durable_is_none(project: Project) -> None:
    kill(project, "summarizer")
    project.write("flipback.toml", 'ledger = "gone/ledger.jsonl"')
    said = project.run("release", "summarizer", "--trip", "1", *RELEASE, "--json")
    assert said.code == ExitCode.UNAVAILABLE
    assert said.json()["exit"] == ExitCode.UNAVAILABLE
    project.write("flipback.toml", "")
    (route,) = project.run("status", "--json").json()["routes"]
    assert route["latch"]["held"] is True


def test_a_broken_plan_does_not_stop_a_release(project: Project) -> None:
    kill(project, "summarizer")
    project.plan("summarizer", candidate="v1")
    said = project.run("release", "summarizer", "--trip", "1", *RELEASE)
    assert said.code == ExitCode.OK
    assert "control and candidate are both 'v1'" in said.err
