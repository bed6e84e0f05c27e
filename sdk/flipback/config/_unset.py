"""What the configuration leaves to the environment, and the environment lacks."""

from collections.abc import Iterator, Mapping

from flipback.config._load import shown
from flipback.config._settings import Settings, is_web_address
from flipback.errors import Mistake


def unset_variables(
    settings: Settings, environ: Mapping[str, str]
) -> Iterator[Mistake]:
    """Yield a mistake for each `webhook_from` whose variable is of no use here."""
    for number, way in enumerate(settings.notify, start=1):
        if way.webhook_from is None:
            continue
        address = environ.get(way.webhook_from, "").strip()
        if not is_web_address(address):
            holds = "holds no address of a web server" if address else "is not set"
            yield Mistake(
                file=shown(settings.path),
                table=f"notify[{number}]",
                key="webhook_from",
                problem=f"the environment variable {way.webhook_from} {holds} here",
                remedy="set it to the address, here and for the application, or "
                "nobody is told that way",
            )
