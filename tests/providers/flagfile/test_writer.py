import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from flagfiles import DOCUMENT, INTENT, REF, flag_in, ramp
from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import FlagRef
from flipback.testing import FakeClock
from flipback.testing.flag_writer import FlagWriterContract
from flipback_providers.flagfile import FlagFileProvider, FlagFileWriter


@dataclass
class FileBench:
    path: Path
    writer: FlagFileWriter
    provider: FlagFileProvider
    ref: FlagRef = REF
    control: str = "v1"
    candidate: str = "v2"
    pinned: str = "insider"

    def settle(self) -> None:
        self.provider.reload()

    def edit_by_hand(self) -> None:
        edited = json.loads(self.path.read_text())
        edited["flags"]["summarizer"]["x-note"] = "edited"
        self.path.write_text(json.dumps(edited))

    def serve_by_default(self, variant: str) -> None:
        edited = json.loads(self.path.read_text())
        edited["flags"]["summarizer"]["defaultVariant"] = variant
        self.path.write_text(json.dumps(edited))

    def content(self) -> object:
        return self.path.read_bytes()

    def audit(self) -> str:
        return self.path.with_name("flags.json.audit.jsonl").read_text()


@pytest.fixture
def bench(path: Path) -> Iterator[FileBench]:
    provider = FlagFileProvider(path, wait=lambda stop, _: stop.wait())
    yield FileBench(
        path=path,
        writer=FlagFileWriter(path, clock=FakeClock(), patience_s=5),
        provider=provider,
    )
    provider.shutdown()


class TestFlagFileWriter(FlagWriterContract):
    pass


def test_a_ramp_touches_the_weights_and_nothing_else(
    path: Path, writer: FlagFileWriter
) -> None:
    ramp(writer, 25_000)
    expected = json.dumps(DOCUMENT, indent=2, ensure_ascii=False)
    expected = expected.replace("90\n", "75000\n").replace("10\n", "25000\n")
    assert path.read_text() == expected + "\n"


def test_the_version_after_a_write_is_the_one_that_evaluations_name(
    bench: FileBench,
) -> None:
    change = bench.writer.kill(REF, control="v1", intent=INTENT)
    bench.settle()
    details = bench.provider.resolve_string_details("summarizer", "")
    assert details.flag_metadata["version"] == change.after.token


def test_control_may_be_named_by_its_value(path: Path, writer: FlagFileWriter) -> None:
    path.write_text(path.read_text().replace('"v1": "v1"', '"v1": "extractive"'))
    writer.kill(REF, control="extractive", intent=INTENT)
    assert flag_in(path)["defaultVariant"] == "v1"


def test_a_kill_enables_a_disabled_flag(path: Path, writer: FlagFileWriter) -> None:
    path.write_text(path.read_text().replace("ENABLED", "DISABLED"))
    assert writer.kill(REF, control="v1", intent=INTENT).changed
    assert flag_in(path)["state"] == "ENABLED"


@pytest.mark.parametrize("content", ["{", "[]", '{"flags": 1}'])
def test_a_kill_says_what_to_do_about_a_broken_file(
    path: Path, writer: FlagFileWriter, content: str
) -> None:
    path.write_text(content)
    with pytest.raises(FlagWriteError, match=r"flags\.json.*repair it") as caught:
        writer.kill(REF, control="v1", intent=INTENT)
    assert caught.value.kind is FlagProblem.UNAVAILABLE
    assert path.read_text() == content


def test_a_missing_file_is_unavailable_and_blocks(
    path: Path, writer: FlagFileWriter
) -> None:
    path.unlink()
    with pytest.raises(FlagWriteError, match="No such file") as caught:
        writer.kill(REF, control="v1", intent=INTENT)
    assert caught.value.kind is FlagProblem.UNAVAILABLE
    assert [issue.blocks for issue in writer.preflight(REF, control="v1")] == [True]


def test_a_write_keeps_mode_and_time_grows_even_if_the_clock_went_back(
    path: Path, writer: FlagFileWriter
) -> None:
    future_ns = 4_000_000_000 * 10**9
    path.chmod(0o640)
    os.utime(path, ns=(future_ns, future_ns))
    ramp(writer, 20_000)
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert status.st_mtime_ns >= future_ns + 1_000_000


def test_a_symbolic_link_is_written_through(path: Path, writer: FlagFileWriter) -> None:
    real = path.with_name("real.json")
    path.rename(real)
    path.symlink_to(real)
    ramp(writer, 20_000)
    assert path.is_symlink()
    assert "20000" in real.read_text()


