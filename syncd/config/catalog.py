"""What the loaded plugins offer to the configuration; made by the caller, who knows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ..connector import Observer, Platform, Source
from ..mapping import Transform
from ..model import Attribute
from ..validation import Test

TransformFactory: TypeAlias = Callable[[str | None], Transform]
"""From the text behind the colon (or None) to the transform; raises ValueError with a cure."""

TestFactory: TypeAlias = Callable[[str | None], Test]
"""From the text behind the colon (or None) to the test; raises ValueError with a cure."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Catalog:
    """Every word that a plugin registered, and what it stands for."""

    sources: Mapping[str, type[Source]] = field(default_factory=dict)
    platforms: Mapping[str, type[Platform]] = field(default_factory=dict)
    observers: Mapping[str, type[Observer]] = field(default_factory=dict)
    transforms: Mapping[str, TransformFactory] = field(default_factory=dict)
    rules: Mapping[str, TestFactory] = field(default_factory=dict)
    attributes: tuple[Attribute, ...] = ()
    why_unknown: Callable[[str, str], str] | None = None
    """From ``source``, ``platform`` or ``observer`` and a type that nobody registered to what to tell the person."""
