"""Roles, their templates, and the numbers that templates allocate."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .values import Value


class Range(NamedTuple):
    """Numbers from ``first`` to ``last``, filled up with zeros to ``width`` digits."""

    first: int
    last: int
    width: int = 0

    def __str__(self) -> str:
        return "-".join(str(end).zfill(self.width) for end in self[:2])


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a template allocates from: its ranges one after the other, ascending, skipping what is in use."""

    ranges: tuple[Range, ...]
    template: str = ""

    def __iter__(self) -> Iterator[str]:
        for one in self.ranges:
            yield from (str(number).zfill(one.width) for number in range(one.first, one.last + 1))

    def __contains__(self, text: str) -> bool:
        return any(
            text == str(number).zfill(one.width)
            for one in self.ranges
            if (number := _number(text)) is not None and one.first <= number <= one.last
        )

    def __str__(self) -> str:
        return ",".join(map(str, self.ranges))


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,15}", text, re.ASCII) else None


class Template(NamedTuple):
    """What a new account gets before its source's values; never applied to one that exists.

    ``services`` are the platforms that it goes to (None: all). ``wins`` names the attributes whose
    default beats the source's value. ``allocate`` maps an attribute to the numbers it is taken from.
    """

    name: str
    services: tuple[str, ...] | None = None
    defaults: Mapping[str, Value] = {}
    wins: frozenset[str] = frozenset()
    allocate: Mapping[str, Numbers] = {}


class Role(NamedTuple):
    """A word that sources use for a kind of person; it has exactly one template."""

    name: str
    template: Template
