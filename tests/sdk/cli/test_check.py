from textwrap import dedent

import pytest

from flipback.cli import ExitCode
from flipback.ports import Capabilities, CompareAndSet
from flipback_providers.flagfile import FlagFileWriter
from shells import Project


def test_a_project_without_mistakes_says_what_it_rolls_out(project: Project) -> None:
    said = project.run("check")
    assert said.code == ExitCode.OK
    assert said.out == (
        "rollouts/summarizer.toml: route summarizer: flag summarizer-model, "
        "v2 against v1, 1 guardrail, 2 cohorts\n"
        "no mistakes in 1 plan\n"
    )


def test_every_mistake_of_every_file_is_named(project: Project) -> None:
    project.write("flipback.toml", "[guard]\nrunn = 1")
    project.plan("summarizer", control="v11")
    project.plan("chatbot", route="chatbot", flag="chatbot-model")
    project.write("rollouts/fraud.toml", "route = ")
    said = project.run("check")
    assert said.code == ExitCode.MISTAKES
    assert said.out.splitlines()[:4] == [
        "flipback.toml: [guard] runn: unknown key; did you mean `run`?",
        (
            "rollouts/fraud.toml: line 1, column 9: is not TOML: Invalid value; "
            "correct it there; text needs quotes, a table its [name]"
        ),
        (
            "rollouts/chatbot.toml: flag: the flag service has no flag 'chatbot-model';"
            " create it with variants for 'v1' and 'v2', or correct `flag`"
        ),
        (
            "rollouts/summarizer.toml: control: 'v11' is no variant of flag "
            "'summarizer-model'; did you mean `v1`?"
        ),
    ]
    assert said.out.endswith("4 mistakes in 4 files\n")


def test_a_flag_with_other_values_is_told_how_to_map_them(project: Project) -> None:
    project.flag("summarizer-model", v1=False, v2=True)
    said = project.run("check")
    assert said.code == ExitCode.MISTAKES
    assert 'write `values = { "false" = "v1" }`' in said.out


def test_a_flag_file_that_cannot_be_read_is_a_mistake(project: Project) -> None:
    project.write("flags.flagd.json", "{")
    said = project.run("check")
    assert said.code == ExitCode.MISTAKES
    assert "cannot be read from the flag service" in said.out


def test_offline_leaves_the_flag_service_alone(project: Project) -> None:
    (project.root / "flags.flagd.json").unlink()
    said = project.run("check", "--offline")
    assert said.code == ExitCode.OK
    assert "note: the flag service was not asked" in said.out


def test_an_unknown_kind_of_flag_service_is_a_mistake(project: Project) -> None:
    project.write("flipback.toml", 'flags = "flagfil:flags.json"')
    said = project.run("check")
    assert said.code == ExitCode.MISTAKES
    assert "flipback.toml: flags: nothing installed serves 'flagfil'" in said.out


def test_machines_get_every_mistake_in_its_parts(project: Project) -> None:
    project.plan("summarizer", candidate="v1")
    answer = project.run("check", "--json").json()
    assert answer["ok"] is False
    assert answer["mistakes"] == [
        {
            "file": "rollouts/summarizer.toml",
            "table": "",
            "key": "candidate",
            "problem": "control and candidate are both 'v1'",
            "remedy": "name the variant that is rolled out",
        }
    ]


def test_machines_learn_that_all_is_well(project: Project) -> None:
    answer = project.run("--json", "check").json()
    assert answer["ok"] is True
    assert answer["plans"] == [
        {
            "file": "rollouts/summarizer.toml",
            "route": "summarizer",
            "flag": "summarizer-model",
        }
    ]


@pytest.mark.parametrize("text", ["flags", "store = 1", "\x00"])
def test_a_broken_configuration_is_told_and_no_traceback(
    project: Project, text: str
) -> None:
    project.write("flipback.toml", text)
    said = project.run("check")
    assert said.code == ExitCode.MISTAKES
    assert said.out.startswith("flipback.toml: ")


def test_checking_changes_nothing(project: Project) -> None:
    project.run("kill", "summarizer", "--reason", "x", "--wait", "0s")
    before = {path: path.read_bytes() for path in project.root.rglob("*.*")}
    assert project.root / "flipback.db" in before
    project.run("check")
    after = {path: path.read_bytes() for path in project.root.rglob("*.*")}
    assert after == before


