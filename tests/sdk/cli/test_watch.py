import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.cli._watch import cells, frame
from screens import PATIENCE_S, Screen, Terminal
from shells import Project


COMMAND = [sys.executable, "-m", "flipback.cli", "status", "--watch"]
CTRL_C = b"\x03"
lines = st.lists(st.text(st.characters(codec="ascii", min_codepoint=32)), max_size=12)


@given(before=lines, after=lines, width=st.integers(5, 30), height=st.integers(2, 9))
def test_a_frame_replaces_the_one_before_and_never_scrolls(
    before: list[str], after: list[str], width: int, height: int
) -> None:
    screen, fresh = Screen(width, height), Screen(width, height)
    screen.write(frame("\n".join(before), width, height))
    screen.write(frame("\n".join(after), width, height))
    fresh.write(frame("\n".join(after), width, height))
    assert screen.rows == fresh.rows
    assert screen.scrolled == 0


def test_what_has_no_room_is_counted() -> None:
    screen = Screen(60, 4)
    screen.write(frame("\n".join("abcdefg"), 60, 4))
    assert screen.rows == ["a", "b", "c", "... 4 more lines: make the window taller"]


def test_a_line_that_is_too_long_goes_on_in_the_next_row() -> None:
    screen = Screen(5, 4)
    screen.write(frame("abcdefg\nx", 5, 4))
    assert screen.rows == ["abcde", "fg", "x", ""]


def test_letters_that_take_two_columns_are_counted_so() -> None:
    assert cells("ok") == 2
    assert cells("許可") == 4
    assert cells("e\N{COMBINING ACUTE ACCENT}") == 1


def frames(said: str) -> list[str]:
    return said.partition("\x1b[?1049l")[0].split("\x1b[H")


def shown(said: str, width: int = 80, height: int = 24) -> Screen:
    screen = Screen(width, height)
    screen.write(f"\x1b[H{frames(said)[-1]}")
    return screen


def test_a_terminal_is_redrawn_and_given_back_as_it_was(project: Project) -> None:
    command = [*COMMAND, "--every", "100ms"]
    terminal = Terminal(command, cwd=project.root)
    assert "summarizer: v2" in terminal.until(lambda said: said.count("\x1b[H") > 2)
    terminal.resize(120, 40)
    project.flag("summarizer-model", v1="v1")
    terminal.until(lambda said: "v1 100 %" in said)
    terminal.press(CTRL_C)
    assert terminal.ended() == 0
    screen = shown(terminal.said, 120, 40)
    assert screen.rows[2] == "summarizer: v2 against v1, flag summarizer-model"
    assert screen.rows[5] == "  offered    v1 100 %"
    assert screen.scrolled == 0
    whole = Screen(120, 40)
    whole.write(terminal.said)
    assert whole.modes == ["?1049h", "?25l", "?25h", "?1049l"]
    left = terminal.said.partition("\x1b[?25h\x1b[?1049l")[2]
    assert "summarizer: v2 against v1, flag summarizer-model" in left
    assert "v1 100 %" in left


@contextmanager
def piped(project: Project, *options: str) -> Iterator["Piped"]:
    with subprocess.Popen(  # noqa: S603 - our own module
        [*COMMAND, "--every", "100ms", *options],
        stdout=subprocess.PIPE,
        cwd=project.root,
        bufsize=0,
    ) as process:
        try:
            yield Piped(process)
        finally:
            process.kill()


class Piped:
    """A command whose output is no terminal."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        self.process, self.output = process, process.stdout
        self.said = b""

    def until(self, words: bytes) -> str:
        while words not in self.said:
            assert select.select([self.output], [], [], PATIENCE_S)[0]
            self.said += self.output.read(1 << 16)
        return self.said.decode()


def test_without_a_terminal_a_page_is_printed_once_something_changed(
    project: Project,
) -> None:
    with piped(project) as watcher:
        first = watcher.until(b"inconclusive: ")
        assert "\x1b" not in first
        project.flag("summarizer-model", v1="v1")
        both = watcher.until(b"v1 100 %")
        watcher.process.send_signal(signal.SIGINT)
        assert watcher.process.wait(PATIENCE_S) == 0
    assert both.count("summarizer: v2 against v1") == 2


def test_a_watch_ends_quietly_once_nobody_reads_it(project: Project) -> None:
    with piped(project) as watcher:
        watcher.until(b"summarizer: v2")
        watcher.output.close()
        assert watcher.process.wait(PATIENCE_S) == 0


@pytest.mark.long
def test_machines_get_a_line_of_json_per_change(project: Project) -> None:
    with piped(project, "--json") as watcher:
        watcher.until(b"\n")
        project.flag("summarizer-model", v1="v1")
        said = watcher.until(b'"v1": 100.0').partition("\n")
        watcher.process.send_signal(signal.SIGTERM)
        assert watcher.process.wait(PATIENCE_S) == 0
    route = json.loads(said[0])["routes"][0]
    assert route["flag"]["percent"] == {"v1": 50.0, "v2": 50.0}


def test_a_configuration_that_is_missing_is_no_watch(project: Project) -> None:
    (project.root / "flipback.toml").unlink()
    assert project.run("status", "--watch").code == 2


@pytest.mark.parametrize("every", ["1", "soon"])
def test_a_period_needs_a_unit(project: Project, every: str) -> None:
    said = project.run("status", "--watch", "--every", every)
    assert said.code == 2
    assert "is no duration" in said.err
