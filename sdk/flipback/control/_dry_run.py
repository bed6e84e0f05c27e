"""Say what would have been done, once, and do nothing."""

import logging
from contextlib import suppress

from flipback.control._ground import Ground
from flipback.errors import LedgerError
from flipback.ports import EntryKind, LedgerNote
from flipback.rollout import RolloutRecord
from flipback.steering import NextMove


_logger = logging.getLogger("flipback")


class DryRun:
    """Records verdicts in the ledger; each once in a process, and never raises."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._said: set[tuple[object, ...]] = set()

    def would_kill(
        self, name: str, *, run: tuple[object, ...], why: str, findings: tuple[str, ...]
    ) -> None:
        """Remember that this look would have rolled back.

        Args:
            name: The route, or the cohort of it.
            run: What tells this attempt from others.
            why: The reason.
            findings: On which findings.
        """
        if self._is_new(("kill", name, run)):
            self._note(name, f"would have rolled back: {why}", findings)

    def would_move(self, record: RolloutRecord, asked: NextMove) -> None:
        """Remember that the controller would have moved the rollout."""
        if self._is_new((record.route, record.attempt, asked.move, asked.stage)):
            text = f"would have made the move {asked.move} to stage {asked.stage + 1}"
            self._note(record.route, f"{text}: {asked.why}", ())

    def _is_new(self, said: tuple[object, ...]) -> bool:
        new = said not in self._said
        self._said.add(said)
        return new

    def _note(self, name: str, text: str, findings: tuple[str, ...]) -> None:
        ground = self._ground
        with suppress(Exception):  # a filter of the application may raise
            _logger.warning("dry run: route %s: %s", name, text)
        note = LedgerNote(
            kind=EntryKind.DRY_RUN,
            route=name,
            at=ground.clock.now().isoformat(),
            text=text,
            findings=findings,
        )
        try:
            ground.ledger.note(note)
        except LedgerError as error:
            ground.faults.note(name, "dry run not in the ledger", error)
