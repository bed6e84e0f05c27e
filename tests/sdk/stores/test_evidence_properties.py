import math
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from flipback.exposure import Batch, Cell, CellKey, Evidence
from flipback.stores import SqliteStore
from flipback.testing import FakeClock
from flipback.testing.evidence import EPOCH, ROUTE, key


KEYS = [key("latency_s"), key("latency_s", cohort="plan=pro"), key("cost")]
MOST_HASHES = 12

observations = st.tuples(
    st.sampled_from(KEYS),
    st.integers(0, 63),
    st.one_of(st.floats(-2, 2), st.floats(1e8 - 1, 1e8 + 1)),
    st.integers(0, 2**64 - 1),
)


@st.composite
def divided(draw: st.DrawFn) -> tuple[list[Batch], list[Batch]]:
    """Draw observations, divided among writers and batches in two ways."""
    seen = draw(st.lists(observations, min_size=1, max_size=40))
    one_by_one = [_batch("only", place, [each]) for place, each in enumerate(seen, 1)]
    owners = draw(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.integers(1, 3)),
            min_size=len(seen),
            max_size=len(seen),
        )
    )
    groups: dict[tuple[str, int], list[tuple[CellKey, int, float, int]]] = {}
    for owner, each in zip(owners, draw(st.permutations(seen)), strict=True):
        groups.setdefault(owner, []).append(each)
    by_writer = [_batch(*owner, group) for owner, group in sorted(groups.items())]
    interleaved = sorted(by_writer, key=lambda each: each.sequence)
    return one_by_one, draw(st.sampled_from([by_writer, interleaved]))


def _batch(
    writer: str, sequence: int, seen: list[tuple[CellKey, int, float, int]]
) -> Batch:
    made = Batch(writer=writer, sequence=sequence, epochs={EPOCH.digest: EPOCH})
    for booked, bucket, value, subject in seen:
        made.cells.setdefault(booked, Cell.starting_at(value)).add(bucket, value)
        made.subjects.setdefault(booked, set()).add(subject)
    return made


def _evidence(batches: list[Batch]) -> Evidence:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(
            Path(folder, "x.db"), clock=FakeClock(), most_hashes=MOST_HASHES
        )
        for each in batches:
            assert store.flush(each)
            assert not store.flush(each)
        observed = store.evidence(ROUTE, attempt=1, trip=0)
        store.close()
    return observed


@settings(max_examples=60, deadline=None)
@given(divided())
def test_how_observations_are_divided_and_ordered_does_not_matter(
    batches: tuple[list[Batch], list[Batch]],
) -> None:
    left, right = map(_evidence, batches)
    assert left.subjects == right.subjects
    assert sum(left.subjects.values()) <= MOST_HASHES
    assert left.cells.keys() == right.cells.keys()
    for booked, cell in left.cells.items():
        other = right.cells[booked]
        assert cell.n == other.n
        assert math.isclose(cell.mean, other.mean, rel_tol=1e-9, abs_tol=1e-9)
        about_zero = [_xx_about(each, 0.0) for each in (cell, other)]
        assert math.isclose(*about_zero, rel_tol=1e-9, abs_tol=1e-9)
        totals = [_x_about(each, 0.0) for each in (cell, other)]
        assert math.isclose(*totals, rel_tol=1e-9, abs_tol=1e-9)


def _x_about(cell: Cell, origin: float) -> float:
    return sum(cell.x) + cell.total_n * (cell.origin - origin)


def _xx_about(cell: Cell, origin: float) -> float:
    moved = Cell(origin)
    moved.merge(cell)
    return moved.xx
