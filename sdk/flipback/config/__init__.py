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
from flipback.config._settings import (
    URGENT,
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
    is_web_address,
)
from flipback.config._unset import unset_variables


__all__ = [
    "CONFIG_NAME",
    "ENVIRONMENT_KEY",
    "URGENT",
    "ContextId",
    "Events",
    "GuardRun",
    "GuardSettings",
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
    "is_web_address",
    "load_settings",
    "read_plan",
    "read_settings",
    "split_giving",
    "unset_variables",
    "variant_named_by",
]
