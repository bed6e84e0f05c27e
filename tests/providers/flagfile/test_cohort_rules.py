"""The rule of one cohort among the others, and what becomes of it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext

from cohort_flags import (
    FLAG,
    GOLD,
    HALF,
    Served,
    Value,
    flag,
    unhurried,
)
from flagfiles import DOCUMENT, INTENT, REF, flag_in, ramp
from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import FlagRef
from flipback_providers.flagfile import FlagFileWriter
from flipback_providers.flagfile._cohorts import cohort_of, condition
from flipback_providers.flagfile._document import Json, JsonObject


def spelled(value: Value) -> str:
    """Spell a value as decisions do to name its cohort."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def kill(writer: FlagFileWriter, cohort: str, ref: FlagRef = REF) -> bool:
    change = writer.kill(ref, control="v1", intent=INTENT, cohort=cohort)
    return change.changed


def test_the_rule_of_a_cohort_comes_first_and_the_others_move_on(
    path: Path, writer: FlagFileWriter
) -> None:
    before = writer.read(REF)
    assert kill(writer, "plan=enterprise")
    [insider, pinned, everybody] = DOCUMENT["flags"]["summarizer"]["targeting"]["if"]  # type: ignore[index]  # JSON
    rule = {"===": [{"var": "plan"}, "enterprise"]}
    expected = {"if": [rule, "v1", insider, pinned, everybody]}
    assert flag_in(path)["targeting"] == expected
    after = writer.read(REF)
    assert (after.split, after.splits) == (before.split, before.splits)
    assert after.exceptions == (
        'rule 1 serves "v1" to plan=enterprise',
        before.exceptions[0].replace("rule 1", "rule 2"),
    )


def test_a_second_cohort_is_added_beside_the_first_in_any_order(
    path: Path, writer: FlagFileWriter
) -> None:
    assert kill(writer, "plan=enterprise")
    assert kill(writer, "n=3")
    assert writer.read(REF).exceptions[:2] == (
        'rule 1 serves "v1" to n=3',
        'rule 2 serves "v1" to plan=enterprise',
    )
    written = path.read_bytes()
    assert not kill(writer, "plan=enterprise")
    assert not kill(writer, "n=3")
    assert path.read_bytes() == written


@pytest.mark.parametrize(
    "ahead",
    [
        [{"var": "beta"}, "v2", {"===": [{"var": "plan"}, "gold"]}, "v1"],
        [{"===": [{"var": "plan"}, "gold"]}, "v2"],
    ],
)
def test_a_rule_that_another_one_precedes_is_not_taken_for_a_kill(
    served: Served, ahead: list[Json]
) -> None:
    served.write(flag({"if": [*ahead, HALF]}))
    assert served.kill("plan=gold")
    user = EvaluationContext("u", {"plan": "gold", "beta": True})
    assert served.to(user) == ("one", "v1")


@pytest.mark.parametrize(
    "parts", [{"targeting": {}}, {"targeting": None}, {"state": "DISABLED"}]
)
def test_a_flag_that_serves_control_alone_is_left_alone(
    served: Served, parts: JsonObject
) -> None:
    served.write({**flag({}), **parts})
    assert not served.kill("plan=gold")


def test_a_flag_that_is_off_keeps_the_cohort_out_once_it_is_on_again(
    served: Served,
) -> None:
    served.write(flag(HALF, state="DISABLED"))
    assert served.kill("plan=gold")
    assert json.loads(served.path.read_text())["flags"][FLAG]["state"] == "DISABLED"


def test_a_static_flag_serves_control_to_the_cohort_alone(served: Served) -> None:
    served.write(flag({}, defaultVariant="v2"))
    assert served.kill("plan=gold")
    assert served.to(EvaluationContext("u", {"plan": "gold"})) == ("one", "v1")
    assert served.to(EvaluationContext("u", {"plan": "free"})) == ("two", "v2")


@pytest.mark.parametrize(
    ("targeting", "rule"),
    [
        ({"if": [GOLD, HALF, "v1"]}, "1"),
        ({"if": [GOLD, "v1", {"if": [{"var": "b"}, HALF, "v1"]}]}, "2"),
        ({"if": [GOLD, {"if": [{"var": "b"}, "v1", HALF]}, "v1"]}, "1.default"),
    ],
)
def test_a_managed_rule_that_would_move_is_refused_and_the_flag_still_killed(
    served: Served, targeting: Json, rule: str
) -> None:
    served.write(flag(targeting))
    before = served.path.read_bytes()
    ref = FlagRef(key=FLAG, rule=rule)
    assert served.writer.read(ref).split
    with pytest.raises(FlagWriteError, match=f"'{rule}'.*kill the whole") as caught:
        kill(served.writer, "plan=free", ref)
    assert caught.value.kind is FlagProblem.INVALID_WRITE
    assert served.path.read_bytes() == before
    assert served.writer.kill(ref, control="v1", intent=INTENT).changed


