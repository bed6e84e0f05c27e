"""The demo does what it is there for: run as people run it, in a copy of its folder."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


EXAMPLE = Path(__file__).parents[2] / "examples" / "enterprise_cohort"
FLIPPED = re.compile(
    r"flipped back: income-model -> logistic-regression after (\d+) candidate calls "
    r"\(cohort employer_size=enterprise, metric missed\)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    root: Path

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        script = self.root / "examples" / EXAMPLE.name / "run.py"
        return subprocess.run(  # noqa: S603 - our own script
            [sys.executable, str(script), *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )

    def objects(self, name: str) -> list[dict[str, object]]:
        lines = (self.root / ".demo" / name).read_text().splitlines()
        return [json.loads(line) for line in lines if line]

    def flag(self) -> str:
        document = json.loads((self.root / ".demo" / "flags.flagd.json").read_text())
        return json.dumps(document["flags"]["income-model"])


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    shutil.copytree(
        EXAMPLE,
        tmp_path / "examples" / EXAMPLE.name,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return Demo(root=tmp_path)


@pytest.mark.long
def test_a_regression_of_one_cohort_flips_everybody_back(demo: Demo) -> None:
    ended = demo.run()
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert FLIPPED.fullmatch(ended.stdout.splitlines()[-1])
    assert "the aggregate still favours the candidate" in ended.stdout
    assert re.search(r"[\d,]+ enterprise people had been served", ended.stdout)
    check_flag(demo)
    check_ledger(demo)
    check_trace(demo)


def check_flag(demo: Demo) -> None:
    flag = json.loads(demo.flag())
    assert flag["defaultVariant"] == "logistic-regression"
    assert "gradient-boosting" not in json.dumps(flag.get("targeting", {}))


def check_ledger(demo: Demo) -> None:
    (kill,) = [e for e in demo.objects("flipback.ledger.jsonl") if e["kind"] == "kill"]
    assert kill["route"] == "income"
    assert "missed" in str(kill["note"])
    assert "employer_size=enterprise" in str(kill["note"])


def check_trace(demo: Demo) -> None:
    attributes = [span["attributes"] for span in demo.objects("trace.jsonl")]
    seen = {
        (each["flipback.cohort.employer_size"], each["feature_flag.result.variant"])
        for each in attributes
        if isinstance(each, dict)
    }
    assert len(seen) == 4
    assert all("flipback.decision.id" in str(each) for each in attributes)
    events = [event["event_name"] for event in demo.objects("events.jsonl")]
    assert events == ["flipback.guardrail.verdict", "flipback.flip"]


@pytest.mark.long
def test_an_unbiased_candidate_is_held_and_running_it_again_repeats(demo: Demo) -> None:
    first, again = (demo.run("--good", "--calls", "5000") for _ in range(2))
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert again.stdout.splitlines()[-1].startswith(
        "held: income-model keeps gradient-boosting at 25 % after "
    )
    assert evidence_of(first.stdout) == evidence_of(again.stdout)
    assert '["gradient-boosting", 25]' in demo.flag()


def evidence_of(stdout: str) -> list[str]:
    lines = [line for line in stdout.splitlines() if "log G" in line]
    assert len(lines) > 1
    return lines
