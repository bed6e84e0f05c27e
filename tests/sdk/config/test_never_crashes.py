import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.config import load_settings
from flipback.errors import ConfigError, Mistake
from flipback.plan import Guardrail, RolloutPlan, Stage


KEYS = sorted(
    {*RolloutPlan.model_fields, *Stage.model_fields, *Guardrail.model_fields, "plan"}
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


def mistakes(path: Path) -> Sequence[Mistake]:
    try:
        (plan,) = load_settings(path).plans
    except ConfigError as error:
        return error.mistakes
    assert plan.control != plan.candidate
    return ()
