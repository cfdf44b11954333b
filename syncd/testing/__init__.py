"""The conformance kit for plugin authors: subclass, give a fixture, run pytest.

    class TestBadges(SourceConformance):
        @pytest.fixture
        def source(self, tmp_path):
            return Badges(Badges.Options(path=tmp_path / "badges.txt"), context())

Every requirement is one test, whose docstring is the requirement. Names end in Conformance and never
begin with Test, or pytest would collect the import as well. Nothing of syncd imports this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

# Without this an assertion of the kit fails without its values, and it has to come before the import.
pytest.register_assert_rewrite("syncd.testing.conformance")

if TYPE_CHECKING:
    from .conformance import (
        ObserverConformance,
        PlatformConformance,
        RuleConformance,
        SourceConformance,
        SourceWorld,
        TransformConformance,
    )
    from .contexts import Line, RecordingLog, context
    from .hostile import HostileSource
    from .memory import MemoryDeltaSource, MemoryPlatform, MemorySource
    from .worlds import System, World

_HOME = {
    "conformance": (
        "ObserverConformance",
        "PlatformConformance",
        "RuleConformance",
        "SourceConformance",
        "SourceWorld",
        "TransformConformance",
    ),
    "contexts": ("Line", "RecordingLog", "context"),
    "hostile": ("HostileSource",),
    "memory": ("MemoryDeltaSource", "MemoryPlatform", "MemorySource"),
    "worlds": ("System", "World"),
}

__all__ = [
    "HostileSource",
    "Line",
    "MemoryDeltaSource",
    "MemoryPlatform",
    "MemorySource",
    "ObserverConformance",
    "PlatformConformance",
    "RecordingLog",
    "RuleConformance",
    "SourceConformance",
    "SourceWorld",
    "System",
    "TransformConformance",
    "World",
    "context",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: the pytest plugin beside it loads in every run of pytest."""
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
