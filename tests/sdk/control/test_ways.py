"""Webhooks and commands: what is refused, what is killed, what is never logged."""

import json
import logging
import os
import ssl
import subprocess
from pathlib import Path

import pytest

from hooks import SECRET, hook
from offices import TRIP, Office, is_busy
from troubles import until


def test_a_redirect_is_not_followed_and_says_what_to_do(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    with hook() as elsewhere, hook(elsewhere.address) as receiver:
        notifier = office.notifier(receiver.address)
        notifier.tell(TRIP)
        notifier.deliver()
    assert not elsewhere.tried
    assert "answered 307: write the address that it leads to" in caplog.text


@pytest.mark.usefixtures("hurried")
def test_no_address_of_a_webhook_is_ever_logged(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with hook(500, "hang", "reset", f"http://127.0.0.1:1/{SECRET}") as receiver:
        address = receiver.address
        environ = {
            "HOOK": address,
            "GARBAGE": f"http://[{SECRET}",
            "SPACED": f"http://127.0.0.1/{SECRET} {SECRET}",
        }
        names = [{"webhook_from": name} for name in (*environ, "UNSET")]
        closed = f"http://127.0.0.1:1/{SECRET}"
        notifier = office.notifier(*names, address, closed, environ=environ)
        notifier.tell(TRIP)
        notifier.deliver()
        for _ in range(4):
            office.later(notifier)
    assert "[[notify]][4] (from UNSET) could not be told: the environment variable" in (
        caplog.text
    )
    assert "[[notify]][2] (from GARBAGE)" in caplog.text
    assert "[[notify]][6] (127.0.0.1) could not be told: Connection refused" in (
        caplog.text
    )
    assert SECRET not in caplog.text
    assert SECRET not in str(office.faults.details())


def test_a_certificate_that_nobody_vouches_for_is_refused(
    office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = subprocess.run(  # noqa: S603 - fixed arguments
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", tmp_path / "key", "-out", tmp_path / "certificate"),
        ],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with hook(tls=tls) as receiver:
        notifier = office.notifier(receiver.address)
        notifier.tell(TRIP)
        notifier.deliver()
        assert not receiver.tried
        assert "could not be told" in caplog.text
        os.environ["SSL_CERT_FILE"] = str(tmp_path / "certificate")
        try:
            office.later(notifier)
        finally:
            del os.environ["SSL_CERT_FILE"]
    assert len(receiver.arrived) == 1


def test_a_command_gets_json_on_its_input_and_the_environment(
    office: Office, tmp_path: Path
) -> None:
    script = f"cat > {tmp_path}/told; echo $HOOK > {tmp_path}/environment; echo loud"
    notifier = office.notifier(
        {"command": ["sh", "-c", script]}, environ={**os.environ, "HOOK": "here"}
    )
    notifier.tell(TRIP)
    notifier.deliver()
    assert until(lambda: not office.pending)
    assert json.loads((tmp_path / "told").read_text())["trip"] == 3
    assert (tmp_path / "environment").read_text() == "here\n"


@pytest.mark.usefixtures("hurried")
def test_a_command_that_hangs_is_killed_with_all_its_children(
    office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! $$ > {pids}; wait"
    notifier = office.notifier({"command": ["sh", "-c", script]})
    notifier.tell(TRIP)
    notifier.deliver()
    assert until(lambda: not is_busy())
    assert all(
        until(lambda p=pid: _is_gone(int(p))) for pid in pids.read_text().split()
    )  # type: ignore[misc] # bound here
    assert "[[notify]][1] (sh) could not be told: did not end within 0.3 s" in (
        caplog.text
    )
    assert len(office.pending) == 1


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["no-such-program-here"], "cannot be run: No such file or directory"),
        (["sh", "-c", "echo oops >&2; exit 7"], "ended with status 7"),
        (["a\0b"], "cannot be run: ValueError"),
    ],
)
def test_a_command_that_fails_is_a_failure_like_any_other(
    office: Office, caplog: pytest.LogCaptureFixture, command: list[str], why: str
) -> None:
    notifier = office.notifier({"command": command})
    notifier.tell(TRIP)
    notifier.deliver()
    assert f"could not be told: {why}" in caplog.text
    assert "oops" not in caplog.text
    assert office.pending[0].attempts == 1


def test_the_last_words_of_a_command_are_for_debugging(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    script = "seq 10000 >&2; echo ' oops' >&2; exit 1"
    notifier = office.notifier({"command": ["sh", "-c", script]})
    notifier.tell(TRIP)
    notifier.deliver()
    (said,) = [r for r in caplog.records if "oops" in r.getMessage()]
    assert said.levelno == logging.DEBUG
    assert len(said.getMessage()) < 250
