from errno import ENOSPC
from pathlib import Path

import pytest

from flipback.cli import ExitCode
from shells import Project


def test_a_report_is_written_before_anything_has_happened(project: Project) -> None:
    said = project.run("report", "summarizer", "-o", "report.html")
    assert said.code == ExitCode.OK
    assert said.out.startswith("report.html: No rollout of summarizer has begun")
    text = (project.root / "report.html").read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert "There is no evidence yet." in text


def test_a_kill_is_told_with_who_and_why(project: Project) -> None:
    argv = ("--reason", "errors <double>", "--actor", "ana", "--wait", "0s")
    project.run("kill", "summarizer", *argv)
    said = project.run("report", "summarizer", "-o", "report.html", "--json").json()
    assert said["exit"] == 0
    assert said["file"] == "report.html"
    assert said["headline"].startswith("Rolled back by ana on ")
    assert said["headline"].endswith(": errors <double>")
    text = (project.root / "report.html").read_text()
    assert "errors &lt;double&gt;" in text
    assert "trip 1, held until a person releases it" in text


def test_an_attempt_is_told_from_its_start(project: Project) -> None:
    project.run("start", "summarizer", "--actor", "ana", "--reason", "a new try")
    project.run("report", "summarizer", "-o", "report.html")
    text = (project.root / "report.html").read_text()
    assert "Started, stage 1 of 1 (25 %)" in text


def test_an_attempt_that_never_was_is_refused(project: Project) -> None:
    said = project.run("report", "summarizer", "-o", "x.html", "--attempt", "7")
    assert said.code != ExitCode.OK
    assert "no attempt 7" in said.err
    assert not (project.root / "x.html").exists()


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_what_is_no_attempt_is_refused(project: Project, number: str) -> None:
    argv = ("report", "summarizer", "-o", "x.html", f"--attempt={number}")
    assert project.run(*argv).code == ExitCode.USAGE


def test_a_route_that_no_plan_names_is_refused(project: Project) -> None:
    said = project.run("report", "sumarizer", "-o", "report.html")
    assert said.code == ExitCode.USAGE
    assert "did you mean `summarizer`?" in said.err


def test_a_file_that_cannot_be_written_is_named(project: Project) -> None:
    said = project.run("report", "summarizer", "-o", "nowhere/report.html")
    assert said.code == ExitCode.UNAVAILABLE
    assert "nowhere/report.html cannot be written" in said.err


def test_a_page_that_does_not_fit_leaves_the_one_before(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, content: bytes) -> int:
        raise OSError(ENOSPC, f"no room for {len(content)} bytes")

    (project.root / "report.html").write_text("before")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        said = project.run("report", "summarizer", "-o", "report.html")
    assert said.code == ExitCode.UNAVAILABLE
    assert (project.root / "report.html").read_text() == "before"
    assert not list(project.root.glob(".*.part"))


def test_a_store_that_cannot_be_read_is_told_on_the_page(project: Project) -> None:
    (project.root / "flipback.db").write_bytes(b"no database" * 100)
    said = project.run("report", "summarizer", "-o", "report.html", "--json")
    assert said.code == ExitCode.UNAVAILABLE
    assert said.json()["problems"]
    text = (project.root / "report.html").read_text()
    assert "What could not be read" in text
    assert "cannot be told" in text


def test_a_report_to_standard_output_is_the_page_alone(project: Project) -> None:
    said = project.run("report", "summarizer", "-o", "-")
    assert said.code == ExitCode.OK
    assert said.out.startswith("<!DOCTYPE html>")
    assert said.out.endswith("</html>\n")


def test_each_attempt_is_told_on_its_own(project: Project) -> None:
    project.run("start", "summarizer", "--actor", "ana", "--reason", "the first try")
    project.run("kill", "summarizer", "--reason", "too slow", "--wait", "0s")
    project.run("release", "summarizer", "--trip", "1", "--reason", "faster now")
    project.run("restore", "summarizer", "--reason", "again")
    again = project.run("start", "summarizer", "--reason", "the second try")
    assert again.code == ExitCode.OK, again.err
    project.run("report", "summarizer", "-o", "second.html")
    project.run("report", "summarizer", "-o", "first.html", "--attempt", "1")
    first = (project.root / "first.html").read_text()
    second = (project.root / "second.html").read_text()
    assert "attempt 1 of 2" in first
    assert "too slow" in first
    assert "the second try" not in first
    assert "the second try" in second
    assert "too slow" not in second
