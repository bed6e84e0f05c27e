"""Which processes run, as far as their heartbeats and this host can tell."""

import os
import socket
from collections.abc import Sequence

from flipback.control import Ground
from flipback.ports import ProcessRecord, StateStore


ALIVE_S = 5.0


def registered(ground: Ground) -> tuple[ProcessRecord, ...]:
    """Return the processes with a recent heartbeat that are not known to be dead.

    Raises:
        StoreError: The store cannot be read.
    """
    since = ground.clock.now().timestamp() - ALIVE_S
    return tuple(filter(is_alive, ground.store.processes(since=since)))


def guards_among(processes: Sequence[ProcessRecord]) -> int:
    """Return how many of them look at evidence and may act on it."""
    return sum(process.guards for process in processes)


def leader_among(processes: Sequence[ProcessRecord], route: str) -> str:
    """Return who moves a rollout, as `host:pid`; empty where nobody does."""
    leaders = (f"{p.host}:{p.pid}" for p in processes if route in p.leads)
    return next(leaders, "")


def demand_writable(store: StateStore) -> None:
    """Raise where heartbeats cannot be written, so that none says nothing.

    Raises:
        StoreError: The store cannot be written, for instance as the disk is full.
    """
    store.acquire("probe", holder=str(os.getpid()), ttl_s=0.0)


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
