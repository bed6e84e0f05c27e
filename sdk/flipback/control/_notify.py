"""Tell people of kills and moves, until they have been told.

What is told waits in memory for a moment, then in the outbox of the store, where every
process finds it; whoever holds the lease sends it. While the store is down it is sent
from memory, by each process what it has to tell: rather twice than never.
"""

import logging
import secrets
import socket
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from math import inf

from flipback.config import NotifyOn, NotifySettings
from flipback.control._notice import Origin, is_due, notice_of, on_one_line, text_of
from flipback.control._reminders import Reminder
from flipback.control._sender import Sender, begun, pause_after
from flipback.control._told import Told, told_of_hold, told_of_move
from flipback.control._ways import way_of
from flipback.latch import Latch
from flipback.ports import Clock, Notice, Outbox, StateStore
from flipback.rollout import RolloutRecord
from flipback.routing import Faults
from flipback.steering import NextMove


LEASE = "notify"
LEASE_S = 10.0
STOP_S = 2.0
MOST_WAITING = 1000
"""Notices that wait in memory; a store that is down must not fill it."""

_PATIENCE_S = 1.0
_GIVEN_UP_S = timedelta(days=3).total_seconds()
_FEW_ATTEMPTS = 20
_REMIND = timedelta(hours=1)
logger = logging.getLogger("flipback")


