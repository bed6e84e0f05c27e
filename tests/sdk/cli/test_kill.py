import json
import os
import socket
from contextlib import closing

import pytest

from flipback.cli import ExitCode
from flipback.control import SystemClock
from flipback.ports import ProcessRecord
from flipback.stores import open_sqlite
from shells import Project


FAR_AWAY = 4e9
KILL = ("--reason", "errors double", "--actor", "ana", "--wait", "0s")


def register(project: Project, name: str = "one", **trips: int) -> None:
    """Let a process that runs appear in the store, obeying these trips."""
    process = ProcessRecord(
        id=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        seen_at=FAR_AWAY,
        trips=trips,
    )
    clock = SystemClock()
    base = str(project.root)
    with closing(open_sqlite("flipback.db", base=base, clock=clock)) as store:
        store.beat(process)


def served(project: Project, key: str = "summarizer-model") -> object:
    flags = json.loads((project.root / "flags.flagd.json").read_text())["flags"]
    return flags[key]["defaultVariant"], flags[key].get("targeting")


def test_a_kill_works_with_no_application_running(project: Project) -> None:
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.OK
    assert said.out == (
        "summarizer: killed by trip 1; control serves\n"
        "  ledger: written\n"
        "  store: written\n"
        "  flag service: applied\n"
        "  processes: none is running\n"
        "  release it with: flipback release summarizer --trip 1 --reason '...'\n"
    )
    default, targeting = served(project)
    assert default == "v1"
    assert not targeting


def test_a_kill_says_who_and_why(project: Project) -> None:
    (kill,) = project.run("kill", "summarizer", *KILL, "--json").json()["kills"]
    assert kill["latch"]["actor"] == "ana"
    assert kill["latch"]["reason"] == "errors double"