def test_checking_creates_nothing(project: Project) -> None:
    before = set(project.root.rglob("*"))
    assert project.run("check").code == ExitCode.OK
    assert set(project.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('store = "redis:x"', "flipback.toml: store: nothing installed serves 'redis'"),
        ('store = "sqlite::memory:"', "names no file that processes could share"),
        ('store = "sqlite:gone/x.db"', "flipback.toml: store: cannot be used: its fo"),
        ('ledger = "gone/x.jsonl"', "flipback.toml: ledger: cannot be used: "),
        ('store = "sqlite:flags.flagd.json"', "is no SQLite database"),
        ('ledger = "flags.flagd.json"', "flipback.toml: ledger: cannot be used: "),
    ],
)
def test_a_store_or_ledger_that_cannot_be_used_is_a_mistake(
    project: Project, text: str, told: str
) -> None:
    project.write("flipback.toml", text)
    said = project.run("check")
    assert said.code == ExitCode.MISTAKES
    assert told in said.out


def test_offline_opens_no_store_but_knows_its_kind(project: Project) -> None:
    project.write("flipback.toml", 'store = "sqlite:gone/x.db"')
    assert project.run("check", "--offline").code == ExitCode.OK
    project.write("flipback.toml", 'store = "redis:x"')
    said = project.run("check", "--offline")
    assert said.code == ExitCode.MISTAKES
    assert "nothing installed serves 'redis'" in said.out


def test_forced_control_is_noted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLIPBACK_FORCE_CONTROL", "summarizer")
    project.write("flipback.force-control", "")
    said = project.run("check")
    assert said.code == ExitCode.OK
    assert "note: FLIPBACK_FORCE_CONTROL forces control on route summarizer" in said.out
    assert "note: flipback.force-control forces control on every route" in said.out


def test_a_forced_route_that_nobody_plans_is_a_mistake(project: Project) -> None:
    project.write("flipback.force-control", "sumarizer")
    said = project.run("check")
    assert said.code == ExitCode.MISTAKES
    assert (
        "flipback.force-control: route: forces 'sumarizer', which no plan names; "
        "did you mean `summarizer`?" in said.out
    )


def test_a_flag_without_split_is_what_a_kill_leaves(project: Project) -> None:
    project.run("kill", "summarizer", "--reason", "x", "--wait", "0s")
    said = project.run("check")
    assert said.code == ExitCode.OK
    assert (
        "note: rollouts/summarizer.toml: flag summarizer-model has no split since the "
        "kill of trip 1; after the release, `flipback restore summarizer --reason "
        "'...'` puts it back\n" in said.out
    )
    project.run("release", "summarizer", "--trip", "1", "--reason", "x")
    said = project.run("check")
    assert said.code == ExitCode.OK
    assert "to go on, `flipback restore summarizer --reason '...'` puts" in said.out


STAGES = """
    [[stages]]
    weight = 95
    [[stages]]
    weight = 100
"""


def test_a_holdback_that_makes_two_stages_equal_is_noted(project: Project) -> None:
    file = project.root / "rollouts" / "summarizer.toml"
    stage = "[[stages]]\nweight = 25"
    file.write_text(file.read_text().replace(stage, dedent(STAGES)))
    assert (
        "note: rollouts/summarizer.toml: [stages[2]] weight: with a holdback of 5 % it "
        "gives the candidate 95 % of subjects, as the stage before does; leave the "
        "stage out, or write a smaller holdback\n" in project.run("check").out
    )


def test_a_guard_that_the_application_drives_is_noted(project: Project) -> None:
    project.write("flipback.toml", '[guard]\nrun = "manual"\ndry_run = true')
    said = project.run("check")
    assert said.code == ExitCode.OK
    assert "note: flipback.toml: [guard] run: " in said.out
    assert "unless the application drives the looks of its router\n" in said.out
    assert "note: flipback.toml: [guard] dry_run: verdicts are recorded" in said.out


def scoped(project: Project) -> None:
    file = project.root / "rollouts" / "summarizer.toml"
    file.write_text(f'{file.read_text()}scope = "cohort"\n')


def test_a_service_that_can_flip_back_a_cohort_gets_no_note(project: Project) -> None:
    scoped(project)
    assert "note" not in project.run("check").out


def test_a_service_that_cannot_flip_back_a_cohort_is_noted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoped(project)
    unable = Capabilities(cas=CompareAndSet.ATOMIC)
    monkeypatch.setattr(FlagFileWriter, "capabilities", unable)
    assert (
        'note: rollouts/summarizer.toml: [guardrails[1]] scope: "cohort": this flag '
        "service cannot serve control to one cohort alone, so everybody is rolled back"
        in project.run("check").out
    )


def test_a_flag_that_never_had_a_split_is_a_mistake(project: Project) -> None:
    flags = project.root / "flags.flagd.json"
    flags.write_text(flags.read_text().replace('"targeting"', '"unused"'))
    said = project.run("check")
    assert said.code == ExitCode.MISTAKES
    assert "the flag has no split" in said.out