class Notifier:
    """Brings what is told to the ways of `[[notify]]`; nothing here ever raises."""

    def __init__(  # noqa: PLR0913 - the parts of the world that telling needs
        self,
        ways: Sequence[NotifySettings],
        *,
        environ: Mapping[str, str],
        outbox: Outbox,
        leases: StateStore,
        faults: Faults,
        clock: Clock,
        config: str = "",
        delivers: bool = True,
    ) -> None:
        """Take the tables `[[notify]]` and the world; nothing is started.

        Args:
            ways: The tables, in their order.
            environ: Where `webhook_from` looks, and what commands are given.
            outbox: Where notices of all processes wait.
            leases: Who may send.
            faults: Where failures are counted.
            clock: The time.
            config: The path of the configuration, for whoever runs a command.
            delivers: False where the sending is left to other processes.
        """
        self._ways = tuple(ways)
        self._outbox = outbox
        self._leases = leases
        self._faults = faults
        self._clock = clock
        self._origin = Origin(host=socket.gethostname(), config=config)
        self._delivers = delivers
        self._senders = [
            Sender(way_of(place, way, environ), settled=self._settle, clock=clock)
            for place, way in enumerate(ways)
        ]
        self._reminder = Reminder(_logged_every(ways), clock)
        self._reminders = {
            place: Reminder(way.remind, clock)
            for place, way in enumerate(ways)
            if NotifyOn.HELD in way.on
        }
        self._begin()

    def tell(self, told: Told) -> None:
        """Let people be told, each way that is meant for it; the same thing once.

        Only memory is touched, so that whoever kills may call it.
        """
        meant = (place for place, way in enumerate(self._ways) if told.event in way.on)
        self._tell(told, meant)

    def moved(self, record: RolloutRecord, move: NextMove) -> None:
        """Tell of a move of a rollout.

        Args:
            record: Where the rollout stands after it.
            move: The move that was made.
        """
        told = told_of_move(record, move)
        if told is not None:
            self.tell(told)

    def remind(self, held: Sequence[Latch]) -> None:
        """Remind people of kills that are still held; to be called every second.

        The log is told as well, also where nobody else is: no kill is held silently.

        Args:
            held: All latches that are held now, those of cohorts too.
        """
        try:
            for latch, turn in self._reminder.due(held):
                _log(logging.WARNING, told_of_hold(latch, turn).text)
            for place, reminder in self._reminders.items():
                for latch, turn in reminder.due(held):
                    self._tell(told_of_hold(latch, turn), [place])
        except Exception as error:  # noqa: BLE001 - the caller has kills to obey
            self._faults.note("*", "no reminder of held kills", error)

    def deliver(self) -> None:
        """Post what waits and send what is due; for a thread of its own.

        It waits a second for those who are told. Whoever takes longer is left to a
        thread of that way, while the other ways go on.
        """
        self._deliver(patience_s=_PATIENCE_S)

    def stop(self) -> None:
        """Try once more to tell what is due, for two seconds at most."""
        for sender in self._senders:
            sender.hurry(STOP_S)
        wait([begun("flipback-notify-last", self._last)], timeout=STOP_S)
        self._closed = True

    def after_fork(self) -> None:
        """Leave to the parent what it has to tell, and its threads."""
        self._begin()
        for sender in self._senders:
            sender.after_fork()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._round = threading.Lock()
        self._waiting: dict[str, Notice] = {}
        self._arrived: set[str] = set()
        self._holder = secrets.token_hex(8)
        self._leads = False
        self._closed = False

    def _tell(self, told: Told, places: Iterable[int]) -> None:
        try:
            now = self._clock.now()
            for place in places:
                self._keep(notice_of(told, place, now=now, origin=self._origin))
        except Exception as error:  # noqa: BLE001 - the caller has kills to obey
            self._faults.note("*", "not told", error)

    def _keep(self, notice: Notice) -> None:
        with self._lock:
            if len(self._waiting) >= MOST_WAITING and self._arrived:
                self._waiting.pop(self._arrived.pop(), None)
            is_full = len(self._waiting) >= MOST_WAITING
            if not is_full:
                self._waiting.setdefault(notice.id, notice)
        if is_full:
            self._faults.note(notice.route, "not told", f"{MOST_WAITING} notices wait")

    def _deliver(self, *, patience_s: float) -> None:
        if not self._ways:
            return
        try:
            with self._round:
                turns = self._start_turns()
        except Exception as error:  # noqa: BLE001 - the next round may succeed
            self._faults.note("*", "notices not delivered", error)
            return
        wait(turns, timeout=patience_s)

    def _last(self) -> None:
        self._deliver(patience_s=STOP_S)
        if self._leads and not any(sender.turn for sender in self._senders):
            self._leases.acquire(LEASE, holder=self._holder, ttl_s=0.0)

    def _start_turns(self) -> Sequence[Future[None]]:
        """Let each idle way send what is due.

        Who is idle is asked first: what a turn settles meanwhile may still be among
        what is read as due afterwards.
        """
        idle = [i for i, sender in enumerate(self._senders) if sender.turn is None]
        posted = self._post()
        due = self._due(posted)
        for place in idle:
            mine = [notice for notice in due if notice.target == place]
            if mine:
                self._senders[place].send(mine)
        return [turn for sender in self._senders if (turn := sender.turn)]

    def _post(self) -> Collection[str]:
        """Bring to the outbox what waits and what arrived; return whose ids it has."""
        with self._lock:
            waiting, arrived = dict(self._waiting), set(self._arrived)
        posted = set[str]()
        try:
            for name, notice in waiting.items():
                self._outbox.post(notice)
                posted.add(name)
            for name in arrived:
                self._outbox.settle(name, retry_at=None)
                self._forget(name)
        except Exception as error:  # noqa: BLE001 - it is sent from memory
            self._faults.note("*", "notices not in the store yet", error)
        return posted

    def _forget(self, name: str) -> None:
        with self._lock:
            self._arrived.discard(name)
            self._waiting.pop(name, None)

    def _due(self, posted: Collection[str]) -> Sequence[Notice]:
        """Return what this process is to send now, oldest first."""
        stored = list[Notice]()
        try:
            stored.extend(self._led())
        except Exception as error:  # noqa: BLE001 - it is sent from memory
            self._faults.note("*", "notices of others not read", error)
            posted = ()
        with self._lock:
            for name in posted:
                self._waiting.pop(name, None)
            now = self._clock.now().timestamp()
            waiting = [each for each in self._waiting.values() if is_due(each, now)]
            arrived = set(self._arrived)
        if not self._delivers:
            return ()
        due = {each.id: each for each in (*waiting, *stored) if each.id not in arrived}
        return [each for each in due.values() if not self._given_up(each, now)]

    def _led(self) -> Sequence[Notice]:
        """Return what is due in the outbox if this process may send, else nothing."""
        if not self._delivers or not self._stored():
            return ()
        lease = self._leases.acquire(LEASE, holder=self._holder, ttl_s=LEASE_S)
        self._leads = lease is not None
        # Read again: whoever had the lease before may have sent it meanwhile.
        return self._stored() if self._leads else ()

    def _stored(self) -> Sequence[Notice]:
        now = self._clock.now().timestamp()
        return [each for each in self._outbox.due(now=inf) if is_due(each, now)]

    def _settle(self, notice: Notice, problem: str) -> None:
        """Remember that a notice arrived, or when to try again; called by senders."""
        if self._closed:
            return
        if problem:
            name = self._senders[notice.target].name
            self._faults.note("*", f"{name} could not be told", problem)
        retry_at = self._clock.now().timestamp() + pause_after(notice.attempts)
        if not self._settled_in_memory(notice, retry_at if problem else None):
            self._settle_in_outbox(notice, retry_at if problem else None)

    def _settled_in_memory(self, notice: Notice, retry_at: float | None) -> bool:
        """Return whether the outbox does not have it yet, so that memory keeps it."""
        with self._lock:
            if retry_at is None:
                self._arrived.add(notice.id)
            waits = notice.id in self._waiting
            if waits and retry_at is not None:
                self._waiting[notice.id] = replace(
                    notice, attempts=notice.attempts + 1, next_at=retry_at
                )
        return waits

    def _settle_in_outbox(self, notice: Notice, retry_at: float | None) -> None:
        try:
            self._outbox.settle(notice.id, retry_at=retry_at)
        except Exception as error:  # noqa: BLE001 - what arrived is settled later
            self._faults.note("*", "a notice is not settled yet", error)
        else:
            self._forget(notice.id)

    def _given_up(self, notice: Notice, now: float) -> bool:
        """Give up what is too old; a clock that jumps ahead is no age."""
        is_old = now - notice.at > _GIVEN_UP_S
        nobody = notice.target not in range(len(self._senders))
        if not is_old or (notice.attempts < _FEW_ATTEMPTS and not nobody):
            return False
        name = f"[[notify]][{notice.target + 1}]" if nobody else self._name(notice)
        _log(logging.ERROR, f"{name} was never told, given up: {text_of(notice)}")
        self._forget(notice.id)
        self._settle_in_outbox(notice, None)
        return True

    def _name(self, notice: Notice) -> str:
        return self._senders[notice.target].name


def _logged_every(ways: Sequence[NotifySettings]) -> timedelta:
    told = [way.remind for way in ways if NotifyOn.HELD in way.on]
    return min(told, default=_REMIND)


def _log(level: int, text: str) -> None:
    with suppress(Exception):  # a filter of the application may raise
        logger.log(level, "%s", on_one_line(text))
