import re
import tomllib
from pathlib import Path

import pytest

from flipback.config import (
    GuardSettings,
    NotifySettings,
    ShadowSettings,
    TelemetrySettings,
)
from flipback.config._settings import ConfigFile
from flipback.plan import (
    Guardrail,
    Hypothesis,
    Metric,
    MetricKind,
    RolloutPlan,
    Stage,
    Written,
)


PAGES = Path(__file__).parents[3] / "docs"
CONFIG = (PAGES / "reference" / "config.md").read_text()
PLAN = (PAGES / "reference" / "plan.md").read_text()
NOTIFIED = (PAGES / "how-to" / "get-notified.md").read_text()
GUARDRAILS = (PAGES / "how-to" / "choose-guardrails.md").read_text()
ROLLOUT = (PAGES / "how-to" / "run-a-rollout.md").read_text()


def section(page: str, title: str) -> str:
    return page.partition(f"\n{title}\n")[2].partition("\n## ")[0]


TABLES: dict[str, tuple[type[Written], dict[str, object]]] = {
    "": (ConfigFile, {}),
    "telemetry": (TelemetrySettings, {}),
    "guard": (GuardSettings, {}),
    "shadow": (ShadowSettings, {}),
    "notify": (NotifySettings, {"webhook_from": "HOOK"}),
}


@pytest.mark.parametrize("table", TABLES)
def test_the_page_lists_every_key_and_default(table: str) -> None:
    model, needed = TABLES[table]
    spelled = f"`{table}` " if table else ""
    rows = re.findall(rf"^\| {spelled}\| `(\w+)` \| (.*?) \|", CONFIG, re.MULTILINE)
    assert sorted(key for key, _ in rows) == sorted(
        key for key in model.model_fields if key not in TABLES
    )
    written = {
        key: tomllib.loads(f"value = {default.strip('`')}")["value"]
        for key, default in rows
        if default.startswith("`")
    }
    assert model.model_validate({**written, **needed}) == model.model_validate(needed)


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("## The plan", RolloutPlan),
        ("## Stages", Stage),
        ("## Hypothesis", Hypothesis),
        ("## Metrics", Metric),
        ("## Guardrails", Guardrail),
    ],
)
def test_the_page_of_plans_lists_every_key(title: str, model: type[Written]) -> None:
    keys = re.findall(r"^\| `(\w+)` \|", section(PLAN, title), re.MULTILINE)
    assert sorted(keys) == sorted(model.model_fields)


def test_the_page_of_plans_says_how_every_kind_is_weighed() -> None:
    text = section(PLAN, "### How a metric is weighed")
    kinds = re.findall(r'^\| `"([\w ]+)"` \|', text, re.MULTILINE)
    assert kinds[: len(MetricKind)] == list(MetricKind)


def examples(page: str) -> list[dict[str, object]]:
    return list(map(tomllib.loads, re.findall(r"```toml\n(.*?)```", page, re.DOTALL)))


def test_every_example_of_a_configuration_is_right() -> None:
    found = [*examples(CONFIG), *examples(NOTIFIED)]
    assert len(found) > 1
    for table in found:
        ConfigFile.model_validate(table)


WHOLE = examples(PLAN)[0]


@pytest.mark.parametrize(
    "example", [*examples(PLAN), *examples(GUARDRAILS), *examples(ROLLOUT)]
)
def test_every_example_of_a_plan_is_right(example: dict[str, object]) -> None:
    RolloutPlan.model_validate({**WHOLE, **example}, context={"gated": True})
