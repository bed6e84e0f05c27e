"""Bind a flag provider to a domain of our own: nothing global is changed."""

import threading
from collections.abc import Callable

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.provider import FeatureProvider
from openfeature.provider.no_op_provider import NoOpProvider


PATIENCE_S = 1.0


class Binding:
    """One provider under one domain of the OpenFeature API."""

    def __init__(self, domain: str, provider: FeatureProvider) -> None:
        self._domain = domain
        self._provider = provider
        self.client: OpenFeatureClient = api.get_client(domain)
        self.provider_name: str = provider.get_metadata().name

    def start(self, failed: Callable[[Exception], object]) -> None:
        """Initialize the provider, waiting a second at most.

        Until it is ready its client hands out the default, which is control.
        """
        bounded(lambda: self._bind(failed))

    def stop(self) -> None:
        """Let go of the provider; OpenFeature shuts it down."""
        api.set_provider(NoOpProvider(), self._domain)

    def _bind(self, failed: Callable[[Exception], object]) -> None:
        try:
            api.set_provider_and_wait(self._provider, self._domain)
        except Exception as error:  # noqa: BLE001 - whatever a vendor raises
            failed(error)


def bounded(act: Callable[[], object]) -> None:
    """Run this in a thread and wait for it, but not for long; it goes on alone."""
    thread = threading.Thread(target=act, name="flipback-start", daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
