"""Bind a flag provider to a domain of our own: nothing global is changed."""

import threading
from collections.abc import Callable

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.provider import FeatureProvider
from openfeature.provider.no_op_provider import NoOpProvider


PATIENCE_S = 1.0
_NOTHING = NoOpProvider()  # one for all, since OpenFeature remembers each for ever


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

    def stop(self, failed: Callable[[Exception], object]) -> None:
        """Shut the provider down, waiting a second at most, and let go of it.

        OpenFeature shuts down what is let go of as well, but at an unknown time
        later; a process that stopped a router has no thread of it.
        """
        bounded(lambda: self._shut_down(failed))
        api.set_provider(_NOTHING, self._domain)

    def _bind(self, failed: Callable[[Exception], object]) -> None:
        try:
            api.set_provider_and_wait(self._provider, self._domain)
        except Exception as error:  # noqa: BLE001 - whatever a vendor raises
            failed(error)

    def _shut_down(self, failed: Callable[[Exception], object]) -> None:
        try:
            self._provider.shutdown()
        except Exception as error:  # noqa: BLE001 - whatever a vendor raises
            failed(error)


def bounded(act: Callable[[], object]) -> None:
    """Run this in a thread and wait for it, but not for long; it goes on alone."""
    thread = threading.Thread(target=act, name="flipback-start", daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
