"""The guard as a process of its own, so that applications need no write credential."""

import os
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from flipback.app._assembly import Assembly, assemble
from flipback.app._runtime import Runtime
from flipback.config import GuardRun, Settings, find_config, load_settings
from flipback.control import Look, SystemClock
from flipback.ports import Clock


class Guard:
    """Looks at the evidence of all applications of a store, and acts; serves nobody.

    It evaluates no flag, so it needs the right to write flags and not the right to
    read them through OpenFeature.
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self._assembly: Assembly = assemble(
            _guarding(settings), clock or SystemClock(), due=_nothing
        )
        self._runtime = Runtime(self._assembly, evaluates=False)

    @classmethod
    def from_config(
        cls,
        path: str | Path | None = None,
        *,
        clock: Clock | None = None,
        dry_run: bool = False,
    ) -> Self:
        """Build a guard from `flipback.toml` and the plans that it names.

        Args:
            path: The file; else the variable FLIPBACK_CONFIG, else `flipback.toml`
                in the working directory.
            clock: The time, for tests.
            dry_run: Record verdicts and write nothing, whatever the file says.

        Raises:
            ConfigError: With every mistake in the files, not only the first.
        """
        explicit = None if path is None else str(path)
        settings = load_settings(find_config(explicit, os.environ, Path.cwd()))
        if dry_run:
            guard = settings.guard.model_copy(update={"dry_run": True})
            settings = replace(settings, guard=guard)
        return cls(settings, clock=clock)

    @property
    def settings(self) -> Settings:
        """Return what it goes by."""
        return self._assembly.settings

    def start(self) -> None:
        """Start to look, to move and to deliver; again is no error."""
        self._runtime.start()

    def stop(self) -> None:
        """Stop in good order; others take up kills that are not delivered yet."""
        self._runtime.stop()

    def step(self) -> tuple[Look, ...]:
        """Look once and move what is due, as the started guard does each second.

        Raises:
            StoreError: The evidence cannot be read; nothing was decided.
        """
        return self._runtime.step()

    def __enter__(self) -> Self:
        """Start; see `start`."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; see `stop`."""
        self.stop()


def _guarding(settings: Settings) -> Settings:
    """Return settings under which this process looks, whoever else does not.

    It takes part in no drill, which asks who is served what.
    """
    guard = settings.guard.model_copy(update={"run": GuardRun.THREAD})
    return replace(settings, guard=guard, drill_flag=None)


def _nothing(_: int) -> None:
    """Take no notice: a guard meets no exposure."""
