"""The README is followed to the letter: its files, its program, its commands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w+)\n(?P<body>.*?)```",
    re.DOTALL,
)
RUN_ELSEWHERE = {"make demo": "tests/scenarios/test_enterprise_cohort.py"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for block in BLOCK.finditer(README):
        if block["file"]:
            target = tmp_path / block["file"]
            target.parent.mkdir(exist_ok=True)
            target.write_text(block["body"], encoding="utf-8")
    return tmp_path


def blocks(language: str) -> list[str]:
    return [b["body"] for b in BLOCK.finditer(README) if b["language"] == language]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(  # noqa: S603 - the README's own commands
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_program_of_the_readme_runs_on_the_files_of_the_readme(
    folder: Path,
) -> None:
    (program,) = blocks("python")
    done = run(folder, sys.executable, "-W", "error", "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.lower().startswith("rain is coming")


def test_every_command_of_the_readme_works_in_its_order(folder: Path) -> None:
    commands = [
        line.removeprefix("$ ")
        for block in blocks("console")
        for line in block.splitlines()
    ]
    assert commands
    for command in commands:
        if command in RUN_ELSEWHERE:
            assert (ROOT / RUN_ELSEWHERE[command]).exists()
            continue
        done = run(folder, "bash", "-c", command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", README)
    assert links
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


def test_both_commands_for_a_fresh_machine_are_named() -> None:
    assert "make demo" in README
    assert "make test" in README
