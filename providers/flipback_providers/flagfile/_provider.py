"""The OpenFeature provider that reads the flag file."""

import logging
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode, ParseError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider, Metadata
from typing_extensions import override

from flipback.errors import ConfigError
from flipback_providers.flagfile._document import parse
from flipback_providers.flagfile._flags import Flags, load
from flipback_providers.flagfile._watcher import Wait, Watcher


NAME = "flipback-flagfile"
_LOGGER = logging.getLogger("flipback.flagfile")
_UNREAD = b"\0"  # no JSON, so it differs from every good file

_Object = Sequence[FlagValueType] | Mapping[str, FlagValueType]


class FlagFileProvider(AbstractProvider):
    """Reads flags in flagd's format from a file, and sees every edit of it.

    The file is compared by content, so an older time stamp, a symbolic link that
    is swapped and an atomic rename are all seen. What cannot be used is reported
    once, and the last good flags stay in force.

    Evaluations name the `rule` that decided and the `version` of the flag (a
    digest) in their metadata, and have the reason SPLIT where chance decided.

    Args:
        path: The file; it may appear later.
        wait: How the watcher waits between two looks.
    """

    def __init__(self, path: Path, *, wait: Wait = threading.Event.wait) -> None:
        super().__init__()
        self._path = path
        self._flags = Flags()
        self._seen: bytes | str = _UNREAD
        self._trouble = ""
        self._lock = threading.Lock()
        self._watcher = Watcher(self.reload, wait=wait)
        _PROVIDERS.add(self)

    @override
    def initialize(self, evaluation_context: EvaluationContext) -> None:
        with self._lock:
            self._take(self._content())
        self._watcher.start()
        if self._trouble:
            raise ParseError(self._trouble)

    @override
    def shutdown(self) -> None:
        self._watcher.stop()

    @override
    def get_metadata(self) -> Metadata:
        return Metadata(name=NAME)

    def reload(self) -> list[str]:
        """Look at the file now; return the keys of flags that changed."""
        with self._lock:
            content = self._content()
            if content == self._seen:
                return []
            trouble = self._trouble
            changed = self._take(content)
            self._announce(changed, before=trouble)
            return changed

    def after_fork(self) -> None:
        """Replace locks that another thread of the parent may have held."""
        self._lock = threading.Lock()
        self._flags = self._flags.renewed()

    @override
    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        flags = self._flags
        details = flags.core.resolve_boolean_value(
            flag_key, default_value, evaluation_context
        )
        return flags.read(flag_key, details)

    @override
    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        flags = self._flags
        details = flags.core.resolve_string_value(
            flag_key, default_value, evaluation_context
        )
        return flags.read(flag_key, details)

    @override
    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        flags = self._flags
        details = flags.core.resolve_integer_value(
            flag_key, default_value, evaluation_context
        )
        return flags.read(flag_key, details)

    @override
    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        flags = self._flags
        details = flags.core.resolve_float_value(
            flag_key, default_value, evaluation_context
        )
        return flags.read(flag_key, details)

    @override
    def resolve_object_details(
        self,
        flag_key: str,
        default_value: _Object,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[_Object]:
        flags = self._flags
        details = flags.core.resolve_object_value(
            flag_key, default_value, evaluation_context
        )
        if details.variant is not None:  # else it is the caller's own default
            details.value = cast("_Object", _copied(details.value))
        return flags.read(flag_key, details)

    def _content(self) -> bytes | str:
        """Return the file's content, or in words why there is none."""
        try:
            return self._path.read_bytes()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            return f"{self._path}: cannot be read ({reason}); put the file there"

    def _take(self, content: bytes | str) -> list[str]:
        """Take new content; return the keys of flags that changed."""
        before, trouble, self._seen = self._flags, self._trouble, content
        self._flags, self._trouble = self._loaded(content)
        if self._trouble not in {"", trouble}:
            kept = (
                "the last good flags are" if before.marked else "none of its flags is"
            )
            _LOGGER.warning("%s\n%s in force", self._trouble, kept)
        return self._flags.changed_since(before)

    def _loaded(self, content: bytes | str) -> tuple[Flags, str]:
        """Return the flags to use from now on, and in words what is wrong."""
        if isinstance(content, str):
            return self._flags, content
        try:
            document = parse(content, file=str(self._path))
        except ConfigError as error:
            return self._flags, str(error)
        flags, mistakes = load(document, before=self._flags)
        return flags, "\n".join(map(str, mistakes))

    def _announce(self, changed: list[str], *, before: str) -> None:
        if changed:
            self.emit_provider_configuration_changed(
                ProviderEventDetails(flags_changed=changed)
            )
        if self._trouble == before:
            return
        if not self._trouble:
            self.emit_provider_ready(ProviderEventDetails(flags_changed=changed))
            return
        if self._flags.marked:
            self.emit_provider_stale(ProviderEventDetails(message=self._trouble))
            return
        self.emit_provider_error(
            ProviderEventDetails(
                message=self._trouble, error_code=ErrorCode.PARSE_ERROR
            )
        )


def _copied(value: FlagValueType) -> FlagValueType:
    """Copy a JSON value, so that a caller's change stays the caller's own."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_copied(item) for item in value]
    return value


_PROVIDERS: "weakref.WeakSet[FlagFileProvider]" = weakref.WeakSet()


def _after_fork() -> None:
    for provider in list(_PROVIDERS):
        provider.after_fork()


os.register_at_fork(after_in_child=_after_fork)
