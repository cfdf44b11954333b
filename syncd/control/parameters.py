"""The parameters of a call, held against what the interface says of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from .calls import Terminal

T = TypeVar("T")

_LONGEST_LIST = 100_000
_WIDTHS = range(20, 1001)


class BadParameter(Exception):
    """A parameter is missing, of another type, or not known; ``name`` says which."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


class Parameters:
    """What was given. Each method returns one parameter, and raises BadParameter for another type."""

    def __init__(self, given: Mapping[str, Any], known: Collection[str]) -> None:
        """Raises BadParameter for a name that the method does not know."""
        for name in given:
            if name not in known:
                raise BadParameter(name)
        self._given = given

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        """Return what ``read`` makes of a parameter, or None if it is not given."""
        return None if self._given.get(name) is None else read(name)

    def text(self, name: str) -> str:
        """Return a string; one that no terminal could have typed is none."""
        value = self._given.get(name)
        if not isinstance(value, str) or "\0" in value:
            raise BadParameter(name)
        return value

    def flag(self, name: str) -> bool:
        """Return a bool."""
        value = self._given.get(name)
        if not isinstance(value, bool):
            raise BadParameter(name)
        return value

    def number(self, name: str) -> int:
        """Return the number of a run."""
        return self._numbers(name, [self._given.get(name)])[0]

    def numbers(self, name: str) -> list[int]:
        """Return the numbers of operations."""
        return self._numbers(name, self._given.get(name))

    def texts(self, name: str) -> list[str]:
        """Return a list of strings."""
        found = self._list(name, self._given.get(name))
        if not all(isinstance(one, str) and "\0" not in one for one in found):
            raise BadParameter(name)
        return found

    def terminal(self, name: str) -> Terminal:
        """Return what the person has in front of them; what is out of bounds is brought within them."""
        given, kinds = self._given.get(name), {one.name: type(one.default) for one in fields(Terminal)}
        if not isinstance(given, dict) or not given.keys() <= kinds.keys():
            raise BadParameter(name)
        if any(type(value) is not kinds[key] for key, value in given.items()):
            raise BadParameter(name)
        made = Terminal(**given)
        columns = min(max(made.columns, _WIDTHS.start), _WIDTHS.stop - 1)
        return Terminal(**{**given, "columns": columns})

    def _numbers(self, name: str, value: Any) -> list[int]:
        found = self._list(name, value)
        if not all(type(one) is int and 0 <= one < 2**63 for one in found):
            raise BadParameter(name)
        return found

    def _list(self, name: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > _LONGEST_LIST:
            raise BadParameter(name)
        return value
