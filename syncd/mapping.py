"""Floor 3: from an entry to a record, by the attribute lists and transforms of the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from .model import Value

Transform: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]
"""From the texts of an attribute to the texts to use; raises ValueError with a message for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one attribute of the record is made."""

    attribute: str
    many: bool = False
    sources: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()
    default: Value | None = None
    constant: Value | None = None
    policy: str = "always"
    illegal: str = "reject"
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class AttributeMapping:
    """All rules of one source, and the text of the configuration that they were made from.

    ``text`` is part of every stored fingerprint: another text means that every entry is mapped anew.
    """

    rules: tuple[Rule, ...]
    text: str

    @property
    def sources(self) -> tuple[str, ...]:
        """The source's attributes that any rule uses, each once, in the order of the rules."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.sources))
