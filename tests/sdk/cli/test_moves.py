import sys

import pytest

from flipback.cli import ExitCode
from flipback.cli.moves import VERBS
from shells import Project, Said


PLAN = """
    route = "summarizer"
    flag = "summarizer-model"
    control = "v1"
    candidate = "v2"
    candidate_version = "7"
    undecided = "ask"
    [cohorts]
    plan = ["free", "enterprise"]
    [[stages]]
    shadow = 1.0
    window = "7d"
    [[stages]]
    weight = 5
    [[stages]]
    weight = 100
    [[guardrails]]
    metric = "error"
    fails_on = "increase"
    tolerance = 0.2
"""
BY = ("--reason", "as agreed", "--actor", "ana")


@pytest.fixture
def rollout(project: Project) -> Project:
    project.write("rollouts/summarizer.toml", PLAN)
    return project


def do(project: Project, verb: str, *options: str) -> Said:
    return project.run(verb, "summarizer", *options)


def percent(project: Project) -> object:
    (route,) = project.run("status", "--json").json()["routes"]
    return route["flag"]["percent"]


def test_a_start_says_what_stands_and_what_comes_next(rollout: Project) -> None:
    said = do(rollout, "start", *BY)
    assert said.code == ExitCode.OK
    first, stands, *facts = said.out.splitlines()
    assert first == "summarizer: started"
    assert stands.startswith(
        "  rollout    shadow, stage 1 of 3: the candidate answers 100 % of control's "
        "calls unseen, since 20"
    )
    assert facts[:3] == [
        "  moved      by ana: as agreed",
        (
            "  attempt    1 of this candidate version 7, cumulative false-rollback "
            "bound 5 %"
        ),
        "  offered    v1 100 %, v2 0 %",
    ]
    assert facts[3].startswith(
        "  next       stage 2 of 3, 5 % of subjects: by itself once the gate passes, "
        "not before 20"
    )
    assert facts[3].endswith("; or `flipback promote summarizer`")


def test_a_gate_that_does_not_pass_refuses_and_says_what_it_waits_for(
    rollout: Project,
) -> None:
    do(rollout, "start", *BY)
    said = do(rollout, "promote")
    assert said.code == ExitCode.REFUSED
    assert said.out.startswith("summarizer: not moved on: the stage lasts 7d at least")
    assert "\n  remedy     wait, or" in said.out
    assert "\n  gate       from 0 % to 5 %: holds; harm ruled out by 0 of " in said.out
    assert "\n  gate       waits: the stage lasts 7d at least, " in said.out
    assert "\n  next" not in said.out


def test_a_person_who_takes_the_doubt_moves_the_split(rollout: Project) -> None:
    do(rollout, "start", *BY)
    said = do(rollout, "promote", *BY)
    assert said.code == ExitCode.OK
    assert said.out.startswith(
        "summarizer: moved on\n"
        "  skips      6d 23h of the window of the stage before\n"
        "  rollout    canary, stage 2 of 3: 5 % of subjects,"
    )
    assert percent(rollout) == {"v1": 95.0, "v2": 5.0}


def test_a_rollout_goes_all_the_way_by_hand(rollout: Project) -> None:
    for verb in ("start", "promote", "promote", "promote"):
        assert do(rollout, verb, *BY).code == ExitCode.OK
    early = do(rollout, "finish")
    assert early.code == ExitCode.REFUSED
    assert "it is watched for 7d" in early.out
    watched = rollout.run("status").out
    assert "  rollout    promoted, and watched: 95 % of subjects, 5 % stay" in watched
    said = do(rollout, "finish", *BY)
    assert said.code == ExitCode.OK
    assert "  rollout    finished, without a holdback, since 20" in said.out
    assert percent(rollout) == {"v1": 0.0, "v2": 100.0}


def test_a_pause_keeps_the_split_and_a_resume_goes_on(rollout: Project) -> None:
    do(rollout, "start", *BY)
    do(rollout, "promote", *BY)
    said = do(rollout, "pause", *BY)
    assert said.code == ExitCode.OK
    assert "  rollout    PAUSED in canary, stage 2 of 3, which began 20" in said.out
    assert "; the split stays as it is\n" in said.out
    assert "  next       `flipback resume summarizer` goes on from this" in said.out
    refused = do(rollout, "promote", *BY)
    assert refused.code == ExitCode.REFUSED
    assert "  remedy     flipback resume summarizer\n" in refused.out
    assert do(rollout, "resume").code == ExitCode.OK
    assert percent(rollout) == {"v1": 95.0, "v2": 5.0}


def test_a_kill_ends_the_attempt_and_its_release_comes_first(rollout: Project) -> None:
    do(rollout, "start", *BY)
    do(rollout, "promote", *BY)
    do(rollout, "kill", "--reason", "x", "--wait", "0s")
    status = rollout.run("status").out
    assert "  rollout    rolled back from stage 2 of 3\n" in status
    release = "`flipback release summarizer --trip 1 --reason '...'`"
    restore = "`flipback restore summarizer --reason '...'`"
    assert f"\n  next       {release} comes first; then {restore} brings" in status
    assert "\n  moved      rolled back by " in status
    assert " UTC: x\n" in status
    said = do(rollout, "start", *BY)
    assert said.code == ExitCode.REFUSED
    remedy = "flipback release summarizer --trip 1 --reason '...'"
    assert f"  remedy     {remedy}\n" in said.out
    assert do(rollout, "start", "--json").json()["remedy"] == remedy


