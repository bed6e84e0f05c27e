import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.replay import Share


KNOWN = [(0, 20, 0.0, 0.16843), (1, 20, 0.00127, 0.24873), (10, 20, 0.27196, 0.72804)]


@pytest.mark.parametrize(("hits", "total", "low", "high"), KNOWN)
def test_the_interval_is_that_of_the_tables(
    hits: int, total: int, low: float, high: float
) -> None:
    share = Share(hits, total)
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-5)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_turns_with_it(
    counted: tuple[int, int],
) -> None:
    share, turned = Share(*counted), Share(counted[1] - counted[0], counted[1])
    assert 0 <= share.low <= share.value <= share.high <= 1
    assert share.low == pytest.approx(1 - turned.high)
