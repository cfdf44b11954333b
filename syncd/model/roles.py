"""Roles, their templates, and the numbers that templates allocate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .values import Value


@dataclass(frozen=True, slots=True)
class Numbers:
    """A range of numbers to allocate from, ascending, skipping what is in use."""

    first: int
    last: int
    width: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What a new account gets before its source's values; never applied to one that exists.

    ``services`` are the platforms that it goes to (None: all). ``wins`` names the attributes whose
    default beats the source's value. ``allocate`` maps an attribute to the numbers it is taken from.
    """

    name: str
    services: tuple[str, ...] | None = None
    defaults: Mapping[str, Value] = field(default_factory=dict)
    wins: frozenset[str] = frozenset()
    allocate: Mapping[str, Numbers] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A word that sources use for a kind of person; it has exactly one template."""

    name: str
    template: Template
