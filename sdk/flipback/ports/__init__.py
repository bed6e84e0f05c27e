"""What the library needs of the world: six small promises.

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
from flipback.ports._ledger import EntryKind, Ledger, LedgerEntry
from flipback.ports._stores import (
    EvidenceStore,
    Lease,
    OpenStore,
    ProcessRecord,
    ProcessRegistry,
    RolloutRecord,
    StateStore,
    Store,
)


__all__ = [
    "SCALE",
    "Capabilities",
    "Clock",
    "CompareAndSet",
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
    "OpenFlagService",
    "OpenStore",
    "PreflightIssue",
    "ProcessRecord",
    "ProcessRegistry",
    "RolloutRecord",
    "StateStore",
    "Store",
    "Version",
]
