"""What a plan asks for that this version checks and shows, but does not act upon."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from typing_extensions import override

from flipback.plan import Guardrail, OnFail, RolloutPlan, Stage, Undecided


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A key that is right but moves nothing yet, and what happens instead."""

    file: str
    table: str
    key: str
    text: str

    @override
    def __str__(self) -> str:
        place = f"[{self.table}] {self.key}" if self.table else self.key
        return f"{self.file}: {place}: checked, not yet acted upon: {self.text}"


_STAGE_KEYS = {
    "weight": "the split is moved by people, in the flag service",
    "shadow": "the candidate answers only the subjects that the flag gives it",
    "window": "the gate waits for it, and people move the split",
    "min_exposures": "the gate waits for them, and people move the split",
}


def notes_on(plan: RolloutPlan, file: str) -> Sequence[Note]:
    """Return a note for each key used that this version does not act upon."""
    found = [*_gate(plan), *_stages(plan.stages), *_guardrails(plan.guardrails)]
    return [
        Note(file=file, table=table, key=key, text=text) for table, key, text in found
    ]


Found = Iterator[tuple[str, str, str]]


def _gate(plan: RolloutPlan) -> Found:
    if plan.hypothesis is not None and plan.hypothesis.required:
        yield "hypothesis", "required", "the gate waits for it, and people promote"
    if plan.undecided is Undecided.ASK:
        yield "", "undecided", "the gate names the cohorts, and people move the split"


def _stages(stages: Sequence[Stage]) -> Found:
    for key, text in _STAGE_KEYS.items():
        if any(key in stage.model_fields_set for stage in stages):
            yield "stages", key, text


def _guardrails(guardrails: Sequence[Guardrail]) -> Found:
    for number, guardrail in enumerate(guardrails, start=1):
        table = f"guardrails[{number}]"
        if guardrail.scope == "cohort":
            yield table, "scope", "the analysis names cohorts, a rollback is for all"
        if guardrail.on_fail is OnFail.PAUSE:
            yield (
                table,
                "on_fail",
                "`flipback status` shows that it should pause, the split stays",
            )
