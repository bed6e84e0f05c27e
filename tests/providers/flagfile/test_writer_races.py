"""Others write to the file at the same time, or this one dies as it does."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from typing_extensions import override

from flagfiles import INTENT, REF, flag_in, ramp
from flipback.errors import FlagProblem, FlagWriteError
from flipback.testing import FakeClock
from flipback_providers.flagfile import FlagFileWriter


def test_an_edit_of_another_flag_is_no_conflict(
    path: Path, writer: FlagFileWriter
) -> None:
    version = writer.read(REF).version
    path.write_text(path.read_text().replace("DISABLED", "ENABLED"))
    split = {"v1": 50_000, "v2": 50_000}
    assert writer.set_split(REF, split, expect=version, intent=INTENT).changed


def test_an_edit_of_an_evaluator_in_use_is_a_conflict(
    path: Path, writer: FlagFileWriter
) -> None:
    version = writer.read(REF).version
    path.write_text(path.read_text().replace('"insider"\n', '"somebody"\n'))
    with pytest.raises(FlagWriteError, match="read it again") as caught:
        writer.set_split(REF, {"v1": 100_000}, expect=version, intent=INTENT)
    assert caught.value.kind is FlagProblem.CONFLICT


def test_a_kill_does_not_wait_for_a_writer_that_hangs(
    path: Path, writer: FlagFileWriter
) -> None:
    hanging = FlagFileWriter(path, clock=FakeClock())._file  # noqa: SLF001 - hold its lock
    with hanging.locked(patience_s=0) as held:
        change = writer.kill(REF, control="v1", intent=INTENT)
        with pytest.raises(FlagWriteError, match="could not be locked") as caught:
            ramp(writer, 50_000)
    assert (held, change.changed, change.raced) == (True, True, True)
    assert caught.value.kind is FlagProblem.UNAVAILABLE
    assert flag_in(path)["targeting"] == {}


def test_a_kill_goes_on_without_a_lock_file_and_a_ramp_does_not(
    path: Path, writer: FlagFileWriter
) -> None:
    path.with_name("flags.json.lock").mkdir()
    with pytest.raises(FlagWriteError, match="could not be locked"):
        ramp(writer, 50_000)
    assert writer.kill(REF, control="v1", intent=INTENT).raced


def test_an_edit_between_reading_and_writing_is_a_conflict_for_a_ramp_alone(
    path: Path,
) -> None:
    hand = path.read_text().replace("keep me", "edited")

    class EditedMeanwhile(FakeClock):
        """Somebody saves the file as the writer asks for the time of its copy."""

        @override
        def now(self) -> datetime:
            path.write_text(hand)
            return super().now()

    writer = FlagFileWriter(path, clock=EditedMeanwhile())
    with pytest.raises(FlagWriteError, match="read it again") as caught:
        ramp(writer, 50_000)
    assert caught.value.kind is FlagProblem.CONFLICT
    assert path.read_text() == hand
    assert writer.kill(REF, control="v1", intent=INTENT).changed
    assert flag_in(path)["x-note"] == "edited"


def test_a_file_that_changes_all_the_time_cannot_be_killed_and_says_so(
    path: Path,
) -> None:
    class EditedAlways(FakeClock):
        @override
        def now(self) -> datetime:
            path.write_text(path.read_text() + " ")
            return super().now()

    writer = FlagFileWriter(path, clock=EditedAlways())
    with pytest.raises(FlagWriteError, match="being edited all the time") as caught:
        writer.kill(REF, control="v1", intent=INTENT)
    assert caught.value.kind is FlagProblem.UNAVAILABLE


_RACE = """
import os, sys
from pathlib import Path
from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import FlagRef, Intent, Version
from flipback.testing import FakeClock
from flipback_providers.flagfile import FlagFileWriter

path, token = Path(sys.argv[1]), sys.argv[2]

def ramp(share):
    writer = FlagFileWriter(path, clock=FakeClock(), patience_s=30)
    try:
        writer.set_split(
            FlagRef(key="summarizer"),
            {"v1": 100_000 - share, "v2": share},
            expect=Version(token=token, scope="flag"),
            intent=Intent(id=str(share), actor="rival", reason="race"),
        )
    except FlagWriteError as error:
        return 1 if error.kind is FlagProblem.CONFLICT else 2
    return 0

gate, opener = os.pipe()
children = []
for number in range(8):
    child = os.fork()
    if not child:
        os.close(opener)
        os.read(gate, 1)  # returns in all of them as the gate's other end closes
        os._exit(ramp(20_000 + number))
    children.append(child)
os.close(opener)
print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_of_eight_processes_with_one_version_exactly_one_wins(
    path: Path, writer: FlagFileWriter
) -> None:
    token = writer.read(REF).version.token
    raced = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", _RACE, path, token], capture_output=True, check=True
    )
    results = raced.stdout.split()
    assert sorted(results) == [b"0"] + [b"1"] * 7
    winner = 20_000 + results.index(b"0")
    assert writer.read(REF).split == {"v1": 100_000 - winner, "v2": winner}


_CRASH = """
import os, sys
from pathlib import Path
from flipback.ports import FlagRef, Intent
from flipback.testing import FakeClock
from flipback_providers.flagfile import FlagFileWriter

sys.addaudithook(lambda event, _: os._exit(9) if event == "os.rename" else None)
FlagFileWriter(Path(sys.argv[1]), clock=FakeClock()).kill(
    FlagRef(key="summarizer"),
    control="v1",
    intent=Intent(id="1", actor="a", reason="r"),
)
"""


def test_a_crash_before_the_rename_leaves_the_old_file_whole_and_unlocked(
    path: Path, writer: FlagFileWriter
) -> None:
    before = path.read_bytes()
    crashed = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", _CRASH, path], check=False
    )
    assert crashed.returncode == 9
    assert path.read_bytes() == before
    assert writer.kill(REF, control="v1", intent=INTENT).raced is False
