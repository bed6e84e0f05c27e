import threading

import pytest
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider import AbstractProvider
from openfeature.provider.metadata import Metadata
from typing_extensions import override

import flipback
from flipback.app import _assembly
from flipback.ports import FlagService
from projects import ROUTE, CreateProject


USER = EvaluationContext("user-1", {"plan": "free"})


def test_expected_exceptions_are_said_where_the_route_is_asked_for_first(
    project: CreateProject,
) -> None:
    router = flipback.Router.from_config(project().config)
    first: flipback.Route[..., object] = router.route(ROUTE, expected=(ValueError,))
    assert router.route(ROUTE) is first
    assert router.route(ROUTE, expected=(ValueError,)) is first
    with pytest.raises(flipback.RouteError, match="other `expected` exceptions"):
        router.route(ROUTE, expected=(KeyError,))


def test_a_process_that_only_records_outcomes_needs_no_functions(
    project: CreateProject,
) -> None:
    folder = project()
    with flipback.Router.from_config(folder.config) as router:
        route: flipback.Route[[], str] = router.route(ROUTE)
        route.variant("v1", version="1")(lambda: "v1")
        route.variant("v2", version="1")(lambda: "v2")
        receipt = route.decide(USER).expose()
    labels = flipback.Router.from_config(folder.config)
    assert labels.record(receipt, "resolved", 1)
    with labels:
        assert not labels.record(receipt, "no such metric", 1)


class HangingProvider(AbstractProvider):
    """A provider whose service does not answer."""

    def __init__(self) -> None:
        self.answered = threading.Event()

    @override
    def get_metadata(self) -> Metadata:
        return Metadata(name="hanging")

    @override
    def initialize(self, evaluation_context: EvaluationContext) -> None:
        self.answered.wait(30)

    def resolve_string_details(
        self, *_: object, **__: object
    ) -> FlagResolutionDetails[str]:
        return FlagResolutionDetails("v2")

    resolve_boolean_details = resolve_string_details
    resolve_integer_details = resolve_string_details
    resolve_float_details = resolve_string_details
    resolve_object_details = resolve_string_details


def test_the_first_call_does_not_wait_for_a_provider_that_hangs(
    project: CreateProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = HangingProvider()
    service = FlagService(provider=provider, writer=None, version="1")
    monkeypatch.setattr(_assembly, "open_flags", lambda _: service)
    router = flipback.Router.from_config(project().config)
    route: flipback.Route[[], str] = router.route(ROUTE)
    route.variant("v1", version="1")(lambda: "v1")
    route.variant("v2", version="1")(lambda: "v2")
    served: list[str] = []
    caller = threading.Thread(target=lambda: served.append(route.call(USER)))
    caller.start()
    caller.join(10)
    # The provider still hangs, for longer than the caller was waited for.
    assert served == ["v1"]
    assert not provider.answered.is_set()
    provider.answered.set()
    router.stop()
