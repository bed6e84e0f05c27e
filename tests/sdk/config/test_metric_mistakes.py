from collections.abc import Callable
from pathlib import Path

import pytest

from flipback.config import load_settings
from flipback.errors import ConfigError


Write = Callable[[str, str], Path]

PLAN = """
route = "fraud"
flag = "fraud-model"
control = "v1"
candidate = "v2"
[[stages]]
weight = 1
[[guardrails]]
metric = "precision"
fails_on = "decrease"
tolerance = 0.1
[[guardrails]]
metric = "chargeback"
fails_on = "increase"
tolerance = 0.1
"""


def told(config: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(config)
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            '[metrics.precision]\nnumeratr = "a"\ndenominator = "b"',
            "[metrics.precision] numeratr: unknown key; did you mean `numerator`?",
        ),
        (
            "[metrics.chargeback]\ncolour = 3",
            (
                "[metrics.chargeback] colour: unknown key; remove it; known keys: "
                "kind, numerator, denominator, sum, matures_after, missing"
            ),
        ),
        (
            '[metrics.chargebak]\nkind = "event"',
            (
                "[metrics.chargebak] the table: no guardrail or hypothesis is about "
                "this metric; did you mean `chargeback`?"
            ),
        ),
        (
            '[metrics.chargeback]\nkind = "envent"',
            (
                "[metrics.chargeback] kind: 'envent' is not known here; "
                "did you mean `event`?"
            ),
        ),
        (
            '[metrics.chargeback]\nmissing = "worst"\nmatures_after = "30d"',
            (
                "[metrics.chargeback] missing: 'worst' is not known here; "
                'write "exclude", "bad", or a number without quotes'
            ),
        ),
        (
            '[metrics.chargeback]\nkind = "event"\nmissing = 0\nmatures_after = "30d"',
            (
                "[metrics.chargeback] missing: `chargeback` is an event: a subject "
                "without an outcome saw none; "
                'remove it, or write "bad": then a missing one is an event'
            ),
        ),
        (
            '[metrics.precision]\nsum = { a = "1", b = 2 }',
            (
                "[metrics.precision.sum] a: '1' is no number; "
                "write a number without quotes, such as 0.05"
            ),
        ),
        (
            '[metrics."a|b"]\nkind = "event"',
            (
                "[metrics.a|b] the table: 'a|b' has `|` in its name; "
                "give the metric a name without `|`, `@`, `+`"
            ),
        ),
        (
            'metrics.chargeback = "event"',
            (
                "[metrics.chargeback] the table: 'event' is no table; "
                "write it as a table of keys and values"
            ),
        ),
    ],
)
def test_a_mistake_in_a_table_of_a_metric_names_table_and_key(
    config: Path, write: Write, written: str, message: str
) -> None:
    table = written.startswith("[")
    text = f"{PLAN}{written}\n" if table else f"{written}\n{PLAN}"
    write("rollouts/fraud.toml", text)
    assert told(config) == [f"rollouts/fraud.toml: {message}"]
