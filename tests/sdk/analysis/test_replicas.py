"""How the stream was divided among processes must not matter."""

from copy import deepcopy
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulations._book import plan_of, seeded

from flipback.analysis import analyze
from flipback.exposure import Cell, CellKey, Evidence


PLAN = plan_of(
    {"metric": "cost", "fails_on": "increase"},
    {"metric": "grade", "fails_on": "decrease"},
)


class Seen(NamedTuple):
    key: CellKey
    bucket: int
    value: float


def stream(seed: int) -> list[Seen]:
    rng = seeded(seed)
    seen: list[Seen] = []
    for _ in range(600):
        variant = rng.choice(["control", "control", "candidate"])
        epoch = rng.choice(["e1", "e2"])
        for metric, base in (("cost", 1e8), ("grade", 0.5)):
            key = CellKey("answer", 1, epoch, "", 0, metric, "", variant)
            seen.append(Seen(key, rng.randrange(64), rng.gauss(base, 1)))
    return seen


def booked(seen: list[Seen]) -> dict[CellKey, Cell]:
    cells: dict[CellKey, Cell] = {}
    for key, bucket, value in seen:
        if key not in cells:
            cells[key] = Cell.starting_at(value)
        cells[key].add(bucket, value)
    return cells


def merged(replicas: list[dict[CellKey, Cell]]) -> Evidence:
    total: dict[CellKey, Cell] = {}
    for cells in replicas:
        for key, cell in cells.items():
            if key in total:
                total[key].merge(cell)
            else:
                total[key] = deepcopy(cell)
    return Evidence(cells=total, subjects={}, excluded={})


@settings(max_examples=25)
@given(seed=st.integers(0, 99), replicas=st.integers(1, 7), shuffle=st.integers(0, 99))
def test_any_partition_into_replicas_gives_the_same_evidence(
    seed: int, replicas: int, shuffle: int
) -> None:
    seen = stream(seed)
    whole = analyze(PLAN, merged([booked(seen)]))
    rng = seeded(shuffle)
    parts: list[list[Seen]] = [[] for _ in range(replicas)]
    for each in seen:
        rng.choice(parts).append(each)
    books = [booked(part) for part in parts]
    rng.shuffle(books)
    divided = analyze(PLAN, merged(books))
    assert divided.log_g == pytest.approx(whole.log_g, abs=1e-9)
    for one, other in zip(whole.findings, divided.findings, strict=True):
        assert other.log_e == pytest.approx(one.log_e, rel=1e-9, abs=1e-9)
