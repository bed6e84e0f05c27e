import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.config import load_settings
from flipback.errors import ConfigError, Mistake
from flipback.plan import Guardrail, Hypothesis, Metric, RolloutPlan, Stage


MODELS = (RolloutPlan, Stage, Guardrail, Hypothesis, Metric)
KEYS = sorted(
    {"plan", "error", *(key for model in MODELS for key in model.model_fields)}
)
RIGHT: dict[str, object] = {
    "route": "r",
    "flag": "f",
    "control": "v1",
    "candidate": "v2",
    "stages": [{"weight": 1}],
    "guardrails": [{"metric": "error", "fails_on": "increase", "tolerance": 0}],
}

scalars = st.one_of(
    st.booleans(),
    st.integers(-1000, 1000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "v1", "1d", "increase", "roll back", "plan=free", "x" * 300]),
    st.sampled_from(["a|b", "exposure", "error", "event", "bad", "change", "strict"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    ),
    max_leaves=8,
)


def toml(value: object) -> str:
    """Spell a value of JSON in TOML; they differ in tables alone."""
    match value:
        case dict():
            inside = ", ".join(f'"{key}" = {toml(part)}' for key, part in value.items())
            return f"{{ {inside} }}"
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case _:
            return json.dumps(value)


@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=4))
def test_whatever_is_written_is_used_or_told_in_words(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, object]
) -> None:
    root = tmp_path_factory.getbasetemp()
    text = "\n".join(f"{k} = {toml(v)}" for k, v in {**RIGHT, **changes}.items())
    (root / "plan.toml").write_text(text)
    (root / "flipback.toml").write_text('plans = ["plan.toml"]')
    for mistake in mistakes(root / "flipback.toml"):
        assert mistake.key
        assert mistake.problem
        assert mistake.remedy
        assert "Input" not in str(mistake)


metrics = st.dictionaries(
    st.sampled_from(["error", "m", "a|b", "", "exposure"]),
    st.dictionaries(
        st.sampled_from([*Metric.model_fields, "kinds"]), values, max_size=4
    )
    | values,
    max_size=3,
)
guardrails = st.lists(
    st.fixed_dictionaries(
        {
            "metric": st.sampled_from(["error", "m", "n"]),
            "fails_on": st.sampled_from(["increase", "decrease", "change"]),
        },
        optional=dict.fromkeys(("kind", "tolerance", "limit", "on_fail"), values),
    ),
    min_size=1,
    max_size=3,
)


@given(metrics, guardrails)
def test_whatever_is_written_of_metrics_is_used_or_told_in_words(
    tmp_path_factory: pytest.TempPathFactory,
    described: dict[str, object],
    guarded: list[object],
) -> None:
    root = tmp_path_factory.getbasetemp()
    whole = {**RIGHT, "metrics": described, "guardrails": guarded}
    text = "\n".join(f"{key} = {toml(value)}" for key, value in whole.items())
    (root / "plan.toml").write_text(text)
    (root / "flipback.toml").write_text('plans = ["plan.toml"]')
    for mistake in mistakes(root / "flipback.toml"):
        assert mistake.key
        assert "[key]" not in str(mistake)
        assert "Input" not in str(mistake)


def mistakes(path: Path) -> Sequence[Mistake]:
    try:
        (plan,) = load_settings(path).plans
    except ConfigError as error:
        return error.mistakes
    assert plan.control != plan.candidate
    return ()
