"""Configuration: `flipback.toml` and the plans it names, read with every mistake."""

from flipback.config._find import CONFIG_NAME, ENVIRONMENT_KEY, find_config
from flipback.config._flags import (
    candidate_weight,
    check_flag,
    flag_ref,
    flag_variant,
    split_giving,
    variant_named_by,
)
from flipback.config._load import Reading, load_settings, read_plan, read_settings
from flipback.config._notes import Note, notes_on
from flipback.config._settings import (
    ContextId,
    Events,
    GuardRun,
    GuardSettings,
    NotifyOn,
    NotifySettings,
    Settings,
    ShadowSettings,
    Spans,
    TelemetrySettings,
)


__all__ = [
    "CONFIG_NAME",
    "ENVIRONMENT_KEY",
    "ContextId",
    "Events",
    "GuardRun",
    "GuardSettings",
    "Note",
    "NotifyOn",
    "NotifySettings",
    "Reading",
    "Settings",
    "ShadowSettings",
    "Spans",
    "TelemetrySettings",
    "candidate_weight",
    "check_flag",
    "find_config",
    "flag_ref",
    "flag_variant",
    "load_settings",
    "notes_on",
    "read_plan",
    "read_settings",
    "split_giving",
    "variant_named_by",
]
