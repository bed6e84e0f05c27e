"""Whatever is wrong in a log is counted, with the line where it was met first."""

import gzip
import json

import pytest

from flipback.replay import MOST_EPOCHS, LogError, Outcome, Source, Trouble
from logs import Bench, Row, as_lines, nothing, traffic, troubles


GOOD = as_lines(traffic(20))


def altered(place: int, **changes: object) -> list[Row]:
    rows = traffic(20)
    rows[place] = {
        key: value
        for key, value in {**rows[place], **changes}.items()
        if value is not ...
    }
    return rows


LEFT_OUT = [
    (altered(4, t=...), Trouble.NO_TIME),
    (altered(4, t="yesterday"), Trouble.NO_TIME),
    (altered(4, t=True), Trouble.NO_TIME),
    (altered(4, t=float("nan")), Trouble.NO_TIME),
    (altered(4, t=10**400), Trouble.NO_TIME),
    (altered(4, t=1_767_225_600_000), Trouble.MILLISECONDS),
    (altered(4, subject=...), Trouble.NO_SUBJECT),
    (altered(4, subject=""), Trouble.NO_SUBJECT),
    (altered(4, subject=["a"]), Trouble.BAD_NAME),
    (altered(4, variant=None), Trouble.NO_VARIANT),
    (altered(4, variant="v3"), Trouble.OTHER_VARIANT),
    (altered(4, id={"a": 1}), Trouble.BAD_NAME),
    (altered(4, rule=[]), Trouble.BAD_NAME),
    (altered(4, epoch=False), Trouble.BAD_NAME),
    (altered(4, subject=float("nan")), Trouble.BAD_NAME),
    (altered(4, weight="half"), Trouble.BAD_WEIGHT),
    (altered(4, weight=101), Trouble.BAD_WEIGHT),
    (altered(4, weight=float("inf")), Trouble.BAD_WEIGHT),
    (altered(4, cohorts="free"), Trouble.BAD_COHORTS),
    (altered(4, id="r3"), Trouble.DUPLICATE),
    (altered(4, of="r99"), Trouble.UNKNOWN_ID),
    (altered(4, of={}), Trouble.BAD_NAME),
]


@pytest.mark.parametrize(("rows", "trouble"), LEFT_OUT)
def test_a_row_that_cannot_be_used_is_left_out_and_counted(
    bench: Bench, rows: list[Row], trouble: Trouble
) -> None:
    found = bench.run(rows)
    assert troubles(found) == {trouble: (1, 5)}
    assert (found.rows.read, found.rows.used, found.rows.excluded) == (20, 19, 1)


KEPT = [
    (altered(4, metrics={"error": "many"}), Trouble.BAD_VALUE),
    (altered(4, metrics={"error": float("nan")}), Trouble.BAD_VALUE),
    (altered(4, metrics={"error": float("-inf")}), Trouble.BAD_VALUE),
    (altered(4, metrics={"error": 10**400}), Trouble.BAD_VALUE),
    (altered(4, metrics={"error": 1e101}), Trouble.BAD_VALUE),
    (altered(4, metrics={"error": [1]}), Trouble.BAD_VALUE),
    (altered(4, metrics=[1]), Trouble.BAD_METRICS),
    (altered(4, metrics={"eror": 1}), Trouble.UNKNOWN_METRIC),
    (altered(4, paired=[1]), Trouble.BAD_PAIR),
    (altered(4, paired={"v1": {"error": 0}}), Trouble.BAD_PAIR),
    (altered(4, paired={"v1": {"error": 0}, "v2": {}}), Trouble.BAD_PAIR),
    (altered(4, t=1_767_225_600), Trouble.BACKWARDS),
    (altered(4, cohort={"plan": "free"}), Trouble.UNKNOWN_FIELD),
]


@pytest.mark.parametrize(("rows", "trouble"), KEPT)
def test_an_exposure_with_a_flaw_still_counts(
    bench: Bench, rows: list[Row], trouble: Trouble
) -> None:
    found = bench.run(rows)
    assert troubles(found) == {trouble: (1, 5)}
    assert found.rows.used == 20


def test_truth_values_and_numbers_in_quotes_are_numbers(bench: Bench) -> None:
    rows = altered(4, metrics={"error": True, "resolved": "1"}, subject=7, id=12)
    assert troubles(bench.run(rows)) == {}


def test_null_says_nothing(bench: Bench) -> None:
    nulls = {"cohorts": None, "weight": None, "rule": None, "epoch": None, "of": None}
    rows = altered(4, metrics={"error": None}, **nulls)
    assert troubles(bench.run(rows)) == {}


LINES = [
    (b"not json\n", Trouble.NO_ROW),
    (b"[1, 2]\n", Trouble.NO_ROW),
    (b"9" * 5_000 + b"\n", Trouble.NO_ROW),
    (b"[" * 100_000 + b"\n", Trouble.NO_ROW),
    (b'{"t": "\xff"}\n', Trouble.NOT_UTF8),
    (b" " * (1 << 20) + b"x" * 10 + b"\n", Trouble.TOO_LONG),
]


@pytest.mark.parametrize(("line", "trouble"), LINES)
def test_a_line_that_is_no_row_is_counted(
    bench: Bench, line: bytes, trouble: Trouble
) -> None:
    found = bench.run(GOOD.encode() + line + as_lines(traffic(40)[20:]).encode())
    assert troubles(found) == {trouble: (1, 21)}
    assert (found.rows.read, found.rows.used) == (41, 40)


@pytest.mark.parametrize("cut", [b'{"id": "r20", "t": 17', b'{"subject": "\xc3'])
def test_a_half_written_last_line_is_told_as_such(bench: Bench, cut: bytes) -> None:
    found = bench.run(GOOD.encode() + cut)
    assert troubles(found) == {Trouble.HALF_WRITTEN: (1, 21)}
    assert found.rows.used == 20


