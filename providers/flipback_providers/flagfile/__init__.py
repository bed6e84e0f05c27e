"""The embedded default: flags in flagd's JSON format in a file of your own."""

from flipback_providers.flagfile._provider import FlagFileProvider
from flipback_providers.flagfile._service import open_service
from flipback_providers.flagfile._writer import FlagFileWriter


__all__ = ["FlagFileProvider", "FlagFileWriter", "open_service"]
