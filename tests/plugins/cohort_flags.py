"""A flag file with one flag, as an OpenFeature client sees it."""

import json
import uuid
from datetime import datetime
from pathlib import Path

from hypothesis import settings
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext

from flagfiles import INTENT
from flipback.ports import FlagRef
from flipback.testing import FakeClock
from flipback_providers.flagfile import FlagFileProvider, FlagFileWriter
from flipback_providers.flagfile._document import Json, JsonObject


FLAG = "route"
Value = str | bool | int | float | datetime | list[str]
unhurried = settings(deadline=None, max_examples=50)
GOLD: Json = {"==": [{"var": "plan"}, "gold"]}
HALF: Json = {"fractional": [["v1", 50], ["v2", 50]]}
EVALUATORS: JsonObject = {"half": HALF, "pin": {"if": [GOLD, "v2", "v3"]}}


class Served:
    """A provider of one flag, as an OpenFeature client sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text("{}")
        self.provider = FlagFileProvider(path, wait=lambda stop, _: stop.wait())
        domain = uuid.uuid4().hex
        api.set_provider_and_wait(self.provider, domain)
        self.client: OpenFeatureClient = api.get_client(domain)
        self.writer = FlagFileWriter(path, clock=FakeClock(), patience_s=0)

    def write(self, flag: JsonObject) -> None:
        root: JsonObject = {"flags": {FLAG: flag}, "$evaluators": EVALUATORS}
        self.path.write_text(json.dumps(root))
        self.provider.reload()

    def kill(self, cohort: str) -> bool:
        change = self.writer.kill(
            FlagRef(key=FLAG), control="v1", intent=INTENT, cohort=cohort
        )
        self.provider.reload()
        return change.changed

    def to(self, user: EvaluationContext) -> object:
        """Return value and variant, which tells a default from the variant."""
        details = self.client.get_string_details(FLAG, "caller's own", user)
        return details.value, details.variant


def flag(targeting: Json, **parts: Json) -> JsonObject:
    variants: JsonObject = {"v1": "one", "v2": "two", "v3": "three"}
    start: JsonObject = {"state": "ENABLED", "variants": variants}
    return {**start, "defaultVariant": "v1", "targeting": targeting, **parts}
