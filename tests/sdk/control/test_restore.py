import json
from collections.abc import Callable, Sequence

import pytest

from flipback.config import split_giving
from flipback.control._restore import (
    Restoration,
    copies_in,
    readmit_cohort,
    restore_flag,
    snapshot_for,
)
from flipback.errors import FlagProblem
from flipback.latch import Latch, scoped
from flipback.ports import EntryKind, FlagRef, Intent, LedgerEntry, LedgerNote
from projects import FLAG, ROUTE, Project
from troubles import INTENT, OTHER_INTENT, Control, refusal


Build = Callable[..., Control]
COHORT = "plan=enterprise"
BACK = Intent(id="back-1", actor="ada", reason="repaired")
PINNED = {
    "if": [
        {"==": [{"var": "team"}, "models"]},
        "v2",
        {"fractional": [["v1", 50], ["v2", 50]]},
    ]
}


def flag_in(project: Project) -> dict[str, object]:
    flag: dict[str, object] = json.loads(project.flags.read_text())["flags"][FLAG]
    return flag


def restored(
    process: Control, name: str = ROUTE, *, killed: Sequence[str] = ()
) -> Restoration:
    return restore_flag(
        process.ground.plans[ROUTE],
        process.switch.latch(name),
        writer=process.writer,
        entries=process.ground.ledger.entries(),
        intent=BACK,
        killed=killed,
    )


@pytest.fixture
def process(control: Build, folder: Project) -> Control:
    folder.write_flag({"v1": 50, "v2": 50}, targeting=PINNED)
    return control()


def test_a_restore_brings_the_rules_back_with_nobody_on_the_candidate(
    process: Control, folder: Project
) -> None:
    process.switch.kill(ROUTE, intent=INTENT)
    done = restored(process)
    assert (done.refused, done.remedy) == ("", "")
    state = process.writer.read(FlagRef(key=FLAG))
    assert state.split == {"v1": 100_000, "v2": 0}
    assert [each.split()[-1] for each in state.exceptions] == ['"v1"']
    assert done.change is not None
    assert done.change.after == state.version
    split = split_giving(process.ground.plans[ROUTE], state, 1)
    assert split is not None
    process.writer.set_split(state.ref, split, expect=state.version, intent=BACK)
    assert '"v2"' in json.dumps(flag_in(folder)["targeting"])


def test_a_second_kill_restores_what_the_first_one_took_away(process: Control) -> None:
    process.switch.kill(ROUTE, intent=INTENT)
    process.switch.kill(ROUTE, intent=OTHER_INTENT)
    assert process.switch.latch(ROUTE).trip == 2
    assert restored(process).change is not None


def test_rules_that_people_may_have_changed_after_a_release_are_not_put_back(
    process: Control,
) -> None:
    process.switch.kill(ROUTE, intent=INTENT)
    process.release(1)
    process.switch.kill(ROUTE, intent=OTHER_INTENT)  # found the flag killed
    done = restored(process)
    assert done.change is None
    assert "from before trip 2" in done.refused
    assert "*.audit.jsonl" in done.remedy


def test_an_edit_of_a_person_after_the_kill_is_not_undone(
    process: Control, folder: Project
) -> None:
    process.switch.kill(ROUTE, intent=INTENT)
    folder.write_flag({"v1": 10, "v2": 90})
    edited = folder.flags.read_text()
    done = restored(process)
    assert "was edited after trip 1" in done.refused
    assert "entry 2 of the ledger" in done.remedy
    assert folder.flags.read_text() == edited


def test_a_restore_made_again_changes_nothing(process: Control) -> None:
    process.switch.kill(ROUTE, intent=INTENT)
    change = restored(process).change
    assert change is not None
    process.ground.ledger.note(
        LedgerNote(
            kind=EntryKind.RESTORE,
            route=ROUTE,
            at="",
            text="",
            before=change.before.token,
            after=change.after.token,
        )
    )
    assert restored(process) == Restoration()


def test_a_kill_of_a_cohort_is_restored_by_its_name(process: Control) -> None:
    name = scoped(ROUTE, COHORT)
    assert process.switch.kill(name, intent=INTENT).complete
    [rule, *_] = process.writer.read(FlagRef(key=FLAG)).exceptions
    assert rule == 'rule 1 serves "v1" to plan=enterprise'
    assert restored(process, name).change is not None
    state = process.writer.read(FlagRef(key=FLAG))
    assert state.split == {"v1": 100_000, "v2": 0}
    assert not any(COHORT in each for each in state.exceptions)


def test_a_cohort_that_is_still_killed_stays_so_whatever_the_snapshot_has(
    process: Control,
) -> None:
    process.switch.kill(ROUTE, intent=INTENT)
    process.switch.kill(scoped(ROUTE, COHORT), intent=OTHER_INTENT)
    done = restored(process, killed=[COHORT])
    state = process.writer.read(FlagRef(key=FLAG))
    assert state.exceptions[0] == 'rule 1 serves "v1" to plan=enterprise'
    assert done.change is not None
    assert done.change.after == state.version


def test_a_cohort_that_the_flag_cannot_exclude_is_said(process: Control) -> None:
    process.switch.kill(ROUTE, intent=INTENT)
    done = restored(process, killed=["a.b=c"])
    assert done.change is not None
    assert "a.b=c gets control only where flipback decides" in done.remedy


