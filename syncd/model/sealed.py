"""How an account speaks of a secret that lies sealed elsewhere: by its attribute, its version and its recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from .values import Value

RECIPES = ("password", "digits")
"""The kinds of secret that can be made."""

_TEXT = rf"sealed:(\w+):([1-9][0-9]{{0,8}}):({'|'.join(RECIPES)}):([1-9][0-9]{{0,2}})"


class Sealed(NamedTuple):
    """A secret as it stands in attributes, layers and operations: everything about it but its value.

    ``recipe`` is ``password`` (letters and digits) or ``digits``, and ``length`` is in characters.
    """

    attribute: str
    version: int
    recipe: str
    length: int

    def __str__(self) -> str:
        return f"sealed:{self.attribute}:{self.version}:{self.recipe}:{self.length}"

    @property
    def sample(self) -> str:
        """A value of the same shape, for rules and limits to judge before there is a real one."""
        return (("0" if self.recipe == "digits" else "aA2") * self.length)[: self.length]


def sealed_of(value: object) -> Sealed | None:
    """Return the secret that a value speaks of; None for every other value."""
    found = re.fullmatch(_TEXT, value) if isinstance(value, str) else None
    return None if found is None else Sealed(found[1], int(found[2]), found[3], int(found[4]))


def sampled(values: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return ``values`` with a sample in the place of each secret that lies sealed."""
    found = {
        name: one.sample
        for name, value in values.items()
        if value[:7] == "sealed:" and (one := sealed_of(value)) is not None and one.attribute == name
    }
    return {**values, **found} if found else values
