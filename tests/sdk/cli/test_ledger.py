import json
from contextlib import closing
from pathlib import Path

import pytest

from flipback.cli import ExitCode
from flipback.control import Mirror, SystemClock, ledger_name
from flipback.latch import Latch
from flipback.ports import EntryKind, Intent, LedgerNote
from flipback.routing import Faults
from flipback.stores import FileLedger, SqliteStore
from shells import Project


ROUTE = "summarizer"


@pytest.fixture
def ledger(project: Project) -> FileLedger:
    made = FileLedger(project.root / "flipback.ledger.jsonl", SystemClock())
    findings = ("error of plan=free is 4 % against 2 %", "latency_s rose\x1b[31m")
    intent = Intent(id="i1", actor="ana", reason="errors double", findings=findings)
    made.kill(
        ROUTE, intent=intent, at="2026-01-01T10:00:00+00:00", floor=Latch(route=ROUTE)
    )
    made.note(
        LedgerNote(
            kind=EntryKind.FLAG_WRITE,
            route=ROUTE,
            at="2026-01-01T10:00:01+00:00",
            text="kill i1 of trip 1 reached the flag service",
            actor="ana",
            attempt=2,
            stage=0,
            before="a" * 64,
            after="b7",
            snapshot="{}" * 600,
        )
    )
    made.note(
        LedgerNote(
            kind=EntryKind.START, route="chatbot", at="at noon", text="first try"
        )
    )
    return made


@pytest.fixture
def copied(project: Project, ledger: FileLedger) -> FileLedger:
    path = project.root / "flipback.ledger.jsonl"
    with closing(
        SqliteStore(project.root / "flipback.db", clock=SystemClock())
    ) as store:
        assert Mirror(ledger, store, ledger_name(path), Faults()).copy()
    return ledger


def path(project: Project) -> Path:
    return project.root / "flipback.ledger.jsonl"


def config(project: Project) -> str:
    text = (project.root / "flipback.toml").read_text()
    return "\n".join(x for x in text.splitlines() if not x.startswith("ledger"))


def edit(project: Project, old: str, new: str) -> None:
    text = path(project).read_text()
    assert old in text
    path(project).write_text(text.replace(old, new))


@pytest.mark.usefixtures("ledger")
def test_the_history_says_who_did_what_and_why(project: Project) -> None:
    said = project.run("ledger")
    assert said.code == ExitCode.OK
    assert said.out.splitlines() == [
        "     1  2026-01-01 10:00:00Z  kill       summarizer  by ana",
        "        trip 1: errors double",
        "        - error of plan=free is 4 % against 2 %",
        "        - latency_s rose\\x1b[31m",
        "     2  2026-01-01 10:00:01Z  flag write summarizer  by ana",
        "        kill i1 of trip 1 reached the flag service",
        "        attempt 2, stage 1",
        "        flag: aaaaaaaaaaaa... -> b7",
        "        the flag before is kept, 1.2 kB",
        "     3  at noon  start      chatbot",
        "        first try",
    ]
    assert not said.err


@pytest.mark.usefixtures("ledger")
def test_the_history_of_a_route_is_that_of_its_cohorts_too(project: Project) -> None:
    FileLedger(path(project), SystemClock()).kill(
        f"{ROUTE}[plan=free]",
        intent=Intent(id="i2", actor="ana", reason="free alone"),
        at="",
        floor=Latch(route=f"{ROUTE}[plan=free]"),
    )
    entries = project.run("ledger", ROUTE, "--json").json()["entries"]
    assert [entry["number"] for entry in entries] == [1, 2, 4]
    entries = project.run("ledger", f"{ROUTE}[plan=free]", "--json").json()["entries"]
    assert [entry["number"] for entry in entries] == [4]


@pytest.mark.usefixtures("ledger")
def test_the_last_entries_are_told_alone(project: Project) -> None:
    said = project.run("ledger", "--last", "1").out.splitlines()
    assert said[0] == "2 earlier, of 3"
    assert len(said) == 3
    assert project.run("ledger", "--last", "0").code == ExitCode.USAGE


def test_a_host_without_history_says_so_and_creates_none(project: Project) -> None:
    assert project.run("ledger").out == "nothing has happened yet\n"
    assert project.run("ledger", ROUTE).out == f"nothing has happened to {ROUTE} yet\n"
    assert project.run("ledger", "--verify").code == ExitCode.OK
    assert not path(project).exists()
    assert not (project.root / "flipback.db").exists()


def test_a_misspelled_route_is_told(project: Project) -> None:
    said = project.run("ledger", "sumarizer")
    assert said.code == ExitCode.USAGE
    assert "did you mean `summarizer`?" in said.out


@pytest.mark.usefixtures("copied")
def test_a_whole_ledger_is_verified(project: Project) -> None:
    said = project.run("ledger", "--verify")
    assert said.code == ExitCode.OK
    assert said.out.splitlines() == [
        f"{path(project)}: entries 3, copies in the store 3",
        "  whole: no entry was changed, taken out or cut off",
    ]


@pytest.mark.usefixtures("copied")
def test_an_edited_ledger_is_told_from_its_copy(project: Project) -> None:
    edit(project, "errors double", "ananas")
    said = project.run("ledger")
    assert said.code == ExitCode.OK
    assert "trip 1: errors double\n" in said.out
    assert "not in the ledger any more: this is the store's copy\n" in said.out
    assert "flipback: line 1 was changed\n" in said.err
    verified = project.run("ledger", "--verify")
    assert verified.code == ExitCode.MISTAKES
    assert "  line 1 was changed\n" in verified.out
    assert "  entry 1 is missing in the ledger\n" in verified.out
    assert "whole" not in verified.out
    assert project.run("ledger", "--verify", "--json").json()["breaks"][0] == {
        "number": 1,
        "problem": "line 1 was changed",
    }


