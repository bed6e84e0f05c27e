"""Send notices one way, in a thread that holds up nobody else."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from flipback.control._ways import COMMAND_TIMEOUT_S, NotToldError, Way
from flipback.ports import Clock, Notice


FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 600.0
_MOST_DOUBLINGS = 20


class Sender:
    """Sends what is due one way, one after the other; the first failure ends a turn."""

    def __init__(
        self, way: Way, *, settled: Callable[[Notice, str], object], clock: Clock
    ) -> None:
        """Take the way, and whom to give each notice with its problem, if any."""
        self._way = way
        self._settled = settled
        self._clock = clock
        self._until: float | None = None
        self._turn: Future[None] | None = None

    @property
    def name(self) -> str:
        """Return the name of the way, which holds no secret."""
        return self._way.name

    @property
    def turn(self) -> Future[None] | None:
        """Return the turn under way, None where it is idle."""
        return None if self._turn is None or self._turn.done() else self._turn

    def send(self, notices: Sequence[Notice]) -> Future[None]:
        """Begin to send these; not for a sender that has a turn under way."""
        self._turn = begun("flipback-notify", lambda: self._send(notices))
        return self._turn

    def hurry(self, within_s: float) -> None:
        """Let no sending begin or last after so many seconds."""
        self._until = self._clock.monotonic() + within_s

    def after_fork(self) -> None:
        """Forget the turn, whose thread is the parent's."""
        self._turn = self._until = None

    def _send(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            within_s = self._left()
            if within_s <= 0:
                return
            problem = self._problem(notice, within_s)
            self._settled(notice, problem)
            if problem:
                return

    def _left(self) -> float:
        if self._until is None:
            return COMMAND_TIMEOUT_S
        return min(COMMAND_TIMEOUT_S, self._until - self._clock.monotonic())

    def _problem(self, notice: Notice, within_s: float) -> str:
        try:
            self._way.tell(notice.body, within_s=within_s)
        except NotToldError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - its text may hold an address
            return type(error).__name__
        return ""


def begun(name: str, act: Callable[[], None]) -> Future[None]:
    """Do it in a thread, or here and now where no thread can be started.

    That is so while Python ends. A thread of ours never keeps a process alive.
    """
    future: Future[None] = Future()

    def run() -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - goes to whoever asks
            future.set_exception(error)
        else:
            future.set_result(None)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        run()
    return future


def pause_after(attempts: int) -> float:
    """Return the seconds to wait after so many failures, the first being 0."""
    doubled: float = FIRST_PAUSE_S * 2 ** min(max(attempts, 0), _MOST_DOUBLINGS)
    return min(doubled, LONGEST_PAUSE_S)
