import json
from math import inf, log
from pathlib import Path
from typing import Any

import pytest

from flipback.stats import average


Vector = dict[str, Any]  # as read from JSON

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["global"])
def test_reference_values_are_met(vector: Vector) -> None:
    log_g = average(vector["log_es"], vector["weights"])
    assert log_g == pytest.approx(vector["log_g"], rel=1e-9)
    assert (log_g >= log(20)) == vector["roll_back"]


def test_the_average_of_equals_is_itself() -> None:
    assert average([3.0, 3.0], [0.25, 0.75]) == pytest.approx(3)


def test_evidence_too_large_for_a_float_is_averaged() -> None:
    assert average([1e5, 0.0], [0.5, 0.5]) == pytest.approx(1e5 + log(0.5))


def test_evidence_without_bound_is_infinite_on_average() -> None:
    assert average([inf, 0.0, inf], [0.25, 0.5, 0.25]) == inf


def test_nothing_to_average_is_no_evidence() -> None:
    assert average([], []) == 0


def test_a_test_without_weight_has_no_say() -> None:
    assert average([50.0, 1.0], [0.0, 1.0]) == pytest.approx(1)
    assert average([50.0], [0.0]) == -inf
