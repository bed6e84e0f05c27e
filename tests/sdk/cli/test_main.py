import io
import logging
import os
import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest

import flipback
from flipback.cli import ExitCode, build_parser, main
from flipback.cli._parser import COMMANDS
from flipback.cli._shell import Shell
from flipback.cli._speech import plain
from shells import Project


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("explode",),
        ("check", "--colour"),
        ("kill", "--reason", "x"),
        ("kill", "summarizer"),
        ("kill", "summarizer", "--reason", " "),
        ("kill", "summarizer", "--all", "--reason", "x"),
        ("kill", "--all", "--variant", "v2", "--reason", "x"),
        ("kill", "--all", "--reason", "x", "--wait", "2"),
        ("release", "summarizer", "--reason", "x"),
        ("release", "summarizer", "--trip", "0", "--reason", "x"),
        ("release", "summarizer", "--trip", "last", "--reason", "x"),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_told_and_nothing_is_done(
    project: Project, argv: tuple[str, ...]
) -> None:
    said = project.run(*argv)
    assert said.code == ExitCode.USAGE
    assert said.err
    assert not (project.root / "flipback.ledger.jsonl").exists()


def test_a_wrong_duration_is_told_how_to_write_one(project: Project) -> None:
    said = project.run("kill", "--all", "--reason", "x", "--wait", "2")
    assert "'2' is no duration: write a number and a unit" in said.err


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(project: Project, command: str) -> None:
    said = project.run(command, "--help")
    assert said.code == ExitCode.OK
    assert "--config FILE" in said.out
    assert "--json" in said.out


def test_the_configuration_may_stand_before_or_after_the_command(
    project: Project,
) -> None:
    (project.root / "flipback.toml").rename(project.root / "other.toml")
    assert project.run("check").code == ExitCode.USAGE
    assert project.run("--config", "other.toml", "check").code == ExitCode.OK
    assert project.run("check", "--config", "other.toml").code == ExitCode.OK


def test_the_environment_names_the_configuration(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.root / "flipback.toml").rename(project.root / "other.toml")
    monkeypatch.setenv("FLIPBACK_CONFIG", "other.toml")
    assert project.run("check").code == ExitCode.OK


@pytest.mark.parametrize(
    "argv",
    [
        ("check",),
        ("status",),
        ("kill", "--all", "--reason", "x"),
        ("release", "summarizer", "--trip", "1", "--reason", "x"),
    ],
    ids=lambda argv: argv[0],
)
def test_without_a_configuration_all_three_places_are_named(
    project: Project, argv: tuple[str, ...]
) -> None:
    (project.root / "flipback.toml").unlink()
    said = project.run(*argv, "--json")
    assert said.code == ExitCode.USAGE
    assert "no path is given (--config), FLIPBACK_CONFIG is not set" in said.err
    assert said.json()["exit"] == ExitCode.USAGE


def test_a_fault_of_ours_is_no_traceback(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shell, "of_this_process", lambda: {}["check"])
    said = project.run("check")
    assert said.code == ExitCode.UNAVAILABLE
    assert "a fault of flipback: KeyError('check')" in said.err


def test_output_that_nobody_reads_is_no_fault(project: Project) -> None:
    command = [sys.executable, "-m", "flipback.cli", "check"]
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=project.root
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == ExitCode.UNAVAILABLE


def test_the_parser_names_every_exit_code() -> None:
    help_text = build_parser().format_help()
    for code in ExitCode:
        assert f"  {code:d}  " in help_text


@pytest.mark.usefixtures("project")
def test_main_takes_the_arguments_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["flipback", "check"])
    assert main() == ExitCode.OK


def test_the_version_is_told(project: Project) -> None:
    said = project.run("--version")
    assert (said.code, said.out) == (ExitCode.OK, f"flipback {version('flipback')}\n")


def test_an_encoding_without_a_letter_is_no_fault(project: Project) -> None:
    reason = ("kill", "summarizer", "--reason", "Blödsinn", "--wait", "0s")
    assert project.run(*reason).code == ExitCode.OK
    command = [sys.executable, "-m", "flipback.cli", "status"]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(  # noqa: S603 - our own module
        command, capture_output=True, cwd=project.root, env=environ, check=False
    )
    assert done.returncode == ExitCode.OK
    assert b"reason     Bl\\xf6dsinn" in done.stdout


