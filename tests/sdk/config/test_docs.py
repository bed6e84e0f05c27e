import re
import tomllib
from pathlib import Path

import pytest

from flipback.config import GuardSettings, TelemetrySettings
from flipback.config._notes import _STAGE_KEYS
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
GUARDRAILS = (PAGES / "how-to" / "choose-guardrails.md").read_text()


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


def test_the_page_of_plans_names_every_key_without_effect() -> None:
    text = section(PLAN, "## Checked, not yet acted upon")
    for key, effect in _STAGE_KEYS.items():
        assert f"| `stages.{key}` | {effect} |" in text


def test_the_page_of_plans_says_how_every_kind_is_weighed() -> None:
    text = section(PLAN, "### How a metric is weighed")
    kinds = re.findall(r'^\| `"([\w ]+)"` \|', text, re.MULTILINE)
    assert kinds[: len(MetricKind)] == list(MetricKind)


def examples(page: str) -> list[dict[str, object]]:
    return list(map(tomllib.loads, re.findall(r"```toml\n(.*?)```", page, re.DOTALL)))


def test_every_example_of_a_configuration_is_right() -> None:
    assert examples(CONFIG)
    for table in examples(CONFIG):
        ConfigFile.model_validate(table)


WHOLE = examples(PLAN)[0]


@pytest.mark.parametrize("example", [*examples(PLAN), *examples(GUARDRAILS)])
def test_every_example_of_a_plan_is_right(example: dict[str, object]) -> None:
    RolloutPlan.model_validate({**WHOLE, **example}, context={"gated": True})