def test_a_kill_without_a_name_is_signed_by_user_and_host(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ben")
    said = project.run("kill", "summarizer", "--reason", "x", "--json")
    (kill,) = said.json()["kills"]
    assert kill["latch"]["actor"] == f"ben@{socket.gethostname()}"


def test_a_user_without_a_name_is_a_number(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr("getpass.getuser", nameless)
    said = project.run("kill", "summarizer", "--reason", "x", "--json")
    (kill,) = said.json()["kills"]
    assert kill["latch"]["actor"] == f"uid {os.getuid()}@{socket.gethostname()}"


def test_all_routes_are_killed_at_once(project: Project) -> None:
    project.plan("chatbot", route="chatbot", flag="chatbot-model")
    project.flag("chatbot-model", v1="v1", v2="v2")
    answer = project.run("kill", "--all", *KILL, "--json").json()
    assert [kill["latch"]["route"] for kill in answer["kills"]] == [
        "chatbot",
        "summarizer",
    ]
    assert answer["exit"] == ExitCode.OK


def test_a_variant_is_killed_wherever_it_is_the_candidate(project: Project) -> None:
    project.plan("chatbot", route="chatbot", candidate="v3")
    answer = project.run("kill", "--variant", "v2", *KILL, "--json").json()
    assert [kill["latch"]["route"] for kill in answer["kills"]] == ["summarizer"]


def test_a_variant_that_nobody_rolls_out_is_told_with_the_nearest(
    project: Project,
) -> None:
    said = project.run("kill", "--variant", "v22", *KILL)
    assert said.code == ExitCode.USAGE
    assert "no plan rolls out 'v22'; did you mean `v2`?" in said.err


def test_a_flag_service_that_is_down_leaves_a_local_kill(project: Project) -> None:
    project.write("flags.flagd.json", "{")
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.LOCAL_ONLY
    assert "summarizer: killed by trip 1; control serves" in said.out
    assert "  ledger: written" in said.out
    assert "  problem: flag service: " in said.out


def test_a_flag_service_that_nobody_knows_leaves_a_local_kill(project: Project) -> None:
    project.write("flipback.toml", 'flags = "unheard-of:x"')
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.LOCAL_ONLY
    assert "NOT TOLD, it cannot be written from here" in said.out


def test_a_kill_that_a_crash_could_undo_says_so(project: Project) -> None:
    project.write("flipback.toml", 'ledger = "gone/ledger.jsonl"')
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.NOT_DURABLE
    assert "  ledger: NOT WRITTEN" in said.out
    assert "  flag service: applied" in said.out


def test_a_store_that_is_broken_does_not_stop_a_kill(project: Project) -> None:
    (project.root / "flipback.db").write_bytes(b"no database at all" * 100)
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.UNACKNOWLEDGED
    assert "  ledger: written" in said.out
    assert "  store: NOT WRITTEN" in said.out
    assert "  flag service: applied" in said.out
    assert "  processes: unknown: the store cannot be read" in said.out
    assert "whether running processes obey is unknown" in said.out


def test_processes_that_do_not_obey_are_counted(project: Project) -> None:
    register(project, summarizer=0)
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.UNACKNOWLEDGED
    assert "  processes: 0 of 1 acknowledged" in said.out
    assert "summarizer: trip 1 is recorded; no running process obeys yet" in said.out


def test_processes_that_obey_are_counted(project: Project) -> None:
    register(project, summarizer=1)
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.OK
    assert "  processes: 1 of 1 acknowledged" in said.out


def test_a_broken_plan_of_another_route_does_not_stop_a_kill(project: Project) -> None:
    project.write("rollouts/broken.toml", "route = ")
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.OK
    assert "rollouts/broken.toml: line 1" in said.err
    assert "flag service: applied" in said.out


def test_a_route_whose_own_plan_is_broken_is_latched(project: Project) -> None:
    project.plan("summarizer", candidate="v1")
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.LOCAL_ONLY
    assert "  ledger: written\n  store: written" in said.out
    assert "NOT TOLD, the plan of this route cannot be used" in said.out


def test_all_means_routes_with_broken_plans_too(project: Project) -> None:
    project.plan("chatbot", route="chatbot", candidate="v1")
    project.write("rollouts/torn.toml", "route = ")
    said = project.run("kill", "--all", *KILL)
    assert said.code == ExitCode.LOCAL_ONLY
    assert "chatbot: killed by trip 1" in said.out
    assert "summarizer: killed by trip 1" in said.out
    assert "NOT KILLED: the route of rollouts/torn.toml" in said.out


def test_all_is_not_done_while_one_route_is_unknown(project: Project) -> None:
    project.write("rollouts/torn.toml", "route = ")
    said = project.run("kill", "--all", *KILL, "--json")
    assert said.code == ExitCode.MISTAKES
    assert said.json()["missed_files"] == ["rollouts/torn.toml"]


def test_all_of_nothing_is_no_success(project: Project) -> None:
    (project.root / "rollouts" / "summarizer.toml").unlink()
    said = project.run("kill", "--all", *KILL)
    assert said.code == ExitCode.USAGE
    assert "--all: no plan names a route; name the route to kill" in said.err


def test_a_misspelled_route_is_latched_and_told(project: Project) -> None:
    said = project.run("kill", "sumarizer", *KILL)
    assert said.code == ExitCode.LOCAL_ONLY
    assert said.out.startswith(
        "no plan names route 'sumarizer' (known: summarizer); latched all the same; "
        "did you mean `summarizer`?\n  ledger: written\n"
    )


NOWHERE = 'ledger = "gone/ledger.jsonl"\nstore = "sqlite:gone/flipback.db"'


def test_a_kill_that_reached_nothing_is_none(project: Project) -> None:
    project.write("flipback.toml", NOWHERE)
    project.write("flags.flagd.json", "{")
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.NOT_KILLED
    assert said.out.startswith("summarizer: NOT KILLED: nothing could be written\n")
    assert "  flag service: NOT APPLIED\n" in said.out
    assert f"touch {project.root / 'flipback.force-control'}\n" in said.out
    assert "FLIPBACK_FORCE_CONTROL=summarizer for the application" in said.out
    assert "release it with" not in said.out
    answer = project.run("kill", "summarizer", *KILL, "--json").json()
    (kill,) = answer["kills"]
    assert answer["exit"] == ExitCode.NOT_KILLED
    assert kill["killed"] is False
    assert kill["processes"] is None
    assert kill["release"] is None


def test_a_kill_that_only_the_flag_has_says_so(project: Project) -> None:
    project.write("flipback.toml", NOWHERE)
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.NOT_DURABLE
    assert "NOT RECORDED; only the flag itself serves control now" in said.out


def test_some_processes_that_obey_are_not_all(project: Project) -> None:
    register(project, "one", summarizer=0)
    register(project, "two", summarizer=1)
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.UNACKNOWLEDGED
    assert "trip 1 is recorded; 1 of 2 running processes obey yet" in said.out


def test_a_flag_that_was_told_is_applied_whatever_other_plans_say(
    project: Project,
) -> None:
    project.plan("twin", candidate="v1")
    said = project.run("kill", "summarizer", *KILL)
    assert "  flag service: applied\n" in said.out


def test_without_processes_the_next_one_goes_on_trying(project: Project) -> None:
    project.write("flags.flagd.json", "{")
    said = project.run("kill", "summarizer", *KILL)
    assert "NOT APPLIED YET, the next process that starts will try again" in said.out
    register(project, summarizer=0)
    said = project.run("kill", "summarizer", *KILL)
    assert "NOT APPLIED YET, running processes go on trying" in said.out


@pytest.mark.parametrize("text", ["store = ", 'store = "redis:x"', None])
def test_without_a_configuration_the_break_glass_is_told(
    project: Project, text: str | None
) -> None:
    if text is None:
        (project.root / "flipback.toml").unlink()
    else:
        project.write("flipback.toml", text)
    said = project.run("kill", "summarizer", *KILL)
    assert said.code == ExitCode.USAGE
    assert "nothing was killed; to force control without configuration" in said.err
    assert "touch flipback.force-control beside" in said.err
    assert "FLIPBACK_FORCE_CONTROL=*" in said.err


def test_one_cohort_is_killed_and_released_by_its_own_name(project: Project) -> None:
    said = project.run("kill", "summarizer", "--cohort", "plan=free", *KILL)
    assert said.code == ExitCode.OK
    assert said.out.startswith(
        "summarizer[plan=free]: killed by trip 1; control serves to plan=free, and "
        "nothing else changes\n"
    )
    release = "flipback release 'summarizer[plan=free]' --trip 1 --reason '...'\n"
    assert f"  release it with: {release}" in said.out
    status = project.run("status")
    assert "  served     as offered\n" in status.out
    assert "  killed     plan=free alone: trip 1, since 20" in status.out
    assert f"  release    {release}" in status.out
    (route,) = project.run("status", "--json").json()["routes"]
    (killed,) = route["killed_cohorts"]
    assert (killed["cohort"], killed["trip"], killed["held"]) == ("plan=free", 1, True)
    said = project.run(
        "release", "summarizer[plan=free]", "--trip", "1", "--reason", "fixed"
    )
    assert said.code == ExitCode.OK
    assert "summarizer[plan=free]: trip 1 is released\n" in said.out
    assert "  the flag decides for plan=free again, by its rules\n" in said.out
    assert "no such route" not in said.out
    assert "plan=free alone" not in project.run("status").out


def test_a_cohort_that_nobody_declares_kills_nothing(project: Project) -> None:
    said = project.run("kill", "summarizer", "--cohort", "plan=fre", *KILL)
    assert said.code == ExitCode.USAGE
    assert "declares no cohort 'plan=fre'; did you mean `plan=free`?" in said.err
    said = project.run("kill", "--all", "--cohort", "land=DE", *KILL)
    assert said.code == ExitCode.USAGE
    assert "no plan declares cohort 'land=DE'; declared are: plan=ent" in said.err
    assert not (project.root / "flipback.ledger.jsonl").exists()


def test_a_cohort_of_a_route_that_nobody_plans_kills_nothing(project: Project) -> None:
    said = project.run("kill", "sumarizer", "--cohort", "plan=free", *KILL)
    assert said.code == ExitCode.USAGE
    assert "did you mean `summarizer`?" in said.err


def test_a_cohort_is_killed_wherever_it_is_declared(project: Project) -> None:
    project.plan("chatbot", route="chatbot", flag="chatbot-model", plan="x")
    text = (project.root / "rollouts" / "chatbot.toml").read_text()
    project.write("rollouts/chatbot.toml", text.replace('plan = "x"', 'team = ["a"]'))
    project.flag("chatbot-model", v1="v1", v2="v2")
    said = project.run("kill", "--all", "--cohort", "plan=free", *KILL, "--json")
    (kill,) = said.json()["kills"]
    assert kill["latch"]["route"] == "summarizer[plan=free]"


def test_a_cohort_of_a_plan_with_mistakes_is_killed_all_the_same(
    project: Project,
) -> None:
    project.plan("summarizer", candidate="v1")
    said = project.run("kill", "summarizer", "--cohort", "plan=free", *KILL)
    assert said.code == ExitCode.LOCAL_ONLY
    assert "summarizer[plan=free]: killed by trip 1" in said.out