def test_the_audit_keeps_the_flag_as_it_was(path: Path, writer: FlagFileWriter) -> None:
    before = flag_in(path)
    change = writer.kill(REF, control="v1", intent=INTENT)
    [entry] = path.with_name("flags.json.audit.jsonl").read_text().splitlines()
    assert json.loads(entry) == {
        "at": "2026-01-01T00:00:00+00:00",
        "intent": "i-1",
        "actor": "eve",
        "reason": "test",
        "operation": "kill",
        "flag": "summarizer",
        "before_version": change.before.token,
        "after_version": change.after.token,
        "before": before,
    }


def test_a_full_audit_does_not_stop_a_kill(
    path: Path, writer: FlagFileWriter, caplog: pytest.LogCaptureFixture
) -> None:
    path.with_name("flags.json.audit.jsonl").mkdir()
    assert writer.kill(REF, control="v1", intent=INTENT).changed
    assert "i-1" in caplog.text


def test_preflight_names_files_that_may_not_be_written(
    path: Path, writer: FlagFileWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda place, _: place != path)
    [issue] = [i for i in writer.preflight(REF, control="v1") if i.blocks]
    assert issue.problem == f"{path} may not be written"


@pytest.mark.parametrize(
    ("written", "instead", "problem"),
    [
        ("ENABLED", "DISABLED", "not ENABLED"),
        ("90\n", "90.5\n", "90.5, which is no integer"),
        ('"fractional"', '"functional"', "'functional'"),
        ('"v2",\n', '"v3",\n', "'v3'"),
    ],
)
def test_preflight_says_what_is_wrong_with_the_flag(
    path: Path, writer: FlagFileWriter, written: str, instead: str, problem: str
) -> None:
    path.write_text(path.read_text().replace(written, instead))
    issues = writer.preflight(REF, control="v1")
    assert any(problem in issue.problem and issue.blocks for issue in issues)


def test_preflight_mentions_a_default_that_is_not_control(
    path: Path, writer: FlagFileWriter
) -> None:
    assert len(writer.preflight(REF, control="v1")) == 1  # the pin, see the contract
    text = path.read_text().replace(
        '"v1",\n            "targ', '"v2",\n            "targ'
    )
    path.write_text(text)
    pin_and_default = writer.preflight(REF, control="v1")
    assert [issue.blocks for issue in pin_and_default] == [False, False]
    assert "'v2' is served where no rule decides" in pin_and_default[0].problem


def test_only_a_snapshot_of_a_flag_is_restored(writer: FlagFileWriter) -> None:
    state = writer.read(REF)
    for raw in ("", "[]"):
        broken = replace(state, raw=raw)
        with pytest.raises(FlagWriteError, match="holds no flag") as caught:
            writer.restore(broken, expect=state.version, intent=INTENT)
        assert caught.value.kind is FlagProblem.INVALID_WRITE


def test_a_variant_with_no_other_default_cannot_be_taken_out(
    writer: FlagFileWriter,
) -> None:
    state = writer.read(REF)
    with pytest.raises(FlagWriteError, match="no default variant but 'v1'"):
        writer.restore(state, expect=state.version, intent=INTENT, without="v1")


def test_a_snapshot_that_flagd_would_not_serve_is_not_written(
    path: Path, writer: FlagFileWriter
) -> None:
    before, state = path.read_bytes(), writer.read(REF)
    broken = replace(state, raw=state.raw.replace('"v2", 10', '"v3", 10'))
    with pytest.raises(FlagWriteError, match="'v3', which is no variant"):
        writer.restore(broken, expect=state.version, intent=INTENT)
    assert path.read_bytes() == before


_UNPRIVILEGED = """
import os, sys
from pathlib import Path
from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import FlagRef, Intent
from flipback.testing import FakeClock
from flipback_providers.flagfile import FlagFileWriter

path = Path(sys.argv[1])
path.parent.chmod(0o500)
if not os.geteuid():
    os.seteuid(65534)
writer = FlagFileWriter(path, clock=FakeClock(), patience_s=0)
try:
    intent = Intent(id="1", actor="a", reason="r")
    writer.kill(FlagRef(key="summarizer"), control="v1", intent=intent)
except FlagWriteError as error:
    sys.exit(0 if error.kind is FlagProblem.FORBIDDEN else str(error))
sys.exit("killed")
"""


def test_a_process_without_the_right_is_forbidden(path: Path) -> None:
    before = path.read_bytes()
    ran = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", _UNPRIVILEGED, path], capture_output=True, check=False
    )
    path.parent.chmod(0o700)
    assert ran.returncode == 0, ran.stderr
    assert path.read_bytes() == before
