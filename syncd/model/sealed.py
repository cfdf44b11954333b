"""How an account speaks of a secret that lies sealed elsewhere: by its attribute, version or digest, and shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from .values import Hidden, Value

RECIPES = ("password", "digits")
"""The kinds of secret that can be made."""

_RECIPE = "|".join(RECIPES)
_MADE = rf"sealed:(\w+):([1-9][0-9]{{0,8}}):({_RECIPE}):([1-9][0-9]{{0,2}})"
_SAID = rf"sealed:(\w+):(0):({_RECIPE}):([1-9][0-9]*):([0-9a-f]{{32}})"


class Sealed(NamedTuple):
    """A secret as it stands in attributes, layers and operations: everything about it but its value.

    ``recipe`` is ``password`` (letters and digits) or ``digits``, and ``length`` is in characters. One that
    was not made but said by a source has a ``digest``, and which version that is says the table ``secrets``.
    """

    attribute: str
    version: int
    recipe: str
    length: int
    digest: str = ""

    def __str__(self) -> str:
        said = f":{self.digest}" if self.digest else ""
        return f"sealed:{self.attribute}:{self.version}:{self.recipe}:{self.length}{said}"

    @property
    def word(self) -> str:
        """What tells it from the other values of its account and attribute."""
        return self.digest or str(self.version)

    @property
    def sample(self) -> str:
        """A value of the same shape, for rules and limits to judge before there is a real one."""
        return (("0" if self.recipe == "digits" else "aA2") * self.length)[: self.length]


def sealed_of(value: object) -> Sealed | None:
    """Return the secret that a value speaks of; None for every other value."""
    if not isinstance(value, str):
        return None
    found = re.fullmatch(_MADE, value) or re.fullmatch(_SAID, value)
    if found is None:
        return None
    return Sealed(found[1], int(found[2]), found[3], int(found[4]), *found.groups()[4:])


def sampled(values: Mapping[str, Value], known: Mapping[str, Value] | None = None) -> Mapping[str, Value]:
    """Return ``values`` with what can be judged in the place of each secret that lies sealed.

    That is the value itself where it is at hand, be it in ``known``, else a sample.
    """
    found = {}
    for name, value in values.items():
        if value[:7] == "sealed:" and (one := sealed_of(value)) is not None and one.attribute == name:
            there = known.get(name) if known is not None else value
            found[name] = there.plain if isinstance(there, Hidden) and there == value else one.sample
    return {**values, **found} if found else values