def test_after_a_release_the_rules_come_back_before_the_candidate(
    rollout: Project,
) -> None:
    do(rollout, "start", *BY)
    do(rollout, "promote", *BY)
    do(rollout, "kill", "--reason", "x", "--wait", "0s")
    do(rollout, "release", "--trip", "1", "--reason", "fixed")
    assert (
        "  next       `flipback restore summarizer --reason '...'` brings back the "
        "split that a kill took; then `flipback start summarizer` begins another"
        in rollout.run("status").out
    )
    said = do(rollout, "restore", "--reason", "again")
    assert said.code == ExitCode.OK
    assert said.out.splitlines()[0] == (
        "summarizer: the flag's rules are back, without v2"
    )
    assert percent(rollout) == {"v1": 100.0, "v2": 0.0}
    assert do(rollout, "start", *BY).code == ExitCode.OK
    again = do(rollout, "restore", "--reason", "again", "--json").json()
    assert again["restored"] is False or again["changed"] is False


def test_machines_get_stable_keys(rollout: Project) -> None:
    answer = do(rollout, "start", *BY, "--json").json()
    assert list(answer) == [
        *("exit", "route", "move", "moved", "refused", "remedy", "recorded"),
        *("pending", "skips_s", "rollout", "gate", "flag"),
    ]
    assert (answer["exit"], answer["move"], answer["moved"]) == (0, "start", True)
    stands = answer["rollout"]
    assert (stands["phase"], stands["stage"], stands["stages"]) == ("shadow", 1, 3)
    assert (stands["shadow"], stands["weight"]) == (100.0, 0.0)
    assert (stands["attempt"], stands["tries"], stands["version"]) == (1, 1, "7")
    assert stands["false_rollback_bound"] == 0.05
    assert stands["acknowledged_percent"] == {"v1": 100.0}
    assert stands["pending_percent"] == {}
    assert answer["flag"]["percent"] == {"v1": 100.0, "v2": 0.0}


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS] + ["restore"])
def test_a_route_that_nobody_plans_is_told_with_the_nearest(
    project: Project, verb: str
) -> None:
    said = project.run(verb, "sumarizer", "--reason", "x")
    assert said.code == ExitCode.USAGE
    assert "no plan names route 'sumarizer' (known: summarizer)" in said.err
    assert "did you mean `summarizer`?" in said.err


def test_a_route_whose_plan_has_mistakes_is_not_moved(project: Project) -> None:
    project.plan("summarizer", candidate="v1")
    said = do(project, "start")
    assert said.code == ExitCode.USAGE
    assert "the plan of summarizer has mistakes, so nothing was done" in said.err
    assert "`flipback check` names them all" in said.err


def test_a_cohort_that_nobody_declares_is_not_accepted(rollout: Project) -> None:
    said = do(rollout, "promote", "--accept", "plan=fre")
    assert said.code == ExitCode.USAGE
    assert "the plan of summarizer declares no cohort 'plan=fre'" in said.err
    assert "did you mean `plan=free`?" in said.err


def test_a_flag_service_that_is_down_moves_nothing(rollout: Project) -> None:
    rollout.write("flags.flagd.json", "{")
    said = do(rollout, "start", "--json")
    assert said.code == ExitCode.UNAVAILABLE
    assert said.json()["exit"] == ExitCode.UNAVAILABLE


def test_a_store_that_is_broken_moves_nothing(rollout: Project) -> None:
    before = (rollout.root / "flags.flagd.json").read_bytes()
    (rollout.root / "flipback.db").write_bytes(b"no database at all" * 100)
    said = do(rollout, "start")
    assert said.code == ExitCode.UNAVAILABLE
    assert (rollout.root / "flags.flagd.json").read_bytes() == before


def test_a_plan_that_promises_less_is_taken_over_by_name_only(
    rollout: Project,
) -> None:
    do(rollout, "start", *BY)
    do(rollout, "pause", *BY)
    rollout.write(
        "rollouts/summarizer.toml", PLAN.replace("tolerance = 0.2", "tolerance = 0.9")
    )
    status = rollout.run("status").out
    assert "  LOOSENED   " in status
    assert "  next       `flipback resume summarizer --accept-plan` goes on" in status
    refused = do(rollout, "resume")
    assert refused.code == ExitCode.REFUSED
    assert "--accept-plan" in refused.out
    assert do(rollout, "resume", "--accept-plan").code == ExitCode.OK


def test_control_characters_of_a_reason_are_shown_and_not_sent(
    rollout: Project,
) -> None:
    said = do(rollout, "start", "--reason", "fine\x1b[2J")
    assert "by " in said.out
    assert "\x1b" not in said.out
    assert "\\x1b[2J" in said.out


def test_a_terminal_gets_lines_that_fit_and_commands_in_one_piece(
    rollout: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    started, refused = do(rollout, "start", *BY).out, do(rollout, "promote").out
    assert max(map(len, f"{started}{refused}".splitlines())) <= 60
    assert "\\n" not in started + refused
    assert "`flipback promote summarizer`" in started
