"""The entry point: a flag file as a flag service."""

from importlib.metadata import version
from pathlib import Path

from flipback.ports import FlagService
from flipback_providers.flagfile._clock import MachineClock
from flipback_providers.flagfile._marking import REVISION
from flipback_providers.flagfile._provider import FlagFileProvider
from flipback_providers.flagfile._writer import FlagFileWriter


def open_service(location: str, *, base: str) -> FlagService:
    """Open a flag file for reading and writing; it may be missing until later."""
    path = Path(base) / location
    return FlagService(
        provider=FlagFileProvider(path),
        writer=FlagFileWriter(path, clock=MachineClock()),
        version=f"{version('openfeature-flagd-core')}+{REVISION}",
    )