@pytest.mark.parametrize("targeting", [HALF, {"if": [GOLD, "v2", HALF]}])
def test_the_last_rule_stays_managed_also_by_its_name(
    served: Served, targeting: Json
) -> None:
    served.write(flag(targeting))
    ref = FlagRef(key=FLAG, rule="default")
    assert kill(served.writer, "plan=free", ref)
    state = served.writer.read(ref)
    assert state.split == {"v1": 50_000, "v2": 50_000}
    split = {"v1": 40_000, "v2": 60_000}
    served.writer.set_split(ref, split, expect=state.version, intent=INTENT)
    assert served.writer.read(ref).split == split
    assert not kill(served.writer, "plan=free", ref)


def test_a_ramp_keeps_the_rule_of_a_cohort(writer: FlagFileWriter) -> None:
    kill(writer, "plan=enterprise")
    ramp(writer, 60_000)
    assert not kill(writer, "plan=enterprise")


def test_a_kill_of_the_whole_flag_takes_the_rule_away_and_a_restore_puts_it_back(
    path: Path, writer: FlagFileWriter
) -> None:
    kill(writer, "plan=enterprise")
    snapshot = writer.read(REF)
    killed = writer.kill(REF, control="v1", intent=INTENT)
    assert flag_in(path)["targeting"] == {}
    assert not kill(writer, "plan=enterprise")
    writer.restore(snapshot, expect=killed.after, intent=INTENT, without="v2")
    restored = writer.read(REF)
    assert restored.split == {"v1": 100_000, "v2": 0}
    assert restored.exceptions[0] == 'rule 1 serves "v1" to plan=enterprise'


def test_control_takes_the_candidates_place_although_another_one_is_the_default(
    served: Served,
) -> None:
    served.write(flag({"if": [GOLD, "v2", HALF]}, defaultVariant="v3"))
    ref = FlagRef(key=FLAG)
    snapshot = served.writer.read(ref)
    served.kill("plan=free")
    after = served.writer.read(ref).version
    served.writer.restore(snapshot, expect=after, intent=INTENT, without="v2")
    state = served.writer.read(ref)
    assert state.split == {"v1": 100_000, "v2": 0}
    assert state.exceptions[0].endswith('serves "v1"')


def test_preflight_has_nothing_against_the_rule_of_a_killed_cohort(
    writer: FlagFileWriter,
) -> None:
    before = writer.preflight(REF, control="v1")
    kill(writer, "plan=enterprise")
    after = writer.preflight(REF, control="v1")
    assert [issue.problem.replace("rule 2", "rule 1") for issue in after] == [
        issue.problem for issue in before
    ]
    other = writer.preflight(REF, control="v2")
    assert any("to plan=enterprise" in issue.problem for issue in other)
    assert any(issue.blocks for issue in writer.preflight(REF, control="v9"))


def test_the_audit_names_the_cohort(path: Path, writer: FlagFileWriter) -> None:
    kill(writer, "plan=enterprise")
    audit = path.with_name("flags.json.audit.jsonl").read_text()
    assert json.loads(audit)["operation"] == "kill plan=enterprise"


@pytest.mark.parametrize(
    "written",
    [
        None,
        GOLD,
        {"or": []},
        {"===": [{"var": "a.b"}, "x"]},
        {"===": [{"var": "n"}, "3"]},
        {"or": [{"===": [{"var": "n"}, "3"]}, {"===": [{"var": "n"}, 4]}]},
    ],
)
def test_a_condition_of_somebody_else_names_no_cohort(written: Json) -> None:
    assert cohort_of(written) is None


@unhurried
@given(st.text(min_size=1), st.one_of(st.text(), st.integers().map(str)))
def test_a_condition_that_is_written_is_recognised(name: str, value: str) -> None:
    cohort = f"{name}={value}"
    try:
        written = condition(cohort)
    except FlagWriteError:
        return
    assert cohort_of(json.loads(json.dumps(written))) == cohort