def test_json_is_ascii_whatever_people_wrote(project: Project) -> None:
    said = project.run("kill", "summarizer", "--reason", "\udc80ö", "--json")
    assert said.out.isascii()
    (kill,) = said.json()["kills"]
    assert kill["latch"]["reason"] == "\udc80ö"


def test_what_controls_a_terminal_is_shown_and_not_sent(project: Project) -> None:
    reason = "fine\x1b[2J\nsearch: all is well"
    project.run("kill", "summarizer", "--reason", reason, "--actor", "a\u202eb")
    said = project.run("status").out
    assert "  reason     fine\\x1b[2J\\nsearch: all is well\n" in said
    assert ", by a\\u202eb\n" in said


def test_what_a_command_says_is_not_logged_as_well(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    (project.root / "flipback.db").write_bytes(b"no database at all" * 100)
    said = project.run("status")
    assert said.out.count("is no SQLite database") == 1
    assert said.err == ""
    assert not caplog.records


def test_the_log_of_an_application_is_left_as_it_was(project: Project) -> None:
    logger = logging.getLogger("flipback")
    before = (logger.propagate, list(logger.handlers))
    project.run("check")
    assert (logger.propagate, list(logger.handlers)) == before


def test_a_flag_audit_that_is_lost_is_told_in_one_line(project: Project) -> None:
    (project.root / "flags.flagd.json.audit.jsonl").mkdir()
    said = project.run("kill", "summarizer", "--reason", "x", "--wait", "0s")
    assert said.code == ExitCode.OK
    (line,) = said.err.splitlines()
    assert line.startswith("flipback: ")
    assert "cannot be appended to" in line


def test_a_stream_that_is_no_terminal_is_left_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    assert project.run("check").code == ExitCode.OK
    assert "no mistakes" in stream.getvalue()


def test_a_kill_that_was_misspelled_says_that_nothing_was_killed(
    project: Project,
) -> None:
    said = project.run("kill", "summarizer", "--json")
    assert said.err.splitlines()[-1] == "flipback: NOTHING WAS KILLED"
    assert said.json() == {
        "exit": 2,
        "error": "the following arguments are required: --reason; nothing was killed",
    }
    assert "KILLED" not in project.run("pause", "summarizer").err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("status",), "flipback: interrupted\n"),
        (
            ("kill", "summarizer", "--reason", "x"),
            "flipback: interrupted: nothing may have been killed; run it again\n",
        ),
        (
            ("start", "summarizer"),
            "flipback: interrupted: `flipback status` shows what was done\n",
        ),
    ],
    ids=["status", "kill", "start"],
)
def test_ctrl_c_while_modules_are_loaded_is_no_traceback(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    argv: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.delitem(sys.modules, "flipback.cli._main")
    monkeypatch.setattr(sys, "meta_path", [Impatient(), *sys.meta_path])
    done = project.run(*argv)
    assert (done.code, done.err) == (ExitCode.INTERRUPTED, said)


class Impatient:
    """Stands for a person who presses Ctrl-C during an import."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "flipback.cli._main":
            raise KeyboardInterrupt


def test_the_package_loads_nothing_before_it_is_asked_for() -> None:
    program = (
        "import sys, flipback.cli; print([name for name in sys.modules if name in "
        "('pydantic', 'flipback.app')]); from flipback import *; print(Router, record)"
    )
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0] == "[]"
    assert set(flipback.__all__) <= set(dir(flipback))
    with pytest.raises(AttributeError, match="no attribute 'Ruoter'"):
        getattr(flipback, "Ruoter")  # noqa: B009 - a type checker would object


@pytest.mark.parametrize("name", ["日本 x", "a\\ü'b", "\u202eplain"])
def test_an_argument_that_cannot_be_shown_can_be_pasted(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    line = plain(f"flipback kill {shlex.quote(name)}")
    assert line.isascii()
    argument = line.removeprefix("flipback kill ")
    done = subprocess.run(  # noqa: S603 - our own line
        ["/bin/bash", "-c", f"printf %s {argument}"], capture_output=True, check=True
    )
    assert done.stdout.decode() == name


def test_a_kill_that_cannot_say_so_keeps_its_exit_code(project: Project) -> None:
    command = [sys.executable, "-m", "flipback.cli", "kill", "summarizer"]
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(  # noqa: S603 - our own module
            [*command, "--reason", "x", "--wait", "0s"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=project.root,
            check=False,
        )
    assert done.returncode == ExitCode.OK
    assert b"answer could not be written (No space left on device)" in done.stderr
    assert "killed" in project.run("status").out
