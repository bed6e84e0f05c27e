import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from flipback.cli import MEANING, ExitCode, build_parser
from flipback.cli._parser import COMMANDS, command_named


PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text()
EVERYWHERE = {"--config", "--json"}


def rows(section: str) -> list[str]:
    text = PAGE.partition(f"\n{section}\n")[2].partition("\n#")[0]
    table = [line for line in text.splitlines() if line.startswith("|")]
    return table[2:]


def parsers() -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for name in COMMANDS:
        found[name] = argparse.ArgumentParser()
        command_named(name).declare(found[name])
    return found


def option_rows(command: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        if "--help" not in action.option_strings:
            name, value = "".join(action.option_strings), action.metavar or ""
            option = f"{name} {value}".strip()
            needed = "; required" if action.required and action.option_strings else ""
            yield f"| {command} | `{option}` | {action.help}{needed} |"


def test_the_page_lists_every_option_and_no_other() -> None:
    every = option_rows("every", build_parser())
    expected = [row for row in every if any(name in row for name in EVERYWHERE)]
    for name, parser in parsers().items():
        expected.extend(option_rows(f"`{name}`", parser))
    assert rows("## Options") == expected


def test_the_page_lists_every_command() -> None:
    table = re.findall(
        r"^\| `(\w+)` \| (.*) \|$", PAGE.partition("## ")[0], re.MULTILINE
    )
    assert table == [(name, command_named(name).help) for name in COMMANDS]


def test_the_page_lists_every_exit_code() -> None:
    assert rows("## Exit codes") == [
        f"| {code:d} | `{code.name}` | {MEANING[code]} |" for code in ExitCode
    ]
