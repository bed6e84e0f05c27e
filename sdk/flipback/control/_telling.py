"""Say in the log how rollouts move and what is killed, as it becomes known here."""

import logging
from collections.abc import Mapping
from contextlib import suppress

from flipback.control._commands import release_command
from flipback.control._notice import on_one_line
from flipback.latch import Latch
from flipback.rollout import Phase, RolloutRecord


DRILL_ROUTE = "flipback-drill"
"""The route that drills are made on; it has no rollout that anybody moves."""

_logger = logging.getLogger("flipback")


def tell_of_moves(
    before: Mapping[str, RolloutRecord], after: Mapping[str, RolloutRecord]
) -> None:
    """Log each rollout that moved, or that is found when first looked at."""
    for route, record in after.items():
        known = before.get(route)
        if route == DRILL_ROUTE:
            continue
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


def tell_of_latch(before: Latch, after: Latch) -> None:
    """Log a kill or a release as this process comes to know of it; never raises."""
    if after.order == before.order or not (after.held or before.held):
        return
    with suppress(Exception):  # a filter of the application must not stop a kill
        if after.route == DRILL_ROUTE:
            does = "control serves" if after.held else "over"
            _logger.info("drill of %s, trip %d: %s", after.actor, after.trip, does)
        elif after.held:
            _log_kill(after)
        else:
            _log_release(after)


def _log_kill(latch: Latch) -> None:
    _logger.warning(
        "route %s: control serves, killed by %s (trip %d): %s; to end it: %s",
        *map(on_one_line, (latch.route, latch.actor)),
        latch.trip,
        on_one_line(latch.reason),
        release_command(latch.route, latch.trip),
    )


def _log_release(latch: Latch) -> None:
    _logger.warning(
        "route %s: trip %d released by %s: %s; the flag decides again",
        on_one_line(latch.route),
        latch.trip,
        *map(on_one_line, (latch.actor, latch.reason)),
    )
