"""The pytest plugin: fixtures for everybody who has syncd installed. Light, as it loads in every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..connector import Context, Source
    from .hostile import HostileSource
    from .memory import MemoryPlatform, MemorySource


@pytest.fixture
def secrets() -> dict[str, str]:
    """Secrets by reference, for ``context``: ``secrets["credential:hq"] = "geheim"``."""
    return {}


@pytest.fixture
def context(secrets: dict[str, str]) -> Context:
    """Return a Context whose log records (``context.log.lines``) and which knows ``secrets``."""
    from . import contexts

    return contexts.context(secrets=secrets)


@pytest.fixture
def memory_source(context: Context) -> MemorySource:
    """Return a source of three people; ``memory_source.world`` changes them."""
    from .memory import MemorySource

    source = MemorySource(MemorySource.Options(), context)
    for number in (1, 2, 3):
        source.world.add(f"anchor-{number}", name=f"Person {number}", login=f"person{number}")
    return source


@pytest.fixture
def memory_platform(context: Context) -> MemoryPlatform:
    """Return an empty platform that takes every word of the vocabulary."""
    from .memory import MemoryPlatform

    return MemoryPlatform(MemoryPlatform.Options(), context)


@pytest.fixture
def hostile_source(memory_source: MemorySource) -> Callable[..., HostileSource]:
    """Return a function that wraps a source (by default ``memory_source``) with faults.

    ``hostile_source(tear_after=2)``, ``hostile_source(mine, duplicate=3)``: see HostileSource.
    """
    from .hostile import HostileSource

    def wrap(wrapped: Source | None = None, **faults: Any) -> HostileSource:
        return HostileSource(memory_source if wrapped is None else wrapped, **faults)

    return wrap
