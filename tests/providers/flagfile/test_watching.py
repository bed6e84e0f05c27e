import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent, ProviderEventDetails
from openfeature.exception import ParseError
from openfeature.provider import FeatureProvider, ProviderStatus

from flipback_providers.flagfile import FlagFileProvider
from flipback_providers.flagfile._watcher import Watcher


READY = ProviderEvent.PROVIDER_READY
CHANGED = ProviderEvent.PROVIDER_CONFIGURATION_CHANGED
STALE = ProviderEvent.PROVIDER_STALE
ERROR = ProviderEvent.PROVIDER_ERROR


def content(**defaults: str) -> str:
    """Return a file whose flags serve these variants to everybody."""
    return json.dumps(
        {
            "flags": {
                key: {
                    "state": "ENABLED",
                    "variants": {"v1": "v1", "v2": "v2"},
                    "defaultVariant": default,
                }
                for key, default in defaults.items()
            }
        }
    )


class Watched:
    """A provider that looks when told, and the events that it has sent."""

    def __init__(self, path: Path) -> None:
        self.provider = FlagFileProvider(path, wait=lambda stop, _: stop.wait())
        self.events: list[tuple[ProviderEvent, list[str] | None]] = []
        self.provider.attach(self._note)

    def _note(
        self, _: FeatureProvider, event: ProviderEvent, details: ProviderEventDetails
    ) -> None:
        self.events.append((event, details.flags_changed))

    def served(self, key: str = "a") -> str:
        return self.provider.resolve_string_details(key, "mine").value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flags.json"
    path.write_text(content(a="v1", b="v1"))
    return path


@pytest.fixture
def watched(path: Path) -> Iterator[Watched]:
    watched = Watched(path)
    watched.provider.initialize(EvaluationContext())
    yield watched
    watched.provider.shutdown()


def test_an_edit_is_announced_once_with_the_keys_that_changed(
    path: Path, watched: Watched
) -> None:
    path.write_text(content(a="v2", b="v1", c="v1"))
    assert watched.provider.reload() == ["a", "c"]
    assert watched.provider.reload() == []
    path.write_text(content(a="v2"))
    watched.provider.reload()
    assert watched.events == [(CHANGED, ["a", "c"]), (CHANGED, ["b", "c"])]
    assert watched.served() == "v2"


