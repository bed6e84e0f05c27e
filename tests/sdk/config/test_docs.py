import re
import tomllib
from pathlib import Path

import pytest

from flipback.config import GuardSettings, TelemetrySettings
from flipback.config._notes import _STAGE_KEYS
from flipback.config._settings import ConfigFile
from flipback.plan import Guardrail, RolloutPlan, Stage, Written


PAGES = Path(__file__).parents[3] / "docs" / "reference"
CONFIG = (PAGES / "config.md").read_text()
PLAN = (PAGES / "plan.md").read_text()


def section(page: str, title: str) -> str:
    return page.partition(f"\n{title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("table", "model"),
    [("", ConfigFile), ("telemetry", TelemetrySettings), ("guard", GuardSettings)],
)
def test_the_page_lists_every_key_and_default(table: str, model: type[Written]) -> None:
    spelled = f"`{table}` " if table else ""
    rows = re.findall(rf"^\| {spelled}\| `(\w+)` \| (.*?) \|", CONFIG, re.MULTILINE)
    tables = {"telemetry", "guard"}
    assert [key for key, _ in rows] == [
        k for k in model.model_fields if k not in tables
    ]
    written = {
        key: tomllib.loads(f"value = {default.strip('`')}")["value"]
        for key, default in rows
        if default.startswith("`")
    }
    assert model.model_validate(written) == model()


@pytest.mark.parametrize(
    ("title", "model"),
    [("## The plan", RolloutPlan), ("## Stages", Stage), ("## Guardrails", Guardrail)],
)
def test_the_page_of_plans_lists_every_key(title: str, model: type[Written]) -> None:
    keys = re.findall(r"^\| `(\w+)` \|", section(PLAN, title), re.MULTILINE)
    assert sorted(keys) == sorted(model.model_fields)


def test_the_page_of_plans_names_every_key_without_effect() -> None:
    text = section(PLAN, "## Checked, not yet acted upon")
    for key, effect in _STAGE_KEYS.items():
        assert f"| `stages.{key}` | {effect} |" in text


@pytest.mark.parametrize("page", [CONFIG, PLAN], ids=["config", "plan"])
def test_every_example_is_right(page: str) -> None:
    for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL):
        table = tomllib.loads(text)
        model = RolloutPlan if "route" in table else ConfigFile
        model.model_validate(table, context={"gated": True})
