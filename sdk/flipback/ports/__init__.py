"""What the library needs of the world: a few small promises.

Behaviour that a signature cannot state is stated by the contract tests in
`flipback.testing`; every implementation runs them.
"""

from flipback.ports._clock import Clock
from flipback.ports._flags import (
    SCALE,
    Capabilities,
    CompareAndSet,
    FlagChange,
    FlagRef,
    FlagService,
    FlagState,
    FlagWriter,
    Intent,
    OpenFlagService,
    PreflightIssue,
    Version,
)
from flipback.ports._ledger import EntryKind, Ledger, LedgerEntry, LedgerNote
from flipback.ports._stores import (
    CourseBook,
    EvidenceStore,
    Lease,
    LedgerMirror,
    Notice,
    OpenStore,
    Outbox,
    ProcessRecord,
    ProcessRegistry,
    Pruned,
    StateStore,
    Store,
)


__all__ = [
    "SCALE",
    "Capabilities",
    "Clock",
    "CompareAndSet",
    "CourseBook",
    "EntryKind",
    "EvidenceStore",
    "FlagChange",
    "FlagRef",
    "FlagService",
    "FlagState",
    "FlagWriter",
    "Intent",
    "Lease",
    "Ledger",
    "LedgerEntry",
    "LedgerMirror",
    "LedgerNote",
    "Notice",
    "OpenFlagService",
    "OpenStore",
    "Outbox",
    "PreflightIssue",
    "ProcessRecord",
    "ProcessRegistry",
    "Pruned",
    "StateStore",
    "Store",
    "Version",
]
