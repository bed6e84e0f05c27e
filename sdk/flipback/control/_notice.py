"""Spell what people are told as a notice for the outbox."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from math import isfinite

from flipback.control._sender import LONGEST_PAUSE_S
from flipback.control._told import Fact, Told, to_the_second
from flipback.ports import Notice


_LONGEST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the command that a notice names is to be run.

    Attributes:
        host: The name of the host that tells.
        config: The path of its `flipback.toml`.
    """

    host: str
    config: str


def notice_of(told: Told, place: int, *, now: datetime, origin: Origin) -> Notice:
    """Return the notice for one way, by its place; the same thing has the same id."""
    named = f"{told.event}\0{told.key}".encode(errors="backslashreplace")
    return Notice(
        id=f"{told.event} {blake2b(named, digest_size=12).hexdigest()} {place}",
        target=place,
        event=told.event.value,
        route=told.route,
        at=now.timestamp(),
        body=_body(told, at=told.at or now.isoformat(), origin=origin),
    )


def text_of(notice: Notice) -> str:
    """Return the sentence in a notice, or what it is about if there is none."""
    with suppress(ValueError, TypeError, KeyError):
        return on_one_line(str(json.loads(notice.body)["text"]))
    return f"{notice.event} of route {notice.route}"


def is_due(notice: Notice, now: float) -> bool:
    """Return whether to try now; a time too far ahead is of a clock set back since."""
    return notice.next_at <= now or notice.next_at > now + LONGEST_PAUSE_S


def on_one_line(text: str) -> str:
    """Return text for a log or a chat, cut off where it is endless."""
    return " ".join(text.split())[:_LONGEST]


def _body(told: Told, *, at: str, origin: Origin) -> str:
    """Spell it as JSON, in ASCII; no fact hides what every receiver relies on."""
    relied_on: dict[str, Fact] = {
        "text": on_one_line(told.text),
        "event": told.event.value,
        "route": told.route,
        "at": to_the_second(at),
        "host": origin.host,
        "config": origin.config,
    }
    facts = {k: _plain(v) for k, v in told.facts.items() if k not in relied_on}
    return json.dumps({**relied_on, **facts}, allow_nan=False)


def _plain(fact: Fact) -> Fact:
    if isinstance(fact, float) and not isfinite(fact):
        return None
    return fact[:_LONGEST] if isinstance(fact, str) else fact