@pytest.mark.parametrize("error", [refusal(FlagProblem.FORBIDDEN), ValueError("bug")])
def test_a_service_in_trouble_is_said_and_not_raised(
    process: Control, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    process.switch.kill(ROUTE, intent=INTENT)

    def read(_: object) -> None:
        raise error

    monkeypatch.setattr(process.writer, "read", read)
    done = restored(process)
    assert done.change is None
    assert done.refused


def test_two_variants_that_mean_the_candidate_cannot_both_be_left_out(
    process: Control, folder: Project
) -> None:
    variants = {"v1": "v1", "a": "v2", "b": "v2"}
    folder.write_flag({"v1": 1, "a": 1, "b": 1}, variants=variants)
    process.switch.kill(ROUTE, intent=INTENT)
    assert "'a', 'b'" in restored(process).refused


def entry(number: int, **parts: object) -> LedgerEntry:
    whole = {
        **dict.fromkeys(("at", "note", "previous", "digest"), ""),
        "kind": EntryKind.FLAG_WRITE,
        "route": ROUTE,
        "latch": None,
    }
    return LedgerEntry(number=number, **{**whole, **parts})  # type: ignore[arg-type]  # passed on


def arrival(number: int, trip: int, after: str, snapshot: str = "") -> LedgerEntry:
    note = f"kill i of trip {trip} reached the flag service"
    return entry(number, note=note, after=after, snapshot=snapshot)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], None),
        ([arrival(1, 1, "k")], None),
        ([arrival(1, 2, "k", "old")], None),
        ([arrival(1, 1, "k"), arrival(2, 1, "k", "old")], "old"),
        ([arrival(1, 1, "k", "old"), arrival(2, 1, "k")], "old"),
    ],
)
def test_the_snapshot_is_that_of_the_process_that_changed_the_flag(
    entries: list[LedgerEntry], expected: str | None
) -> None:
    found = snapshot_for(entries, ROUTE, 1)
    assert (found and found.raw) == expected


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ([], "old"),
        ([entry(2, kind=EntryKind.EPOCH)], "old"),
        ([entry(2, kind=EntryKind.RELEASE, route="other")], "old"),
        ([entry(2, kind=EntryKind.RELEASE)], None),
        ([entry(2, kind=EntryKind.RESTORE, after="r")], None),
    ],
)
def test_an_earlier_kills_snapshot_holds_while_nothing_else_was_written(
    between: list[LedgerEntry], expected: str | None
) -> None:
    entries = [arrival(1, 1, "k", "old"), *between, arrival(3, 2, "k")]
    found = snapshot_for(entries, ROUTE, 2)
    assert (found and found.raw) == expected


def test_a_restore_needs_the_ledger_alone_and_no_process_that_killed(
    control: Build, process: Control
) -> None:
    process.switch.kill(ROUTE, intent=INTENT)
    process.close()
    later = control()
    later.switch.refresh()
    assert restored(later).change is not None


def readmitted(process: Control, *, newest: Latch | None = None) -> Restoration:
    name = scoped(ROUTE, COHORT)
    return readmit_cohort(
        process.ground.plans[ROUTE],
        process.switch.latch(name),
        writer=process.writer,
        intent=BACK,
        newest=lambda: newest or process.ground.newest_latch(name),
    )


def test_a_released_cohort_is_readmitted_and_the_split_of_today_stays(
    process: Control, folder: Project
) -> None:
    before = flag_in(folder)["targeting"]
    latch = process.switch.kill(scoped(ROUTE, COHORT), intent=INTENT).latch
    assert flag_in(folder)["targeting"] != before
    held = readmitted(process)
    assert "flipback release 'support[plan=enterprise]' --trip 1" in held.remedy
    assert held.change is None
    gone = latch.released(1, reason="fixed", actor="ada", at=latch.at)
    done = readmitted(process, newest=gone)
    assert done.change is not None
    assert done.change.changed
    assert flag_in(folder)["targeting"] == before


def test_a_kill_that_comes_while_a_cohort_is_readmitted_keeps_its_rule(
    process: Control, folder: Project
) -> None:
    latch = process.switch.kill(scoped(ROUTE, COHORT), intent=INTENT).latch
    killed = flag_in(folder)["targeting"]
    copies = iter([latch.released(1, reason="", actor="ada", at=latch.at), latch])
    done = readmit_cohort(
        process.ground.plans[ROUTE],
        latch,
        writer=process.writer,
        intent=BACK,
        newest=lambda: next(copies),
    )
    assert "is killed" in done.refused
    assert flag_in(folder)["targeting"] == killed


def test_rules_that_this_host_does_not_have_come_from_the_copy_of_another_ledger(
    process: Control,
) -> None:
    process.switch.kill(ROUTE, intent=INTENT)
    entries = process.ground.ledger.entries()
    process.ground.store.mirror("elsewhere:/l", entries)
    done = restore_flag(
        process.ground.plans[ROUTE],
        process.switch.latch(ROUTE),
        writer=process.writer,
        entries=(),
        intent=BACK,
        copies=lambda: copies_in(process.ground.store),
    )
    assert done.change is not None
    assert done.change.changed
