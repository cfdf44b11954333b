"""What the two readers have in common: faults of a row, a file that cannot be used, and caps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Fault(NamedTuple):
    """What is wrong with one row; ``where`` is a column or an attribute, if it is one alone."""

    line: int
    where: str | None
    message: str

    def at(self, name: object) -> str:
        """Return the text for a person: file, line, column or attribute, what is wrong and the cure."""
        return f"{name}:{self.line}: {self.where + ': ' if self.where else ''}{self.message}"


class BadFile(Exception):
    """Nothing of the file can be used, because from here on it cannot be known what its rows are.

    ``torn``: it looks half-written, so that a later look may find it whole.
    """

    def __init__(self, line: int, where: str | None, message: str, *, torn: bool = False) -> None:
        self.fault = Fault(line, where, message)
        self.torn = torn
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Caps:
    """What a reader takes at most: bytes of a value, of a line and of an entry, and how many entries."""

    value: int = 256 << 10
    line: int = 1 << 20
    entry: int = 64 << 20
    entries: int = 1_000_000


def check_encoding(head: bytes) -> bytes:
    """Return the first bytes of a file without the UTF-8 mark; raises BadFile for another encoding's mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadFile(1, None, "the file is UTF-16; save it as UTF-8")
    return head.removeprefix(b"\xef\xbb\xbf")
