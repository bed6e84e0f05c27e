"""The flag writer of the flag file."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from typing_extensions import override

from flipback.assignment import Cohort
from flipback.errors import ConfigError, FlagProblem, FlagWriteError
from flipback.ports import (
    SCALE,
    Capabilities,
    Clock,
    CompareAndSet,
    FlagChange,
    FlagRef,
    FlagState,
    FlagWriter,
    Intent,
    PreflightIssue,
    Version,
)
from flipback_providers.flagfile import _edits
from flipback_providers.flagfile._cohorts import put_first_before
from flipback_providers.flagfile._document import (
    Document,
    Json,
    JsonObject,
    digest,
    parse,
)
from flipback_providers.flagfile._storage import StoredFile
from flipback_providers.flagfile._validation import flag_mistake


_Edit = Callable[[Document, JsonObject], JsonObject]
_ATTEMPTS = 20  # of a kill, while somebody who takes no lock edits the file


@dataclass(frozen=True, slots=True, kw_only=True)
class _Write:
    """A write before it is made; without `expect` it is unconditional."""

    ref: FlagRef
    edit: _Edit
    intent: Intent
    operation: str
    expect: Version | None = None


class FlagFileWriter(FlagWriter):
    """Writes single flags of the file and leaves all others as they are.

    Writers of all processes of a machine queue on a lock. People's editors do
    not, so the file is compared once more before it is replaced.

    Args:
        path: The file that the provider reads.
        clock: For the audit file and for time stamps.
        patience_s: How long to wait for another writer, in seconds. A kill then
            writes all the same, the others give up.
    """

    def __init__(self, path: Path, *, clock: Clock, patience_s: float = 2.0) -> None:
        self._file = StoredFile(path, clock=clock)
        self._clock = clock
        self._patience_s = patience_s

    @property
    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(cas=CompareAndSet.ATOMIC, cohorts=True, comments=True)

    @override
    def preflight(self, ref: FlagRef, *, control: str) -> Sequence[PreflightIssue]:
        issues = list(self._access_issues())
        try:
            document = self._document(self._file.read())
            flag = self._flag(document, ref)
        except FlagWriteError as error:
            return [*issues, _issue(str(error), "put the flag there")]
        mistake = flag_mistake(document, ref.key)
        if mistake is not None:
            issues.append(_issue(str(mistake), mistake.remedy))
        return [*issues, *_flag_issues(flag, ref, control)]

    @override
    def read(self, ref: FlagRef) -> FlagState:
        document = self._document(self._file.read())
        return _state(ref, self._flag(document, ref), document)

    @override
    def set_split(
        self,
        ref: FlagRef,
        split: Mapping[str, int],
        *,
        expect: Version,
        intent: Intent,
    ) -> FlagChange:
        _demand_split(split)

        def edit(_: Document, flag: JsonObject) -> JsonObject:
            _edits.put_split(flag, ref.rule, split)
            return flag

        return self._set(
            _Write(
                ref=ref, edit=edit, intent=intent, operation="set_split", expect=expect
            )
        )

    @override
    def kill(
        self,
        ref: FlagRef,
        *,
        control: str,
        intent: Intent,
        cohort: Cohort | None = None,
    ) -> FlagChange:
        def edit(_: Document, flag: JsonObject) -> JsonObject:
            if cohort:
                return _edits.killed_for(flag, cohort, control, rule=ref.rule)
            return _edits.killed(flag, control)

        operation = f"kill {cohort}" if cohort else "kill"
        write = _Write(ref=ref, edit=edit, intent=intent, operation=operation)
        with self._file.locked(patience_s=self._patience_s) as held:
            for _ in range(_ATTEMPTS):
                change = self._write(write)
                if change is not None:
                    return replace(change, raced=not held)
        raise FlagWriteError(
            f"{self._file.path} is being edited all the time; stop that, then kill"
            f" {ref.key!r} again",
            kind=FlagProblem.UNAVAILABLE,
        )

    @override
    def readmit(
        self,
        ref: FlagRef,
        *,
        control: str,
        cohort: Cohort,
        expect: Version,
        intent: Intent,
    ) -> FlagChange:
        def edit(_: Document, flag: JsonObject) -> JsonObject:
            return _edits.readmitted(flag, cohort, control, rule=ref.rule)

        operation = f"readmit {cohort}"
        write = _Write(
            ref=ref, edit=edit, intent=intent, operation=operation, expect=expect
        )
        return self._set(write)

    @override
    def restore(
        self,
        snapshot: FlagState,
        *,
        expect: Version,
        intent: Intent,
        without: str | None = None,
    ) -> FlagChange:
        restored = _flag_of(snapshot)

        def edit(document: Document, flag: JsonObject) -> JsonObject:
            if without is None:
                return restored
            return _edits.without(
                restored,
                without,
                stand_in=_stand_in(flag, restored, without),
                evaluators=document.evaluators,
            )

        return self._set(
            _Write(
                ref=snapshot.ref,
                edit=edit,
                intent=intent,
                operation="restore",
                expect=expect,
            )
        )

    def _set(self, write: _Write) -> FlagChange:
        """Make an edit that needs the flag to be as expected, or raise."""
        with self._file.locked(patience_s=self._patience_s) as held:
            if not held:
                raise FlagWriteError(
                    f"{self._file.path} could not be locked, so nothing was written;"
                    " another writer may hang: try again",
                    kind=FlagProblem.UNAVAILABLE,
                )
            change = self._write(write)
        if change is None:
            raise self._conflict(write.ref)
        return change

    def _write(self, write: _Write) -> FlagChange | None:
        """Read, edit and replace; None if the file changed meanwhile."""
        ref = write.ref
        content = self._file.read()
        document = self._document(content)
        flag = self._flag(document, ref)
        before = _state(ref, flag, document)
        if write.expect not in {None, before.version}:
            raise self._conflict(ref)
        document.flags[ref.key] = write.edit(document, flag)
        self._demand_good(document, ref)
        after = _version(document, ref)
        change = FlagChange(
            intent=write.intent,
            before=before.version,
            after=after,
            changed=after != before.version,
            snapshot=before,
        )
        if change.changed:
            if not self._file.replace(document.render(), instead_of=content):
                return None
            self._audit(change, write.operation)
        return change

    def _audit(self, change: FlagChange, operation: str) -> None:
        snapshot = change.snapshot
        entry = {
            "at": self._clock.now().isoformat(),
            "intent": change.intent.id,
            "actor": change.intent.actor,
            "reason": change.intent.reason,
            "operation": operation,
            "flag": snapshot.ref.key if snapshot else "",
            "before_version": change.before.token,
            "after_version": change.after.token,
            "before": json.loads(snapshot.raw) if snapshot else None,
        }
        self._file.append_audit(json.dumps(entry))

    def _access_issues(self) -> Sequence[PreflightIssue]:
        target = self._file.target
        return [
            _issue(f"{place} may not be written", "give this process's user the right")
            for place in (target, target.parent)
            if place.exists() and not os.access(place, os.W_OK)
        ]

    def _document(self, content: bytes) -> Document:
        try:
            return parse(content, file=str(self._file.path))
        except ConfigError as error:
            raise FlagWriteError(
                f"{error}; until then the file cannot be written, and a kill holds"
                " only where flipback itself decides",
                kind=FlagProblem.UNAVAILABLE,
            ) from error

    def _flag(self, document: Document, ref: FlagRef) -> JsonObject:
        flag = document.flags.get(ref.key)
        if isinstance(flag, dict):
            return flag
        raise FlagWriteError(
            f"{document.file} has no flag {ref.key!r}; add it, or correct its name",
            kind=FlagProblem.NOT_FOUND,
        )

    def _demand_good(self, document: Document, ref: FlagRef) -> None:
        mistake = flag_mistake(document, ref.key)
        if mistake is not None:
            raise FlagWriteError(str(mistake), kind=FlagProblem.INVALID_WRITE)

    def _conflict(self, ref: FlagRef) -> FlagWriteError:
        return FlagWriteError(
            f"flag {ref.key!r} in {self._file.path} changed since it was read;"
            " nothing was written: read it again and decide on what it is now",
            kind=FlagProblem.CONFLICT,
        )


def _state(ref: FlagRef, flag: JsonObject, document: Document) -> FlagState:
    try:
        split = _edits.split_of(flag, ref.rule)
    except FlagWriteError:
        split = {}
    return FlagState(
        ref=ref,
        enabled=flag.get("state") == "ENABLED",
        variants=dict(_edits.variants_of(flag)),
        split=split,
        default_variant=_edits.default_of(flag),
        version=_version(document, ref),
        exceptions=_edits.exceptions(flag, ref.rule),
        splits=_edits.splits_of(flag, document.evaluators),
        raw=json.dumps(flag),
    )


def _version(document: Document, ref: FlagRef) -> Version:
    token = digest(document.flags[ref.key], document.evaluators)
    return Version(token=token, scope="flag")


def _flag_issues(
    flag: JsonObject, ref: FlagRef, control: str
) -> Sequence[PreflightIssue]:
    issues: list[PreflightIssue] = []
    variants = _edits.variants_of(flag)
    if flag.get("state") != "ENABLED":
        issues.append(_issue("the flag is not ENABLED", 'set `state` to "ENABLED"'))
    for attempt, in_split in (
        (lambda: _edits.killed(flag, control), False),
        (lambda: _edits.managed(flag, ref.rule), True),
    ):
        try:
            attempt()
        except FlagWriteError as error:
            remedy = "correct the flag or the plan"
            issues.append(
                PreflightIssue(problem=str(error), remedy=remedy, in_split=in_split)
            )
    default = _edits.default_of(flag)
    if default not in {None, control} and variants.get(default or "") != control:
        problem = f"{default!r} is served where no rule decides, and not control"
        remedy = "set `defaultVariant` to control"
        issues.append(PreflightIssue(problem=problem, remedy=remedy, blocks=False))
    issues.extend(
        PreflightIssue(
            problem=f"{exception}, whatever the split is",
            remedy="remove the rule, or accept that a ramp does not reach it",
            blocks=False,
        )
        for exception in _edits.surprises(flag, ref.rule, control)
    )
    return issues


def _demand_split(split: Mapping[str, int]) -> None:
    whole = all(type(share) is int and share >= 0 for share in split.values())
    if whole and sum(split.values()) == SCALE:
        return
    raise FlagWriteError(
        f"the split {dict(split)} does not consist of integers from 0 that sum to"
        f" {SCALE}; nothing was written",
        kind=FlagProblem.INVALID_WRITE,
    )


def _flag_of(snapshot: FlagState) -> JsonObject:
    try:
        flag: Json = json.loads(snapshot.raw)
    except json.JSONDecodeError:
        flag = None
    if isinstance(flag, dict):
        return flag
    raise FlagWriteError(
        f"the snapshot of flag {snapshot.ref.key!r} holds no flag; restore one that"
        " this writer has read",
        kind=FlagProblem.INVALID_WRITE,
    )


def _stand_in(flag: JsonObject, restored: JsonObject, leaving: str) -> str:
    """Return who inherits: what a kill serves today, control; or the old default."""
    known = _edits.variants_of(restored)
    kept = put_first_before(flag.get("targeting"))
    for name in (kept, _edits.default_of(flag), _edits.default_of(restored)):
        if name is not None and name != leaving and name in known:
            return name
    raise FlagWriteError(
        f"the flag has no default variant but {leaving!r} to take its place; set"
        " `defaultVariant` to control",
        kind=FlagProblem.INVALID_WRITE,
    )


def _issue(problem: str, remedy: str) -> PreflightIssue:
    return PreflightIssue(problem=problem, remedy=remedy)
