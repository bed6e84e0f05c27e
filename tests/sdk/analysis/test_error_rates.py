"""A small part of `python -m tests.simulations`, with fixed seeds.

A bound on a number of runs leaves room for chance: a rule that keeps its promise
exactly would break it in fewer than 1 of 50 draws of the seeds.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.stats import binom
from tests.simulations import _designs as designs
from tests.simulations._bounds import lower_bound, reached_by, upper_bound
from tests.simulations._gates import GATES, Gated
from tests.simulations._good import ROLLOUTS
from tests.simulations._growing import Growing, rows_of
from tests.simulations._late import booked_on_arrival, draw_labels, slow_labels
from tests.simulations._peers import kayenta, rules_on_totals
from tests.simulations._race import OURS, Design
from tests.simulations._report import written
from tests.simulations._shadow import Shadow
from tests.simulations._traffic import Requests, looks_of
from tests.simulations.split_ratio import Split

from flipback.exposure import Evidence
from flipback.tally import Seen, Tally


def rolled_back(design: Design, runs: int) -> int:
    alone = replace(design, by_all=False)
    return sum(alone.run(seed)[OURS] is not None for seed in range(runs))


def median(design: Design, runs: int) -> int:
    alone = replace(design, by_all=False)
    middle = reached_by([alone.run(seed)[OURS] for seed in range(runs)], 0.5)
    assert middle is not None
    return middle


def changed(design: Design, how: Callable[[Requests], Requests]) -> Design:
    def draw(rng: np.random.Generator) -> Requests:
        return how(design.draw(rng))

    return replace(design, draw=draw)


@pytest.mark.parametrize(("runs", "most"), [(12, 2), (6, 2)], ids=["12 runs", "6 runs"])
def test_the_slack_of_these_bounds_is_as_stated(runs: int, most: int) -> None:
    assert binom.sf(most, runs, 0.05) < 0.02


def test_a_rule_of_the_flag_beside_a_split_is_no_harm() -> None:
    assert rolled_back(designs.segment_rule(), 12) <= 2


def test_pooling_the_rules_of_a_flag_would_roll_back_every_time() -> None:
    assert rolled_back(changed(designs.segment_rule(), Requests.pooled), 5) == 5


def test_users_who_return_are_no_harm() -> None:
    assert rolled_back(designs.returning(designs.HELPFUL), 12) <= 2


@pytest.mark.long
def test_labels_that_come_late_are_no_harm() -> None:
    assert rolled_back(slow_labels(), 6) <= 2


def test_labels_booked_on_arrival_would_roll_back_every_time() -> None:
    assert rolled_back(booked_on_arrival(), 3) == 3


@pytest.mark.long
@pytest.mark.parametrize(
    ("design", "target"),
    [
        (designs.events(0.1), 60),
        (designs.proportion(), 760),
        (designs.dead(), 5),
        (designs.slower(), 420),
    ],
    ids=lambda value: value.name if isinstance(value, Design) else "",
)
def test_harm_is_caught_in_time(design: Design, target: int) -> None:
    # The median of 9 runs varies by a half; twice the target is out of reach.
    assert median(design, 9) <= 2 * target


@pytest.mark.parametrize(("correlation", "target"), [(0.8, 260), (0.95, 65)])
def test_pairs_need_few_calls(correlation: float, target: int) -> None:
    shadow = Shadow(correlation=correlation)
    middle = reached_by([shadow.run(seed)[OURS] for seed in range(9)], 0.5)
    assert middle is not None
    assert middle <= 1.5 * target


@pytest.mark.parametrize("gated", [GATES[0], GATES[-1]], ids=lambda gated: gated.name)
def test_harm_of_the_margin_rarely_passes_the_gate(gated: Gated) -> None:
    assert sum(gated.passes(1.0, seed) for seed in range(12)) <= 2


def test_a_good_candidate_passes_in_days() -> None:
    rollout = ROLLOUTS[0]
    days = [rollout.run(seed) or 60.0 for seed in range(5)]
    assert sorted(days)[2] <= 3 * rollout.foretold()


def test_a_split_that_is_as_set_is_left_alone() -> None:
    assert [Split(actual=0.1).run(seed) for seed in range(6)] == [None] * 6


def test_a_tenth_of_the_candidates_lost_is_noticed() -> None:
    assert None not in [Split(actual=0.09).run(seed) for seed in range(3)]


def test_peers_that_look_without_correction_roll_back_identical_models() -> None:
    design = designs.identical()
    requests = design.draw(np.random.default_rng(0))
    found = rules_on_totals(design.plan, requests, looks_of(requests))
    assert found["z"] is not None


def test_kayenta_sees_a_fifth_more_latency_after_an_hour() -> None:
    design = designs.slower()
    requests = design.draw(np.random.default_rng(0))
    assert kayenta(design.plan, requests) == 3_600


def one_by_one(design: Design, requests: Requests, until: int) -> Evidence:
    """Book the requests as a log is replayed."""
    tally = Tally(design.plan)
    for values in zip(*requests.before.values(), strict=True):
        seen = tally.expose(Seen("control", 0, epoch="before"))
        for metric, value in zip(requests.before, values, strict=True):
            tally.outcome(seen, metric, float(value))
    tally.freeze()
    for number in range(until):
        epoch, rule = requests.strata[requests.stratum[number]]
        seen = tally.expose(
            Seen(
                "candidate" if requests.served[number] else "control",
                int(requests.user[number]),
                (requests.cohorts[requests.cohort[number]],),
                epoch,
                rule,
            )
        )
        for metric, column in requests.values.items():
            tally.outcome(seen, metric, float(column[number]))
    return tally.evidence


def one_by_one_as_they_arrive(design: Design, requests: Requests) -> Evidence:
    """Book each label when it comes, until the simulation's last look."""
    (metric,) = requests.values
    tally = Tally(design.plan)
    last = design.looks(requests).at[-1]
    for number, at in enumerate(requests.at):
        epoch, _ = requests.strata[requests.stratum[number]]
        arm = "candidate" if requests.served[number] else "control"
        subject = int(requests.user[number])
        seen = tally.expose(Seen(arm, subject, epoch=epoch, at=float(at)))
        comes = float(requests.arrives[metric][number])
        if comes <= last:
            tally.outcome(
                seen, metric, float(requests.values[metric][number]), now=comes
            )
    return tally.evidence


