"""Reports as a browser shows them; the pictures are kept for people to look at.

They go to the folder `CI_ARTIFACTS`, or else to `dist/report`.
"""

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from matplotlib.image import imread
from tests.sdk.report._stories import LEGS, nothing, rolled_back, running
from tests.sdk.report.test_page import hostile, many

from flipback.report import page
from flipback.report._style import DARK, LIGHT


DOM = "--dump-dom"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ITS_OWN = re.compile(r"https?://([a-z0-9]+\.)+google\.com/")
"""What the browser itself asks for, whatever page it shows."""

KEPT = Path(os.environ.get("CI_ARTIFACTS", "dist")) / "report"
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--v=0",
)


def sixty_days() -> str:
    last = replace(LEGS[-1], lasts=timedelta(days=59))
    return page(running(legs=(*LEGS[:-1], last)))


PAGES = {
    "rolled-back": lambda: page(rolled_back()),
    "running": lambda: page(running()),
    "sixty-days": sixty_days,
    "nothing": lambda: page(nothing()),
    "hostile": lambda: page(hostile()),
    "huge": lambda: page(many(64, 44, 400)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a browser did: its picture or document, what it said, what it asked for."""

    out: str
    console: list[str]
    requests: set[str]


class Browser:
    def __init__(self, command: str, folder: Path) -> None:
        self._command = command
        self._folder = folder

    def open(self, text: str, *arguments: str) -> Seen:
        file, net = self._folder / "page.html", self._folder / "net.json"
        file.write_text(text)
        done = subprocess.run(  # noqa: S603 - our own arguments
            [
                self._command,
                *QUIET,
                f"--user-data-dir={self._folder / 'profile'}",
                f"--log-net-log={net}",
                *arguments,
                f"file://{file}",
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        said = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
        asked = set(re.findall(r'"url":"([a-z]+:[^"]*)"', net.read_text()))
        asked = {url for url in asked if not ITS_OWN.match(url)}
        return Seen(out=done.stdout, console=said, requests=asked - {f"file://{file}"})


@pytest.fixture(scope="session")
def pages() -> Mapping[str, str]:
    return {name: made() for name, made in PAGES.items()}


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    found = filter(None, [os.environ.get("CHROMIUM"), *map(shutil.which, NAMES)])
    command = next(found, None)
    assert command, "no browser: install chromium, or name one in the variable CHROMIUM"
    return Browser(command, tmp_path)


def kept(name: str) -> Path:
    KEPT.mkdir(parents=True, exist_ok=True)
    return (KEPT / name).absolute()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_asks_for_nothing_and_complains_of_nothing(
    browser: Browser, pages: Mapping[str, str], name: str, scheme: str
) -> None:
    picture = kept(f"{name}-{scheme}.png")
    height = 1300 if name in {"nothing", "hostile"} else 5200
    seen = browser.open(
        pages[name],
        f"--screenshot={picture}",
        f"--window-size=1200,{height}",
        f"--blink-settings=preferredColorScheme={int(scheme == 'light')}",
    )
    assert not seen.console
    assert not seen.requests
    paper = (LIGHT if scheme == "light" else DARK)["paper"]
    corner = [round(part * 255) for part in imread(picture)[0, 0, :3]]
    assert corner == list(bytes.fromhex(paper.removeprefix("#")))


def test_a_page_that_did_ask_or_run_something_would_be_noticed(
    browser: Browser, pages: Mapping[str, str]
) -> None:
    text = pages["nothing"]
    image = '<img src="http://example.com/x.png">'
    refused = browser.open(text.replace("</main>", f"{image}</main>"), DOM)
    assert refused.console
    open_to_all = re.sub(r'<meta http-equiv="Content[^>]*>', "", text)
    asked = browser.open(open_to_all.replace("</main>", f"{image}</main>"), DOM)
    assert "http://example.com/x.png" in asked.requests
    script = "<script>console.log('it runs')</script>"
    assert browser.open(open_to_all.replace("</main>", f"{script}</main>"), DOM).console


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_narrow_screen(
    browser: Browser, pages: Mapping[str, str], name: str
) -> None:
    """In a frame, as a headless window has a least width."""
    measure = (
        "const at = document.getElementById('at').contentDocument.documentElement;"
        "document.title = JSON.stringify([at.scrollWidth, at.scrollHeight])"
    )
    frame = (
        "<!DOCTYPE html><meta charset=utf-8><body style='margin:0'>"
        f'<iframe id="at" srcdoc="{html.escape(pages[name])}" onload="{measure}" '
        'style="width:375px;height:7000px;border:0"></iframe>'
    )
    seen = browser.open(frame, DOM, "--window-size=500,7000")
    (title,) = re.findall(r"<title>(\[.*?\])</title>", seen.out)[:1]
    width, height = json.loads(title)
    assert width <= 375
    assert height > 700
    if name == "rolled-back":
        picture = f"--screenshot={kept('rolled-back-narrow.png')}"
        browser.open(frame, picture, "--window-size=500,7000")


@pytest.mark.parametrize("name", ["rolled-back", "huge"])
def test_a_page_can_be_printed(
    browser: Browser, pages: Mapping[str, str], name: str
) -> None:
    paper = kept(f"{name}.pdf")
    seen = browser.open(
        pages[name],
        f"--print-to-pdf={paper}",
        "--no-pdf-header-footer",
        "--blink-settings=preferredColorScheme=0",
    )
    assert not seen.console
    written = paper.read_bytes()
    assert written.startswith(b"%PDF-")
    assert written.count(b"/Type /Page\n") > 2
