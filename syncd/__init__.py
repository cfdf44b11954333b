"""syncd: keeps the accounts of communication platforms equal to a company's own records.

What is named in ``__all__`` is the public API, for plugins. Import nothing else of syncd.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .connector import Connector, Context, Field, Observer, Platform, Source
    from .errors import (
        Blocked,
        ConfigError,
        ConnectorError,
        CursorExpired,
        Denied,
        Gone,
        PluginError,
        Rejected,
        Stale,
        SyncdError,
        Unavailable,
    )
    from .hookspecs import SYNCD_API, hookimpl
    from .model import (
        VOCABULARY,
        Account,
        Attribute,
        Checkpoint,
        Delivery,
        Entry,
        Event,
        Objection,
        Outcome,
        Present,
        Problem,
        Removed,
        Value,
    )

_HOME = {
    "connector": ("Connector", "Context", "Field", "Observer", "Platform", "Source"),
    "errors": (
        "Blocked",
        "ConfigError",
        "ConnectorError",
        "CursorExpired",
        "Denied",
        "Gone",
        "PluginError",
        "Rejected",
        "Stale",
        "SyncdError",
        "Unavailable",
    ),
    "hookspecs": ("SYNCD_API", "hookimpl"),
    "model": (
        "VOCABULARY",
        "Account",
        "Attribute",
        "Checkpoint",
        "Delivery",
        "Entry",
        "Event",
        "Objection",
        "Outcome",
        "Present",
        "Problem",
        "Removed",
        "Value",
    ),
}

__all__ = [
    "SYNCD_API",
    "VOCABULARY",
    "Account",
    "Attribute",
    "Blocked",
    "Checkpoint",
    "ConfigError",
    "Connector",
    "ConnectorError",
    "Context",
    "CursorExpired",
    "Delivery",
    "Denied",
    "Entry",
    "Event",
    "Field",
    "Gone",
    "Objection",
    "Observer",
    "Outcome",
    "Platform",
    "PluginError",
    "Present",
    "Problem",
    "Rejected",
    "Removed",
    "Source",
    "Stale",
    "SyncdError",
    "Unavailable",
    "Value",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
