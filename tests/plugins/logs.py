"""Logs of a rollout, and a bench to run plans over them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from io import BufferedReader, BytesIO
from pathlib import Path
from random import Random
from typing import Any

from flipback.plan import RolloutPlan
from flipback.replay import Repeated, Replay, Replayed, Source, Trouble


Row = dict[str, Any]
PLAN: Mapping[str, object] = {
    "route": "support",
    "flag": "support-model",
    "control": "v1",
    "candidate": "v2",
    "cohorts": {"plan": ["free", "enterprise"]},
    "stages": [{"weight": 50}],
    "guardrails": [
        {"metric": "error", "fails_on": "increase", "tolerance": 0.2},
        {"metric": "resolved", "fails_on": "decrease", "tolerance": 0.05},
    ],
}


def hashed(subject: str) -> int:
    return int.from_bytes(blake2b(subject.encode(), digest_size=8).digest(), "big")


def plan_of(**changes: object) -> RolloutPlan:
    return RolloutPlan.model_validate({**PLAN, **changes})


def traffic(
    calls: int,
    *,
    seed: int = 1,
    weight: float = 50,
    harm: float = 0.0,
    cohort: str = "enterprise",
    users: int | None = None,
    every_s: float = 10.0,
) -> list[Row]:
    """Return rows of a split by user; `harm` is what a cohort loses."""
    dice = Random(seed)  # noqa: S311 - must be repeatable, not secret
    rows: list[Row] = []
    for number in range(calls):
        user = dice.randrange(users or 10 * calls)
        plan = "enterprise" if user % 5 == 0 else "free"
        place = hashed(f"{seed} {user}") / (1 << 64)
        variant = "v2" if place < weight / 100 else "v1"
        lost = harm if variant == "v2" and plan == cohort else 0.0
        resolved = int(dice.random() < 0.8 - lost)
        rows.append(
            {
                "id": f"r{number}",
                "t": 1_767_225_600 + number * every_s,
                "subject": f"user-{user}",
                "variant": variant,
                "cohorts": {"plan": plan},
                "metrics": {"error": int(dice.random() < 0.02), "resolved": resolved},
                "weight": weight,
            }
        )
    return rows


def as_lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder for logs, and a plan to run over them."""

    folder: Path
    replay: Replay

    def with_plan(self, **changes: object) -> "Bench":
        return replace(self, replay=replace(self.replay, plan=plan_of(**changes)))

    def having(self, **options: Any) -> "Bench":  # noqa: ANN401 - fields of Replay
        return replace(self, replay=replace(self.replay, **options))

    def source(self, log: str | bytes | Iterable[Row], name: str) -> Source:
        if not isinstance(log, str | bytes):
            log = as_lines(log)
        path = self.folder / name
        path.write_bytes(log if isinstance(log, bytes) else log.encode())
        return Source(str(path), shown=name, standard_input=nothing())

    def run(
        self, log: str | bytes | Iterable[Row], name: str = "log.jsonl"
    ) -> Replayed:
        with self.source(log, name) as source:
            return self.replay.once(source)

    def many(self, log: str | bytes | Iterable[Row], runs: int) -> Repeated:
        with self.source(log, "log.jsonl") as source:
            return self.replay.many(source, runs)


def nothing() -> BufferedReader:
    return BufferedReader(BytesIO())


def troubles(found: Replayed) -> dict[Trouble, tuple[int, int]]:
    """Return how often each trouble was met, and at which line first."""
    return {each.trouble: (each.count, each.line) for each in found.rows.remarks}