@pytest.mark.usefixtures("copied")
def test_a_ledger_that_was_cut_is_told_from_its_copy(project: Project) -> None:
    path(project).write_text(path(project).read_text().splitlines()[0] + "\n")
    assert len(project.run("ledger", "--json").json()["entries"]) == 3
    said = project.run("ledger", "--verify")
    assert said.code == ExitCode.MISTAKES
    assert "it ends at entry 1, the copy at" in said.out


@pytest.mark.usefixtures("copied")
def test_a_ledger_that_is_gone_is_told_from_its_copy(project: Project) -> None:
    path(project).unlink()
    assert "errors double" in project.run("ledger").out
    assert project.run("ledger", "--verify").code == ExitCode.MISTAKES


@pytest.mark.usefixtures("copied")
def test_a_ledger_that_cannot_be_read_is_told_from_its_copy(project: Project) -> None:
    path(project).unlink()
    path(project).mkdir()
    said = project.run("ledger")
    assert said.code == ExitCode.OK
    assert "errors double" in said.out
    assert "is a folder; name a file in it as the ledger" in said.err
    assert project.run("ledger", "--verify").code == ExitCode.UNAVAILABLE


def test_where_nothing_can_be_read_that_is_said(project: Project) -> None:
    path(project).mkdir()
    assert project.run("ledger").code == ExitCode.UNAVAILABLE
    assert project.run("ledger", "--json").json()["exit"] == ExitCode.UNAVAILABLE


@pytest.mark.usefixtures("ledger")
def test_a_ledger_that_cannot_be_compared_is_not_called_whole(project: Project) -> None:
    (project.root / "flipback.db").write_bytes(b"no database at all" * 100)
    said = project.run("ledger", "--verify")
    assert said.code == ExitCode.UNAVAILABLE
    assert "cannot be compared: " in " ".join(said.out.split())
    assert "errors double" in project.run("ledger").out


@pytest.mark.usefixtures("copied")
def test_a_rewritten_ledger_differs_from_its_copy(project: Project) -> None:
    path(project).unlink()
    forged = FileLedger(path(project), SystemClock())
    for text in ("all is well", "still well", "very well"):
        forged.note(LedgerNote(kind=EntryKind.EPOCH, route=ROUTE, at="", text=text))
    said = project.run("ledger", "--verify")
    assert said.code == ExitCode.MISTAKES
    assert "differs from its copy in the store from entry 1 on\n" in said.out


@pytest.mark.usefixtures("copied")
def test_a_ledger_that_began_anew_has_its_newest_entry_last(project: Project) -> None:
    path(project).unlink()
    anew = FileLedger(path(project), SystemClock())
    for minute in (1, 2):
        at = f"2026-01-02T10:0{minute}:00+00:00"
        note = LedgerNote(kind=EntryKind.RESUME, route=ROUTE, at=at, text="on it goes")
        anew.note(note)
    told = project.run("ledger", ROUTE, "--json").json()["entries"]
    assert [(each["number"], each["from_copy"]) for each in told] == [
        (1, True),
        (2, True),
        (1, False),
        (2, False),
    ]
    assert "10:02:00Z" in project.run("ledger", "--last", "1").out


@pytest.mark.usefixtures("copied")
def test_an_edited_entry_is_shown_beside_its_copy(project: Project) -> None:
    edit(project, '"note":"errors double"', '"note":"all is well"')
    said = " ".join(project.run("ledger", "--verify").out.split())
    assert 'note: now "all is well", in the copy "errors double"' in said
    assert "put the file back from a backup" in said
    (told,) = project.run("ledger", "--verify", "--json").json()["edits"]
    assert told.startswith("entry 1, note: ")


def test_the_reason_of_a_kill_is_told_once(project: Project) -> None:
    findings = ("errors rose", "recall fell")
    intent = Intent(id="i", actor="x", reason="; ".join(findings), findings=findings)
    made = FileLedger(path(project), SystemClock())
    made.kill(ROUTE, intent=intent, at="", floor=Latch(route=ROUTE))
    assert project.run("ledger").out.count("recall fell") == 1


@pytest.mark.usefixtures("copied")
def test_a_lost_ledger_is_a_mistake_with_what_to_do(project: Project) -> None:
    whole = project.run("check")
    assert "cop" not in whole.out, whole.out
    path(project).unlink()
    said = project.run("check")
    assert said.code == ExitCode.MISTAKES
    assert "has no entry, and 3 that the store has copies of" in said.out
    assert "name another file as `ledger`" in said.out
    assert not path(project).exists()
    project.write("flipback.toml", f'ledger = "second.jsonl"\n{config(project)}')
    assert project.run("ledger", "--verify").code == ExitCode.OK


def test_copies_of_other_ledgers_are_named(
    project: Project, ledger: FileLedger
) -> None:
    with closing(
        SqliteStore(project.root / "flipback.db", clock=SystemClock())
    ) as store:
        store.mirror("elsewhere:/x.jsonl", ledger.entries())
    path(project).unlink()
    assert "a copy of another ledger: elsewhere:/x.jsonl\n" in project.run("ledger").out
    answer = json.loads(project.run("ledger", "--json").out)
    assert answer["elsewhere"] == ["elsewhere:/x.jsonl"]
