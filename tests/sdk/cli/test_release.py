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


def test_a_release_says_that_the_flag_still_serves_control(project: Project) -> None:
    kill(project, "summarizer")
    said = project.run("release", "summarizer", "--trip", "1", *RELEASE)
    assert (
        "  the flag serves v1; go on with `flipback restore summarizer --reason '...'` "
        "and `flipback start summarizer`\n" in said.out
    )


def test_a_release_warns_where_the_flag_offers_the_candidate(project: Project) -> None:
    kill(project, "summarizer")
    project.flag("summarizer-model", v1="v1", v2="v2")
    said = project.run("release", "summarizer", "--trip", "1", *RELEASE)
    assert "  WARNING: the flag offers 50 % to v2 now: subjects get it" in said.out
    assert "serves v1" not in said.out


def test_a_release_of_a_candidate_by_default_warns_too(project: Project) -> None:
    kill(project, "summarizer")
    project.flag("summarizer-model", v2="v2")
    answer = project.run("release", "summarizer", "--trip", "1", *RELEASE, "--json")
    assert answer.json()["flag"]["default_variant"] == "v2"
    kill(project, "summarizer")
    project.flag("summarizer-model", v2="v2", v1="v1")
    flags = project.root / "flags.flagd.json"
    flags.write_text(flags.read_text().replace('"targeting"', '"unused"'))
    said = project.run("release", "summarizer", "--trip", "2", *RELEASE)
    assert "WARNING: the flag offers 100 % to v2 now" in said.out


def test_a_release_does_not_guess_what_the_flag_offers(project: Project) -> None:
    kill(project, "summarizer")
    project.write("flags.flagd.json", "{")
    said = project.run("release", "summarizer", "--trip", "1", *RELEASE)
    assert said.code == ExitCode.OK
    assert "what it offers cannot be read from here" in said.out


def test_a_release_of_a_route_that_nobody_plans_is_told(project: Project) -> None:
    said = project.run("release", "sumarizer", "--trip", "1", *RELEASE)
    assert said.code == ExitCode.REFUSED
    assert (
        "no such route: no plan names route 'sumarizer' (known: summarizer); "
        "did you mean `summarizer`?" in said.out
    )
    kill(project, "sumarizer")
    said = project.run("release", "sumarizer", "--trip", "1", *RELEASE)
    assert said.code == ExitCode.OK
    assert "no such route" in said.out
    assert "the flag" not in said.out