@pytest.mark.parametrize(
    "broken", ["{", "[]", '{"flags": []}', "\xff", content(a="v3", b="v3")]
)
def test_a_broken_file_is_reported_once_and_its_last_flags_stay(
    path: Path, watched: Watched, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    path.write_text(broken, encoding="latin-1")
    for _ in range(3):
        watched.provider.reload()
    assert watched.events == [(STALE, None)]
    assert (watched.served("a"), watched.served("b")) == ("v1", "v1")
    [record] = caplog.records
    assert str(path) in record.getMessage()
    path.write_text(content(a="v2", b="v1"))
    watched.provider.reload()
    assert watched.events[1:] == [(CHANGED, ["a"]), (READY, ["a"])]


def test_a_deleted_file_is_reported_once_and_its_last_flags_stay(
    path: Path, watched: Watched
) -> None:
    path.unlink()
    watched.provider.reload()
    watched.provider.reload()
    assert (watched.events, watched.served()) == ([(STALE, None)], "v1")
    path.write_text(content(a="v1", b="v1"))
    watched.provider.reload()
    assert watched.events[1:] == [(READY, [])]


def test_one_teams_mistake_delays_nobody_elses_edit(
    path: Path, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(content(a="v2", b="no-such-variant", c="oops"))
    watched.provider.reload()
    assert (watched.served("a"), watched.served("b")) == ("v2", "v1")
    assert watched.events == [(CHANGED, ["a"]), (STALE, None)]
    assert "[flags] b: `defaultVariant` 'no-such-variant'" in caplog.text
    assert "[flags] c: `defaultVariant` 'oops'" in caplog.text


def test_an_edit_with_an_older_time_stamp_is_seen(path: Path, watched: Watched) -> None:
    path.write_text(content(a="v2", b="v1"))
    os.utime(path, (1, 1))
    assert watched.provider.reload() == ["a"]


def test_an_edit_that_keeps_size_and_time_stamp_is_seen(
    path: Path, watched: Watched
) -> None:
    before = path.stat()
    path.write_text(content(a="v2", b="v1"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert watched.provider.reload() == ["a"]


def test_an_atomic_rename_is_seen(path: Path, watched: Watched) -> None:
    beside = path.with_name("new")
    beside.write_text(content(a="v2", b="v1"))
    beside.replace(path)
    assert watched.provider.reload() == ["a"]


def test_a_swapped_folder_link_is_seen(tmp_path: Path) -> None:
    """As a mounted ConfigMap does it: flags.json -> ..data/flags.json -> a folder."""
    for name, default in (("one", "v1"), ("two", "v2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flags.json").write_text(content(a=default))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "flags.json").symlink_to("..data/flags.json")
    watched = Watched(tmp_path / "flags.json")
    watched.provider.initialize(EvaluationContext())
    (tmp_path / "swap").symlink_to("two")
    (tmp_path / "swap").replace(tmp_path / "..data")
    assert watched.provider.reload() == ["a"]
    assert watched.served() == "v2"
    watched.provider.shutdown()


@pytest.mark.parametrize("start", [None, "{", content(a="v3")])
def test_a_provider_that_opens_in_trouble_recovers_by_itself(
    tmp_path: Path, start: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "flags.json"
    if start is not None:
        path.write_text(start)
    watched = Watched(path)
    with pytest.raises(ParseError, match=r"flags\.json") as caught:
        watched.provider.initialize(EvaluationContext())
    assert str(caught.value) in caplog.text
    path.write_text(content(a="v1"))
    watched.provider.reload()
    assert watched.events == [(CHANGED, ["a"]), (READY, ["a"])]
    assert watched.served() == "v1"
    watched.provider.shutdown()


def test_other_trouble_before_anything_good_is_an_error(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "flags.json")
    with pytest.raises(ParseError):
        watched.provider.initialize(EvaluationContext())
    (tmp_path / "flags.json").write_text("{")
    watched.provider.reload()
    assert watched.events == [(ERROR, None)]
    watched.provider.shutdown()


def test_an_edit_reaches_a_client_within_a_quarter_of_a_second(path: Path) -> None:
    changed = threading.Event()
    recovered = threading.Event()

    def note_change(_: EventDetails) -> None:
        changed.set()

    def note_recovery(_: EventDetails) -> None:
        recovered.set()

    good = path.read_text()
    path.unlink()
    api.set_provider(FlagFileProvider(path), "edit-reaches-client")
    client = api.get_client("edit-reaches-client")
    client.add_handler(CHANGED, note_change)
    client.add_handler(READY, note_recovery)
    path.write_text(good)
    assert recovered.wait(5)
    assert client.get_provider_status() is ProviderStatus.READY
    assert any(_arrives(path, changed, served) for served in ("v2", "v1", "v2"))
    client.provider.shutdown()


def _arrives(path: Path, changed: threading.Event, served: str) -> bool:
    """Edit the file; return whether it is seen in time. A busy machine may be late."""
    changed.clear()
    path.write_text(content(a=served, b="v1"))
    in_time = changed.wait(0.25)
    client = api.get_client("edit-reaches-client")
    assert changed.wait(5)
    assert client.get_string_value("a", "mine") == served
    return in_time


def test_a_watcher_stops_at_once_and_can_start_again() -> None:
    looked = threading.Event()

    class Owner:
        def look(self) -> None:
            looked.set()

    owner = Owner()
    watcher = Watcher(owner.look, wait=lambda stop, _: stop.is_set())
    for _ in range(2):
        looked.clear()
        watcher.start()
        assert looked.wait(5)
        watcher.stop()
    watcher.stop()


def test_a_watcher_outlives_a_failure_but_not_its_owner(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[int] = []
    again, ended = threading.Event(), threading.Event()

    class Owner:
        def look(self) -> None:
            calls.append(1)
            if len(calls) > 1:
                again.set()
            raise RuntimeError("boom")

        def __del__(self) -> None:
            ended.set()

    owner = Owner()
    with caplog.at_level(logging.CRITICAL):
        watcher = Watcher(owner.look, wait=lambda stop, _: stop.is_set())
        watcher.start()
        assert again.wait(5)
        del owner
        assert ended.wait(5)
        watcher.stop()


def test_a_watcher_tells_the_same_failure_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = iter(["boom", "boom", "", "boom", "bang"])
    ended = threading.Event()

    class Owner:
        def look(self) -> None:
            failure = next(failures, None)
            if failure is None:
                ended.set()
            elif failure:
                raise RuntimeError(failure)

    owner = Owner()
    watcher = Watcher(owner.look, wait=lambda stop, _: stop.is_set())
    watcher.start()
    assert ended.wait(5)
    watcher.stop()
    told = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert told == ["RuntimeError('boom')"] * 2 + ["RuntimeError('bang')"]
    assert "Traceback" not in caplog.text


_FORK = """
import os, sys, threading
from pathlib import Path
from openfeature.evaluation_context import EvaluationContext
from flipback_providers.flagfile import FlagFileProvider

path = Path(sys.argv[1])
provider = FlagFileProvider(path)
provider.initialize(EvaluationContext())
provider._lock.acquire()  # as another thread might hold it just now
child = os.fork()
if not child:
    seen = threading.Event()
    provider.attach(lambda *_: seen.set())
    path.write_text(path.read_text().replace('Variant": "v1"', 'Variant": "v2"'))
    told = seen.wait(5)
    served = provider.resolve_string_details("a", "").value
    os._exit(0 if told and served == "v2" else 1)
provider._lock.release()
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
provider.shutdown()
sys.exit(status)
"""


def test_a_forked_child_sees_edits_too(path: Path) -> None:
    forked = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", _FORK, path], check=False, timeout=60
    )
    assert forked.returncode == 0
