"""Which processes run, as far as their heartbeats and this host can tell."""

import os
import socket

from flipback.control import Ground
from flipback.ports import ProcessRecord


ALIVE_S = 5.0


def registered(ground: Ground) -> tuple[ProcessRecord, ...]:
    """Return the processes with a recent heartbeat that are not known to be dead.

    Raises:
        StoreError: The store cannot be read.
    """
    since = ground.clock.now().timestamp() - ALIVE_S
    return tuple(filter(is_alive, ground.store.processes(since=since)))


def is_alive(process: ProcessRecord) -> bool:
    """Return whether a process of this host still runs; of another host, assume so."""
    if process.host != socket.gethostname():
        return True
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
