"""Drills of the kill switch, as a person at a terminal makes them."""

import secrets
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Self

from flipback.app._assembly import lay_ground
from flipback.app._drill import DRILL_ROUTE
from flipback.app._drill_course import FLAG_TO_ADD, Course, DrillRefused, Drills
from flipback.app._drill_lease import DrillLease
from flipback.app._drill_reports import DrillReport
from flipback.app._drill_undo import CLEAN
from flipback.app._open import open_flags
from flipback.config import Settings
from flipback.control import Ground, SystemClock
from flipback.errors import Mistake, StoreError
from flipback.ports import Clock


class Driller:
    """Makes drills on a route and a flag of their own, and leaves all others alone."""

    def __init__(self, settings: Settings, ground: Ground) -> None:
        self._settings = settings
        self._ground = ground
        self._lease = DrillLease(ground.store, ground.clock, secrets.token_hex(8))

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock | None = None) -> Self:
        """Open what the settings name.

        Raises:
            ConfigError: The flag service cannot be opened.
        """
        writer = open_flags(settings).writer
        return cls(settings, lay_ground(settings, writer, clock or SystemClock()))

    def close(self) -> None:
        """Release the store."""
        self._ground.store.close()

    def run(self, drills: Drills) -> DrillReport:
        """Make drills, each with everything restored, and say what they have shown.

        Raises:
            FlipbackError: Ledger, store or flag service failed in the midst of one.
                Notes of the error name what could not be restored.
        """
        report = DrillReport(
            flag=self._settings.drill_flag or "", within_s=drills.within_s
        )
        try:
            with self._alone():
                return self._run(report, drills)
        except DrillRefused as refused:
            return replace(report, refused=refused.why, remedy=refused.remedy)

    def clean(self, *, actor: str) -> DrillReport:
        """Put in order what a drill that broke off has left; without any, do nothing.

        Raises:
            FlipbackError: Ledger, store or flag service cannot be read.
        """
        report = DrillReport(flag=self._settings.drill_flag or "")
        try:
            with self._alone():
                undone = self._course().cleaned(actor)
        except DrillRefused as refused:
            return replace(report, refused=refused.why, remedy=refused.remedy)
        return replace(report, cleaned=undone.done, left=undone.left)

    def left_over(self) -> Sequence[Mistake]:
        """Return what a drill has left behind, as a mistake; empty for nothing.

        A drill that is on just now is told too: nobody can tell it from a broken one.

        Raises:
            FlipbackError: Ledger or store cannot be read.
        """
        try:
            course = self._course()
        except DrillRefused:
            return ()
        if not course.undo.is_due():
            return ()
        return [
            self._mistake(
                f"a drill of flag {course.plan.flag!r} is under way or broke off",
                f"unless somebody makes one now, end it with: {CLEAN}",
            )
        ]

    def mistakes(self) -> Sequence[Mistake]:
        """Return what keeps the configured flag from being drilled.

        While a drill has left something behind, that is what it is.

        Raises:
            FlagWriteError: The flag service cannot be read.
        """
        if self._settings.drill_flag is None:
            return ()
        try:
            course = self._course()
        except DrillRefused as refused:
            return [self._mistake(refused.why, refused.remedy)]
        found = course.mistakes()
        return [self._mistake(each.problem, each.remedy) for each in found]

    def _mistake(self, problem: str, remedy: str) -> Mistake:
        return Mistake(
            file=str(self._settings.path),
            table="",
            key="drill_flag",
            problem=problem,
            remedy=remedy,
        )

    @contextmanager
    def _alone(self) -> Generator[None]:
        course = self._course()
        if not self._lease.take():
            raise DrillRefused(
                f"another drill of flag {course.plan.flag} is on",
                "wait until it is done",
            )
        try:
            yield
        finally:
            with suppress(StoreError):  # it lapses by itself
                self._lease.give_back()

    def _run(self, report: DrillReport, drills: Drills) -> DrillReport:
        course = self._course()
        undone = course.cleaned(drills.actor)
        report = replace(report, cleaned=undone.done, left=undone.left)
        if undone.left:
            return report
        course.check()
        report = replace(report, strangers=course.strangers())
        while len(report.rounds) < drills.times and not report.left:
            made, undone = course.make(drills)
            rounds = (*report.rounds, made)
            report = replace(report, rounds=rounds, left=undone.left)
        return report

    def _course(self) -> Course:
        settings, writer = self._settings, self._ground.writer
        flag = settings.drill_flag
        if flag is None:
            raise DrillRefused(
                f"{settings.path} names no drill flag",
                f'add `drill_flag = "flipback-drill"` there and the flag {FLAG_TO_ADD} '
                "to the flag service, then restart the application",
            )
        if writer is None:
            raise DrillRefused(
                "this flag service cannot be written, so its flags cannot be drilled",
                "name one that can be written in `flags`",
            )
        for plan in settings.plans:
            if plan.flag == flag:
                raise DrillRefused(
                    f"the drill flag {flag!r} is the flag of route {plan.route!r}",
                    "name a flag of its own in `drill_flag`, on which nobody depends",
                )
            if plan.route == DRILL_ROUTE:
                raise DrillRefused(
                    f"a plan is about route {DRILL_ROUTE!r}, which is the drill's own",
                    "give that route another name",
                )
        return Course(settings, self._ground, writer, self._lease)
