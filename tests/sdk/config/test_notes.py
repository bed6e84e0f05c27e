from flipback.config import notes_on
from flipback.plan import FailsOn, Guardrail, Hypothesis, OnFail, RolloutPlan, Stage


def test_every_key_without_effect_is_told() -> None:
    plan = RolloutPlan(
        route="r",
        flag="f",
        control="v1",
        candidate="v2",
        hypothesis=Hypothesis(metric="clicks", rises_by=0.05),
        cohorts={"plan": ("free",)},
        stages=(
            Stage.model_validate({"shadow": 1.0, "window": "7d"}),
            Stage(weight=1, min_exposures=500),
        ),
        guardrails=(
            Guardrail(metric="error", fails_on=FailsOn.INCREASE, scope="cohort"),
            Guardrail(metric="cost", fails_on=FailsOn.INCREASE, on_fail=OnFail.PAUSE),
        ),
    )
    notes = notes_on(plan, "p.toml")
    assert [(note.table, note.key) for note in notes] == [
        ("", "hypothesis"),
        ("stages", "weight"),
        ("stages", "shadow"),
        ("stages", "window"),
        ("stages", "min_exposures"),
        ("guardrails[1]", "scope"),
        ("guardrails[2]", "on_fail"),
    ]
    assert str(notes[0]) == (
        "p.toml: hypothesis: checked, not yet acted upon: "
        "its metric is kept as evidence, without a verdict"
    )