def summed(evidence: Evidence) -> Sequence[tuple[object, ...]]:
    """Return everything that was booked after the percentiles had been frozen."""
    cells = [
        (
            key._replace(epoch=key.epoch.partition("*")[0]),
            cell,
            evidence.subjects.get(key),
        )
        for key, cell in evidence.cells.items()
        if key.epoch != "before"
    ]
    return [
        (key, list(cell.n), round(cell.mean, 9), round(cell.variance, 6), count or 0)
        for key, cell, count in sorted(cells, key=lambda each: each[0])
    ]


def test_sums_in_arrays_are_those_of_a_replay_request_by_request() -> None:
    design = designs.ramp()
    requests = partial(designs.draw_ramp, users=60)(np.random.default_rng(1))
    looks = looks_of(requests)
    growing = Growing(
        design.plan, rows_of(design.plan, requests, looks), cohorts=requests.cohorts
    )
    for look in range(20):
        growing.at(look)
    until = int(looks.ends[20])
    assert summed(growing.at(20)) == summed(one_by_one(design, requests, until))


def test_late_labels_in_arrays_are_those_of_a_replay() -> None:
    design = slow_labels()
    requests = draw_labels(np.random.default_rng(1), 1_000)
    looks = design.looks(requests)
    growing = Growing(design.plan, rows_of(design.plan, requests, looks), cohorts=())
    seen = growing.at(len(looks.at) - 1)
    assert summed(seen) == summed(one_by_one_as_they_arrive(design, requests))


def test_the_bounds_on_a_share_are_the_exact_ones() -> None:
    assert abs(upper_bound(0, 100) - (1 - 0.05**0.01)) < 1e-9
    assert abs(lower_bound(100, 100) - 0.05**0.01) < 1e-9
    assert (lower_bound(0, 9), upper_bound(9, 9)) == (0.0, 1.0)


def test_a_table_is_written_into_its_own_block() -> None:
    page = "a <!-- simulated: x --> old <!-- /simulated --> b <!-- simulated: y --> c"
    assert written(page, "x", "new").count("new") == 1
    assert written(page, "x", "new").endswith("b <!-- simulated: y --> c")
    with pytest.raises(ValueError, match="no block"):
        written(page, "z", "new")
