from hypothesis import given
from hypothesis import strategies as st

from flipback.replay import Origin
from flipback.replay._index import Index
from logs import Bench, traffic


def origin(line: int, subject: int = 7) -> Origin:
    return Origin(line, line * 0.5, subject, "v1", ("plan=free",), "default", "e1", 5.0)


NAMES = st.text(max_size=4)


@given(
    st.lists(st.tuples(NAMES, st.integers(0, 2**64 - 1)), max_size=60),
    st.integers(1, 9),
)
def test_it_finds_the_first_of_each_id_however_little_memory_it_has(
    seen: list[tuple[str, int]], most: int
) -> None:
    first: dict[str, Origin] = {}
    with Index(most=most) as index:
        for line, (name, subject) in enumerate(seen):
            exposure = origin(line, subject)
            assert index.add(name, exposure) is (name not in first)
            first.setdefault(name, exposure)
        for name, exposure in first.items():
            claimed = index.claim(name, [])
            assert claimed is not None
            assert claimed.origin == exposure


@given(st.lists(st.tuples(NAMES, st.sampled_from("abcd")), max_size=60))
def test_a_metric_is_fresh_once_however_little_memory_it_has(
    told: list[tuple[str, str]],
) -> None:
    before: set[tuple[str, str]] = set()
    with Index(most=2) as index:
        for name, _ in told:
            index.add(name, origin(1), ["z"])
        for name, metric in told:
            claimed = index.claim(name, [metric, "z"])
            assert claimed is not None
            assert claimed.fresh == {metric} - {m for n, m in before if n == name}
            before.add((name, metric))


def test_an_id_that_was_never_there_is_not_found() -> None:
    with Index(most=1) as index:
        for name in "abc":
            index.add(name, origin(1))
        assert index.claim("d", ["error"]) is None


def test_a_log_says_the_same_whether_ids_fit_into_memory_or_not(bench: Bench) -> None:
    rows = traffic(2_000, harm=0.3)
    late = [
        {"t": row["t"], "of": row["id"], "metrics": row.pop("metrics")} for row in rows
    ]
    log = [each for pair in zip(rows, late, strict=True) for each in pair]
    large, small = bench.run(log), bench.having(most_ids=10).run(log)
    assert small.ended.analysis == large.ended.analysis
    assert (small.rows, small.ended.where) == (large.rows, large.ended.where)
