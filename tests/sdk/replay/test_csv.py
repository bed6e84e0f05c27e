"""A CSV log says the same as the JSON lines that it stands for."""

import csv
import io
from typing import Any

import pytest

from flipback.replay import LogError, Trouble
from logs import Bench, Row, traffic, troubles


COLUMNS = {
    "id": "request",
    "t": "timestamp",
    "subject": "user",
    "variant": "model",
    "cohort.plan": "tier",
    "metric.error": "failed",
    "metric.resolved": "resolved",
    "weight": "percent",
}


def as_csv(rows: list[Row], columns: dict[str, str] = COLUMNS) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns.values())
    writer.writerows([_cell(row, field) for field in columns] for row in rows)
    return out.getvalue()


def _cell(row: Row, field: str) -> Any:  # noqa: ANN401 - whatever a row holds
    table, dot, name = field.partition(".")
    return row.get(f"{table}s", {}).get(name, "") if dot else row.get(field, "")


def test_a_mapped_csv_is_the_same_log(bench: Bench) -> None:
    rows = traffic(2_000, harm=0.5)
    plain = bench.run(rows)
    found = bench.having(columns=COLUMNS).run(as_csv(rows), "log.csv")
    assert found.rows.remarks == ()
    assert found.ended.outcome == plain.ended.outcome == "roll back"
    assert found.ended.analysis == plain.ended.analysis
    assert found.ended.where.line == plain.ended.where.line + 1


def test_columns_named_as_the_fields_need_no_mapping(bench: Bench) -> None:
    rows = traffic(50)
    found = bench.run(as_csv(rows, {field: field for field in COLUMNS}), "log.csv")
    assert found.rows.used == 50
    assert found.rows.unseen == ()
    assert found.ended.exposures("v2", "plan=enterprise") > 0


def test_csv_is_told_by_its_first_line_where_the_name_does_not(bench: Bench) -> None:
    log = as_csv(traffic(50), {field: field for field in COLUMNS})
    assert bench.run(log, "log.txt").rows.used == 50


def test_times_may_be_iso_8601_and_truth_words(bench: Bench) -> None:
    log = (
        "t,subject,variant,metric.error\n"
        "2026-01-01T00:00:00Z,a,v1,true\n"
        "2026-01-01 00:00:01,b,v1,False\n"
        "2026-01-01T01:00:02+01:00,c,v2,0\n"
        "1767225603,d,v1,1\n"
    )
    found = bench.run(log, "log.csv")
    assert found.rows.remarks == ()
    assert found.ended.where.at == 1_767_225_603


def test_an_empty_cell_says_nothing(bench: Bench) -> None:
    log = "t,subject,variant,metric.error,metric.resolved\n1,a,v1,,1\n2,b,v2,0,\n"
    assert bench.run(log, "log.csv").rows.remarks == ()


def test_late_outcomes_and_pairs_have_columns_too(bench: Bench) -> None:
    log = (
        "id,t,subject,variant,of,metric.resolved,paired.v1.error,paired.v2.error\n"
        "r1,1,a,v1,,,0,1\n"
        "r2,2,b,v1,,,,\n"
        ",3,,,r2,1,,\n"
    )
    found = bench.run(log, "log.csv")
    assert found.rows.remarks == ()
    assert (found.rows.exposures, found.rows.outcomes) == (2, 1)
    assert found.ended.observed == 1


def test_a_missing_column_is_named_with_what_there_is(bench: Bench) -> None:
    log = as_csv(traffic(3))
    with pytest.raises(LogError) as refused:
        bench.run(log, "log.csv")
    assert str(refused.value) == (
        "log.csv:1: there is no column 't' for `t`; say which one it is by "
        "--columns t=NAME; the columns are: request, timestamp, user, model, tier, "
        "failed, resolved, percent"
    )


def test_a_mistyped_column_is_guessed(bench: Bench) -> None:
    wrong = {**COLUMNS, "t": "timestmap"}
    with pytest.raises(LogError, match="did you mean `timestamp`"):
        bench.having(columns=wrong).run(as_csv(traffic(3)), "log.csv")


def test_columns_that_mean_nothing_are_told(bench: Bench) -> None:
    log = "t,subject,variant,error,metric.error,t\n1,a,v1,0,0,2\n"
    (remark,) = bench.run(log, "log.csv").rows.remarks
    assert (remark.trouble, remark.count) == (Trouble.UNKNOWN_FIELD, 2)
    assert remark.names == ("error", "t")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_cells_that_no_comma_separates_are_told(bench: Bench, separator: str) -> None:
    log = "t,subject,variant\n1,a,v1\n".replace(",", separator)
    with pytest.raises(LogError, match="separate cells by commas"):
        bench.run(log, "log.csv")


def test_columns_of_a_log_of_json_are_refused(bench: Bench) -> None:
    with pytest.raises(LogError, match="is JSON, and --columns is about CSV"):
        bench.having(columns=COLUMNS).run(traffic(3))


@pytest.mark.parametrize("rows", [200, 20_000])
def test_a_stray_quote_costs_one_row(bench: Bench, rows: int) -> None:
    lines = [f"{number},u{number},v1,0\n" for number in range(rows)]
    lines[9] = '9,"u9,v1,0\n'
    found = bench.run("t,subject,variant,metric.error\n" + "".join(lines), "log.csv")
    assert troubles(found) == {Trouble.NO_ROW: (1, 11)}
    assert (found.rows.read, found.rows.used) == (rows, rows - 1)


def test_a_cell_may_have_lines(bench: Bench) -> None:
    log = 't,subject,variant,epoch\n1,a,v1,"one\ntwo"\n2,b,v2\n'
    found = bench.run(log, "log.csv")
    assert troubles(found) == {Trouble.NO_ROW: (1, 4)}
    assert {key.epoch for key in found.ended.evidence.cells} == {"one\ntwo"}


BAD = [
    ("3,c\n", Trouble.NO_ROW),
    ("3,c,v1,0,9,9\n", Trouble.NO_ROW),
    ('3,"' + "c" * 140_000 + '",v1,0\n', Trouble.NO_ROW),
]


@pytest.mark.parametrize(("line", "trouble"), BAD)
def test_a_row_that_does_not_fit_its_header_is_counted(
    bench: Bench, line: str, trouble: Trouble
) -> None:
    log = "t,subject,variant,metric.error\n1,a,v1,0\n" + line + "4,b,v2,0\n"
    found = bench.run(log, "log.csv")
    assert troubles(found) == {trouble: (1, 3)}
    assert (found.rows.read, found.rows.used) == (3, 2)


def test_a_line_in_another_encoding_is_counted_and_the_rest_is_used(
    bench: Bench,
) -> None:
    log = b"t,subject,variant\n1,a,v1\n2,\xe9,v1\n3,b,v2\n"
    found = bench.run(log, "log.csv")
    assert troubles(found) == {Trouble.NOT_UTF8: (1, 3)}
    assert (found.rows.read, found.rows.used) == (3, 2)


def test_a_half_written_last_row_is_told_as_such(bench: Bench) -> None:
    found = bench.run("t,subject,variant\n1,a,v1\n2,b", "log.csv")
    assert troubles(found) == {Trouble.HALF_WRITTEN: (1, 3)}


def test_values_that_are_no_numbers_are_counted(bench: Bench) -> None:
    log = "t,subject,variant,metric.error\n1,a,v1,nan\n2,b,v2,inf\n3,c,v2,much\n"
    assert troubles(bench.run(log, "log.csv")) == {Trouble.BAD_VALUE: (3, 2)}
