from flipback.config import notes_on
from flipback.plan import (
    FailsOn,
    Guardrail,
    Hypothesis,
    OnFail,
    RolloutPlan,
    Stage,
    Undecided,
)


def test_every_key_that_moves_nothing_is_told() -> None:
    plan = RolloutPlan(
        route="r",
        flag="f",
        control="v1",
        candidate="v2",
        hypothesis=Hypothesis(metric="clicks", rises_by=0.05, required=True),
        undecided=Undecided.ASK,
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
        ("hypothesis", "required"),
        ("", "undecided"),
        ("stages", "weight"),
        ("stages", "shadow"),
        ("stages", "window"),
        ("stages", "min_exposures"),
        ("guardrails[1]", "scope"),
        ("guardrails[2]", "on_fail"),
    ]
    assert str(notes[0]) == (
        "p.toml: [hypothesis] required: checked, not yet acted upon: "
        "the gate waits for it, and people promote"
    )


def test_a_hope_gets_its_verdict_and_no_note() -> None:
    plan = RolloutPlan(
        route="r",
        flag="f",
        control="v1",
        candidate="v2",
        hypothesis=Hypothesis(metric="clicks", rises_by=0.05),
        stages=(Stage(weight=1),),
        guardrails=(Guardrail(metric="error", fails_on=FailsOn.INCREASE),),
    )
    assert [note.key for note in notes_on(plan, "p.toml")] == ["weight"]
