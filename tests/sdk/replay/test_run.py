"""What a plan makes of a log: roll back, hold or promote, and where."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipback.analysis import Analysis
from flipback.plan import RolloutPlan
from flipback.replay import Outcome, Trouble, Watch
from flipback.tally import Seen, Tally
from flipback.verdict import Action, Verdict
from logs import Bench, Row, hashed, plan_of, traffic, troubles


def test_a_cohort_that_suffers_rolls_back_and_the_rest_is_not_read(
    bench: Bench,
) -> None:
    rows = traffic(5_000, harm=0.5)
    found = bench.run(rows)
    ended = found.ended
    assert ended.outcome is Outcome.ROLL_BACK
    assert ended.decisive is not None
    assert ended.decisive.cohort == "plan=enterprise"
    assert ended.where.line == found.rows.read < 2_000
    assert not found.rows.whole
    served = [row for row in rows[: ended.where.line] if row["variant"] == "v2"]
    assert ended.exposures("v2") == len(served)
    assert ended.exposures("v2", "plan=enterprise") == sum(
        row["cohorts"]["plan"] == "enterprise" for row in served
    )


def test_alike_arms_hold_while_the_gate_asks_for_more(bench: Bench) -> None:
    ended = bench.run(traffic(500)).ended
    assert ended.outcome is Outcome.HOLD
    assert ended.gate is not None
    assert ended.gate.verdict is Verdict.INCONCLUSIVE
    assert ended.where.line == 500


PATIENT = {
    "cohorts": {},
    "stages": [{"weight": 50, "window": "1h"}],
    "guardrails": [{"metric": "resolved", "fails_on": "decrease", "tolerance": 0.2}],
}


def test_alike_arms_promote_once_the_gate_has_its_proof(bench: Bench) -> None:
    ended = bench.with_plan(**PATIENT).run(traffic(2_000)).ended
    assert ended.outcome is Outcome.PROMOTE
    assert ended.stage.weight == 50
    assert ended.stage.since == 1_767_225_600


def test_a_window_counts_from_the_first_row_of_the_weight(bench: Bench) -> None:
    rows = traffic(2_000, every_s=1)
    ended = bench.with_plan(**PATIENT).run(rows).ended
    assert ended.outcome is Outcome.HOLD
    assert ended.gate is not None
    assert ended.gate.waits


def test_a_change_of_weight_opens_an_epoch_and_starts_the_stage_anew(
    bench: Bench,
) -> None:
    before = traffic(300, weight=10)
    after = [
        {**row, "id": f"a{number}", "t": row["t"] + 10_000}
        for number, row in enumerate(traffic(300, weight=50))
    ]
    ended = bench.run([*before, *after]).ended
    assert ended.stage.since == after[0]["t"]
    assert {key.epoch for key in ended.evidence.cells} == {"weight 10", "weight 50"}
    assert ended.evidence.shares == {("weight 10", ""): 0.1, ("weight 50", ""): 0.5}


def test_an_epoch_that_is_given_is_used(bench: Bench) -> None:
    rows = [{**row, "epoch": "e7", "rule": "2"} for row in traffic(100)]
    ended = bench.run(rows).ended
    assert {(key.epoch, key.rule) for key in ended.evidence.cells} == {("e7", "2")}


def test_a_weight_may_be_said_for_the_whole_log(bench: Bench) -> None:
    rows = [{**row, "weight": None} for row in traffic(100)]
    assert bench.run(rows).ended.stage.weight is None
    ended = bench.having(weight=50.0).run(rows).ended
    assert ended.stage.weight == 50
    assert ended.evidence.shares == {("weight 50", ""): 0.5}


def test_a_split_that_is_not_as_said_is_distrusted(bench: Bench) -> None:
    rows = [{**row, "weight": 10} for row in traffic(2_000)]
    ended = bench.run(rows).ended
    assert ended.outcome is Outcome.HOLD
    assert ended.distrusted is not None
    assert ended.analysis.action is Action.FREEZE


def test_late_outcomes_say_the_same_as_those_that_came_at_once(bench: Bench) -> None:
    rows = traffic(2_000)
    late = [
        {"t": row["t"] + 5, "of": row["id"], "metrics": row["metrics"]} for row in rows
    ]
    bare = [{**row, "metrics": {}} for row in rows]
    log = sorted([*bare, *late], key=lambda row: row["t"])
    at_once, later = bench.run(rows).ended, bench.run(log).ended
    assert later.analysis.log_g == pytest.approx(at_once.analysis.log_g)
    assert log_es(later.analysis) == pytest.approx(log_es(at_once.analysis))


def log_es(analysis: Analysis) -> list[float]:
    return [finding.log_e for finding in analysis.findings]


MATURING = {"metrics": {"resolved": {"matures_after": "2h"}}}


def test_outcomes_count_once_their_slice_is_mature(bench: Bench) -> None:
    def n(hours: float) -> int:
        rows = traffic(int(hours * 360))
        ended = bench.with_plan(**MATURING).run(rows).ended
        (found,) = [
            each
            for each in ended.analysis.findings
            if (each.metric, each.cohort) == ("resolved", "")
        ]
        return found.control_n + found.candidate_n

    assert n(3) == 0
    assert n(3.1) == 360
    assert n(4.1) == 720


def test_percentiles_are_frozen_at_a_look_and_an_epoch_begins(bench: Bench) -> None:
    rows = [
        {**row, "metrics": {"latency_s": 1 + number % 100 / 100}}
        for number, row in enumerate(traffic(4_000))
    ]
    slow = {"metric": "latency_s", "fails_on": "increase", "tolerance": 0.2}
    ended = bench.with_plan(guardrails=[slow]).run(rows).ended
    assert {key.epoch for key in ended.evidence.cells} == {"weight 50", "weight 50*1"}
    tails = {k.epoch for k in ended.evidence.cells if k.metric == "latency_s|tail"}
    assert tails == {"weight 50*1"}


def test_a_log_says_the_same_however_many_places_are_kept_open(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = traffic(400, harm=0.2)
    usual = bench.run(rows).ended.analysis
    monkeypatch.setattr("flipback.tally._MOST_SLOTS", 3)
    assert bench.run(rows).ended.analysis == usual


def test_pairs_count_as_observations_of_the_candidate(bench: Bench) -> None:
    dice = [0.1 * (hashed(str(number)) % 10) for number in range(600)]
    rows = [
        {
            "t": float(number),
            "subject": f"u{number}",
            "variant": "v1",
            "weight": 0,
            "paired": {
                "v1": {"resolved": value},
                "v2": {"resolved": value - 0.2 - 0.01 * (number % 3)},
            },
        }
        for number, value in enumerate(dice)
    ]
    ended = bench.run(rows).ended
    assert ended.outcome is Outcome.ROLL_BACK
    assert ended.decisive is not None
    assert ended.decisive.pairs == ended.observed < 300
    assert ended.exposures("v2") == 0


def shadowed(calls: int, **changes: object) -> list[Row]:
    """Return a split of which each call of control was answered by both."""
    rows = traffic(calls, weight=10)
    for row in rows:
        if row["variant"] == "v1":
            row["paired"] = {"v1": row["metrics"], "v2": {"error": 0, "resolved": 1}}
            row.update(changes)
    return rows


def test_a_call_that_both_answered_is_a_pair_and_no_exposure(bench: Bench) -> None:
    rows = shadowed(400)
    of_pairs = sum("paired" in row for row in rows)
    found = bench.run(rows)
    cells = found.ended.evidence.cells
    booked = {
        (key.metric, key.variant): cell.total_n
        for key, cell in cells.items()
        if not key.cohort
    }
    assert booked["resolved+paired", "v1"] == of_pairs
    assert ("resolved", "v1") not in booked
    assert ("exposure", "v1") not in booked
    assert booked["exposure", "v2"] == 400 - of_pairs
    assert found.ended.observed == 400
    assert found.rows.remarks == ()


def test_a_split_with_pairs_is_not_taken_for_a_wrong_one(bench: Bench) -> None:
    ended = bench.run(shadowed(2_000)).ended
    assert ended.distrusted is None


def test_what_one_arm_of_a_pair_recorded_alone_is_left_out_and_told(
    bench: Bench,
) -> None:
    rows = shadowed(20, metrics={"error": 1, "resolved": 0})
    first = next(place for place, row in enumerate(rows) if "paired" in row)
    for arm in rows[first]["paired"].values():
        del arm["error"]
    late = {"t": rows[-1]["t"], "of": rows[first]["id"], "metrics": {"error": 1}}
    assert troubles(bench.run([*rows, late])) == {
        Trouble.OF_ONE: (1, first + 1),
        Trouble.LATE_OF_ONE: (1, 21),
    }


class Counted(Watch):
    """Counts looks without weighing anything."""

    def rows_with_looks(self, served: Iterable[bool], step_s: float) -> list[int]:
        return [
            row
            for row, exposed in enumerate(served, start=1)
            if self.is_due(exposed=exposed, now=row * step_s)
        ]


def watch(**options: int) -> Counted:
    plan = plan_of()
    return Counted(plan, Tally(plan), **options)


def test_every_candidate_exposure_is_looked_at_until_100_then_each_25th() -> None:
    due = watch().rows_with_looks([True] * 200, 0.01)
    assert due == [*range(1, 101), 125, 150, 175, 200]
    assert watch(every=40).rows_with_looks([True] * 200, 0.01)[100:] == [120, 160, 200]


def test_an_hour_that_passes_is_looked_at_too() -> None:
    assert watch().rows_with_looks([False] * 6, 1_500) == [3, 5]


ROWS = traffic(1_000, harm=0.5)


def through(
    plan: RolloutPlan, tally: Tally, watch: Watch, rows: Iterable[Row]
) -> Analysis | None:
    for row in rows:
        cohorts = (f"plan={row['cohorts']['plan']}",)
        seen = Seen(row["variant"], hashed(row["subject"]), cohorts, at=row["t"])
        seen = tally.expose(seen)
        for metric, value in row["metrics"].items():
            tally.outcome(seen, metric, value)
        if watch.is_due(exposed=row["variant"] == plan.candidate, now=row["t"]):
            analysis = watch.look(row["t"])
            if analysis.action is Action.ROLL_BACK:
                return analysis
    return None


@pytest.mark.long
@given(st.integers(0, len(ROWS)))
@settings(max_examples=5)
def test_a_restart_in_the_middle_changes_no_verdict(half: int) -> None:
    plan = plan_of()
    whole, parts = Tally(plan), Tally(plan)
    at_once = through(plan, whole, Watch(plan, whole), ROWS)
    before = Watch(plan, parts)
    found = through(plan, parts, before, ROWS[:half])
    if found is None:
        after = Watch(plan, parts, exposures=before.exposures)
        found = through(plan, parts, after, ROWS[half:])
    assert at_once is not None
    assert found is not None
    assert found.verdict is at_once.verdict
    assert found.log_g == at_once.log_g
    assert log_es(found) == log_es(at_once)
