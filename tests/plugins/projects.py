"""A folder that an application would have: configuration, one plan, one flag file."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


FLAG = "support-model"
ROUTE = "support"
PLAN: Mapping[str, object] = {
    "route": ROUTE,
    "flag": FLAG,
    "control": "v1",
    "candidate": "v2",
    "cohorts": {"plan": ["free", "enterprise"]},
    "stages": [{"weight": 10}, {"weight": 50}],
    "guardrails": [
        {"metric": "error", "fails_on": "increase", "tolerance": 0.2},
        {"metric": "resolved", "fails_on": "decrease", "tolerance": 0.05},
    ],
}
HALF = {"v1": 50, "v2": 50}


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project on disk.

    Attributes:
        path: Its folder.
        config: Its `flipback.toml`.
        flags: Its flag file.
    """

    path: Path
    config: Path
    flags: Path

    @property
    def store(self) -> Path:
        return self.path / "flipback.db"

    @property
    def ledger(self) -> Path:
        return self.path / "flipback.ledger.jsonl"

    def write_flag(
        self,
        split: Mapping[str, int],
        *,
        variants: Mapping[str, object] | None = None,
        **parts: object,
    ) -> None:
        """Replace the flag file by one flag that splits everybody like this.

        Args:
            split: Variant to weight; the first one is the default variant too.
            variants: Variant to value, each its own name if not given.
            parts: Members of the flag to set or replace, such as `targeting`.
        """
        flag = {
            "state": "ENABLED",
            "variants": variants or {name: name for name in split},
            "defaultVariant": next(iter(split)),
            "targeting": {"fractional": [[*entry] for entry in split.items()]},
            **parts,
        }
        fresh = self.flags.with_suffix(".new")
        fresh.write_text(json.dumps({"flags": {FLAG: flag}}, indent=2))
        fresh.replace(self.flags)


CreateProject = Callable[..., Project]


def create_project(
    path: Path,
    *,
    plan: Mapping[str, object] | str | None = None,
    split: Mapping[str, int] | None = None,
    **toml: object,
) -> Project:
    """Write a project into a folder.

    Args:
        path: An empty folder, or one to overwrite.
        plan: Keys to set in or add to `PLAN` (None takes one out), or a whole plan
            as TOML.
        split: The flag's split, half and half if not given.
        toml: Keys and tables of `flipback.toml`. Looks at the evidence are made by
            hand unless `guard` says otherwise.
    """
    (path / "rollouts").mkdir(parents=True, exist_ok=True)
    config = path / "flipback.toml"
    config.write_text(as_toml({"guard": {"run": "manual"}, **toml}))
    whole = plan if isinstance(plan, str) else as_toml({**PLAN, **(plan or {})})
    (path / "rollouts" / "plan.toml").write_text(whole)
    project = Project(path=path, config=config, flags=path / "flags.flagd.json")
    project.write_flag(split or HALF)
    return project


def as_toml(table: Mapping[str, object]) -> str:
    """Spell a table as TOML, its members inline."""
    present = {key: value for key, value in table.items() if value is not None}
    return "".join(f"{_key(key)} = {_spelled(v)}\n" for key, v in present.items())


def _spelled(value: object) -> str:
    if isinstance(value, Mapping):
        members = ", ".join(f"{_key(k)} = {_spelled(v)}" for k, v in value.items())
        return f"{{ {members} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_spelled, value))}]"
    return json.dumps(value)


def _key(key: object) -> str:
    return json.dumps(key)
