"""What the loaded plugins offer to the configuration; made by the caller, who knows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from ..connector import Observer, Platform, Source
from ..mapping import Transform
from ..model import Attribute
from ..validation import Test

TransformFactory: TypeAlias = Callable[[str | None], Transform]
"""From the text behind the colon (or None) to the transform; raises ValueError with a cure."""

TestFactory: TypeAlias = Callable[[str | None], Test]
"""From the text behind the colon (or None) to the test; raises ValueError with a cure."""


class Catalog(NamedTuple):
    """Every word that a plugin registered, and what it stands for."""

    sources: Mapping[str, type[Source]] = {}
    platforms: Mapping[str, type[Platform]] = {}
    observers: Mapping[str, type[Observer]] = {}
    transforms: Mapping[str, TransformFactory] = {}
    rules: Mapping[str, TestFactory] = {}
    attributes: tuple[Attribute, ...] = ()
    why_unknown: Callable[[str, str], str] | None = None
    """From ``source``, ``platform`` or ``observer`` and a type that nobody registered to what to tell the person."""
