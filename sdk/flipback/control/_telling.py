"""Say in the log how rollouts move, as this process comes to know of it."""

import logging
from collections.abc import Mapping
from contextlib import suppress

from flipback.rollout import Phase, RolloutRecord


_logger = logging.getLogger("flipback")


def tell_of_moves(
    before: Mapping[str, RolloutRecord], after: Mapping[str, RolloutRecord]
) -> None:
    """Log each rollout that moved, or that is found when first looked at."""
    for route, record in after.items():
        known = before.get(route)
        if known is None or known.revision != record.revision:
            with suppress(Exception):  # a filter of the application may raise
                _tell(record)


def _tell(record: RolloutRecord) -> None:
    stage = f", stage {record.stage + 1}" if record.phase is not Phase.IDLE else ""
    wish = "; the flag is being written" if record.pending else ""
    _logger.info(
        "route %s: %s%s, by %s: %s%s",
        record.route,
        record.phase,
        stage,
        record.actor or "nobody",
        record.why or "no reason given",
        wish,
    )