def test_a_last_line_without_an_end_is_a_row_if_it_is_whole(bench: Bench) -> None:
    found = bench.run(GOOD.rstrip())
    assert troubles(found) == {}
    assert found.rows.used == 20


def test_empty_lines_are_no_rows(bench: Bench) -> None:
    found = bench.run("\n\n" + GOOD.replace("\n", "\n \n"))
    assert (found.rows.read, found.ended.where.line) == (20, 41)


def test_outcomes_count_once(bench: Bench) -> None:
    rows = traffic(20)
    del rows[3]["metrics"]["resolved"]
    at = rows[-1]["t"]
    late = {"t": at, "of": "r3", "metrics": {"resolved": 1, "error": 1}}
    found = bench.run([*rows, late, {**late, "metrics": {"resolved": 0}}])
    assert troubles(found) == {Trouble.REPEATED: (2, 21)}
    assert found.rows.outcomes == 2


def test_a_byte_order_mark_is_no_part_of_the_first_row(bench: Bench) -> None:
    assert troubles(bench.run(b"\xef\xbb\xbf" + GOOD.encode())) == {}


def test_what_control_and_candidate_are_called_is_remembered(bench: Bench) -> None:
    found = bench.run([*altered(3, variant="V2"), *altered(0, variant="v4")[:1]])
    (remark,) = (r for r in found.rows.remarks if r.trouble is Trouble.OTHER_VARIANT)
    assert remark.names == ("V2", "v4")
    assert found.ended.analysis.excluded == {"other_variant": 2}


def test_a_weight_that_changes_within_an_epoch_is_told(bench: Bench) -> None:
    rows = [{**row, "epoch": "e1"} for row in traffic(20)]
    rows[10]["weight"] = 5
    assert troubles(bench.run(rows)) == {Trouble.RAMPED: (1, 11)}


def test_a_guarded_metric_that_no_row_has_is_named(bench: Bench) -> None:
    rows = [{**row, "metrics": {"error": 0}} for row in traffic(20)]
    assert bench.run(rows).rows.unseen == ("resolved",)


def test_a_declared_cohort_that_no_row_is_in_is_named(bench: Bench) -> None:
    rows = [{**row, "cohorts": {"tier": "free"}} for row in traffic(20)]
    assert bench.run(rows).rows.unmet == ("plan=free", "plan=enterprise")
    assert bench.run(traffic(20)).rows.unmet == ()


def test_epochs_that_name_single_rows_are_refused(bench: Bench) -> None:
    alike = {"variant": "v1", "t": 1.0}
    rows = [{**row, **alike, "epoch": row["id"]} for row in traffic(MOST_EPOCHS + 2)]
    says = f"log.jsonl:{MOST_EPOCHS + 1}: more than 10,000 epochs"
    with pytest.raises(LogError, match=says):
        bench.run(rows)


def test_an_archive_that_is_cut_off_is_used_as_far_as_it_goes(bench: Bench) -> None:
    packed = gzip.compress(as_lines(traffic(4_000)).encode(), mtime=0)
    found = bench.run(packed[: len(packed) // 2], "log.jsonl.gz")
    assert found.rows.used > 100
    assert Trouble.CUT_OFF in troubles(found)


def useless() -> list[tuple[str | bytes, str]]:
    of_others = as_lines({**row, "variant": "V1"} for row in traffic(3))
    timeless = as_lines({**row, "t": None} for row in traffic(3))
    late = json.dumps({"t": 1, "of": "r1", "metrics": {}})
    return [
        ("", "log.jsonl: is empty"),
        ("\n\n", "log.jsonl: is empty"),
        (gzip.compress(b"", mtime=0), "log.jsonl: is empty"),
        (GOOD.encode("utf-16"), "log.jsonl:1: is UTF-16 text; convert it"),
        (
            gzip.compress(GOOD.encode(), mtime=0)[:12],
            "log.jsonl:1: the archive ends too early",
        ),
        ('[{"t": 1},\n{"t": 2}]\n', "one JSON object per line"),
        ("hello\nworld\n", "log.jsonl:1: no row, as 2 of 2 rows, and no exposure"),
        (of_others, "no row has control 'v1' or candidate 'v2' of the plan; did you"),
        (timeless, "log.jsonl:1: no time in `t`, as 3 of 3 rows"),
        (late, "log.jsonl:1: an outcome `of` an id that no row before it has"),
        ('{"t": 1}', "log.jsonl:1: no `variant`, as 1 of 1 rows"),
    ]


@pytest.mark.parametrize(("log", "says"), useless())
def test_a_log_of_which_nothing_can_be_used_is_refused(
    bench: Bench, log: str | bytes, says: str
) -> None:
    with pytest.raises(LogError) as refused:
        bench.run(log)
    assert says in str(refused.value)
    assert "; " in str(refused.value)


def test_a_path_that_is_no_log_is_refused(bench: Bench) -> None:
    for path, says in ((bench.folder, "is a folder"), (bench.folder / "x", "No such")):
        with (
            pytest.raises(LogError, match=says),
            Source(str(path), standard_input=nothing()),
        ):
            pass


def test_troubles_do_not_change_the_verdict_of_the_rest(bench: Bench) -> None:
    rows = traffic(3_000, harm=0.5)
    clean = bench.run(rows).ended
    noise = ["{", *(json.dumps({**row, "variant": "v9"}) for row in rows[:50])]
    found = bench.run("\n".join(noise) + "\n" + as_lines(rows)).ended
    assert clean.outcome is found.outcome is Outcome.ROLL_BACK
    assert found.where.line == clean.where.line + 51
    assert found.analysis.log_g == clean.analysis.log_g
