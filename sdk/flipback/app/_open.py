"""Find flag services and stores by their entry points."""

import os
import threading
import weakref
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from flipback.config import Settings
from flipback.errors import ConfigError, Mistake, StoreError
from flipback.plan import nearest
from flipback.ports import Clock, FlagService, OpenFlagService, OpenStore, Store


_FLAG_SERVICES = "flipback.flag_services"
_STORES = "flipback.stores"


def open_flags(settings: Settings) -> FlagService:
    """Open the flag service that `flags` names; its provider is not started."""
    scheme, _, location = settings.flags.partition(":")
    found = _find(_FLAG_SERVICES, scheme, settings, key="flags")
    opener = cast("OpenFlagService", found.load())
    return opener(location, base=str(settings.base))


def open_store(settings: Settings, clock: Clock) -> Store:
    """Return the store that `store` names, which is opened when first used.

    Raises:
        ConfigError: Nothing installed serves such a store.
    """
    scheme, _, location = settings.store.partition(":")
    found = _find(_STORES, scheme, settings, key="store")
    opener = cast("OpenStore", found.load())
    base = str(settings.base)
    late = _LateStore(lambda: opener(location, base=base, clock=clock))
    return cast("Store", late)


def _find(group: str, scheme: str, settings: Settings, *, key: str) -> EntryPoint:
    candidates = {entry.name: entry for entry in entry_points(group=group)}
    # `unleash+https://host` is served by the entry point `unleash`.
    name = scheme.partition("+")[0]
    if name in candidates:
        return candidates[name]
    hint = nearest(name, candidates, otherwise="install the extra that brings it")
    known = ", ".join(sorted(candidates)) or "none at all"
    raise ConfigError(
        [
            Mistake(
                file=str(settings.path),
                table="",
                key=key,
                problem=f"nothing installed serves {name!r} (known: {known})",
                remedy=hint,
            )
        ]
    )


class _LateStore:
    """Opens a store when it is first needed, and again while that fails.

    An application must start, and serve control, while its store is broken; a
    kill must reach the ledger all the same.
    """

    def __init__(self, opened: Callable[[], Store]) -> None:
        self._open = opened
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._closed = False
        _late_stores.add(self)

    def __getattr__(self, name: str) -> object:
        """Return a method of the store.

        Raises:
            StoreError: The store cannot be opened now, or it was closed.
        """
        with self._lock:
            if self._closed:
                raise StoreError("the store was closed when its router was stopped")
            if self._store is None:
                self._store = self._open()
            return getattr(self._store, name)

    def close(self) -> None:
        """Close the store if it was ever opened; it cannot be used any more."""
        with self._lock:
            self._closed = True
            if self._store is not None:
                self._store.close()

    def after_fork(self) -> None:
        """Replace the lock: another thread of the parent may be opening the store."""
        self._lock = threading.Lock()


_late_stores: "weakref.WeakSet[_LateStore]" = weakref.WeakSet()


def _after_fork() -> None:
    for store in tuple(_late_stores):
        store.after_fork()


os.register_at_fork(after_in_child=_after_fork)
