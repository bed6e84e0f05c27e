import subprocess
import sys

import pytest

from flipback import ConfigError, Router
from flipback.app._open import open_store
from flipback.config import load_settings
from flipback.errors import StoreError
from projects import CreateProject
from troubles import WallClock


@pytest.mark.parametrize(
    ("key", "written", "said"),
    [
        ("flags", "flagfle:x.json", "did you mean `flagfile`"),
        ("store", "sqlit:x.db", "did you mean `sqlite`"),
        ("store", "redis://host", "install the extra that brings it"),
    ],
)
def test_a_service_that_nothing_installed_serves_is_a_mistake(
    project: CreateProject, key: str, written: str, said: str
) -> None:
    config = project(**{key: written}).config
    with pytest.raises(ConfigError) as caught:
        Router.from_config(config)
    (mistake,) = caught.value.mistakes
    assert (mistake.file, mistake.key) == (str(config), key)
    assert said in str(mistake)


def test_a_store_is_opened_when_it_is_first_needed(project: CreateProject) -> None:
    folder = project()
    store = open_store(load_settings(folder.config), WallClock())
    assert not folder.store.exists()
    assert store.latches() == {}
    assert folder.store.exists()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        store.latches()


def test_a_store_that_was_never_needed_is_closed_for_good(
    project: CreateProject,
) -> None:
    folder = project()
    store = open_store(load_settings(folder.config), WallClock())
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        store.latches()
    assert not folder.store.exists()


FORK_WHILE_OPENING = """
import os, threading
from flipback.app._open import _LateStore
from flipback.errors import StoreError

opening, gate = threading.Event(), threading.Event()

def opened():
    opening.set()
    gate.wait()
    raise StoreError("the store is down")

def use():
    try:
        store.latches()
    except StoreError:
        return 0
    return 1

store = _LateStore(opened)
thread = threading.Thread(target=use)
thread.start()
opening.wait()
child = os.fork()
gate.set()
if not child:
    os._exit(use())
thread.join()
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_forked_while_the_store_is_opened_opens_it_itself() -> None:
    subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-W", "ignore", "-c", FORK_WHILE_OPENING],
        check=True,
        timeout=60,
    )
