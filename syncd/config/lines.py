"""On which line each key of a TOML text stands: what tomllib does not tell.

Written for texts that tomllib has taken already, and so lenient: it looks for keys and for the ends of
values, and judges nothing.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys from the top of the document down; a number is a place in an array, from 0."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of every table, key and array element of ``text``, which must be valid TOML.

    A table that only its sub-tables imply has the line of the first of them.
    """
    scan = _Scan(text)
    scan.document()
    return scan.lines


class _Scan:
    """A position in the text, and what was found before it."""

    __slots__ = ("_arrays", "_at", "_newlines", "_text", "lines")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._arrays: dict[KeyPath, int] = {}
        self.lines: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text.startswith("[[", self._at):
                table = self._array_header()
            elif self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self) -> KeyPath:
        line = self._line()
        self._at += 1
        path = self._note((), self._key(), line)
        self.lines[path] = line
        self._at += 1
        return path

    def _array_header(self) -> KeyPath:
        line = self._line()
        self._at += 2
        *parents, last = self._key()
        array = (*self._note((), parents, line), last)
        self._arrays[array] = self._arrays.get(array, -1) + 1
        self.lines.setdefault(array, line)
        path = (*array, self._arrays[array])
        self.lines[path] = line
        self._at += 2
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = self._note(table, self._key(), line)
        self._at += 1
        self._skip(_SPACE)
        self._value(path)

    def _note(self, path: KeyPath, keys: list[str], line: int) -> KeyPath:
        """Add ``keys`` to ``path``, going into the latest element of an array of tables."""
        for key in keys:
            path = (*path, key)
            self.lines.setdefault(path, line)
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path

    def _key(self) -> list[str]:
        """Read a dotted key, and stand on what follows it."""
        keys = []
        while True:
            self._skip(_SPACE)
            bare = _BARE_KEY.match(self._text, self._at)
            if bare is None:
                keys.append(_unquoted(self._skip(_QUOTED)))
            else:
                self._at = bare.end()
                keys.append(bare[0])
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        first = self._text[self._at : self._at + 1]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        elif first in {'"', "'"}:
            self._skip(_QUOTED)
        else:
            self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        place = 0
        while not self._ends_with("]"):
            self.lines[(*path, place)] = self._line()
            self._value((*path, place))
            place += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while not self._ends_with("}"):
            self._pair(path)

    def _ends_with(self, bracket: str) -> bool:
        """Pass blanks and a comma; True if the closing ``bracket`` was passed as well."""
        self._skip(_BLANK)
        if self._text.startswith(",", self._at):
            self._at += 1
            self._skip(_BLANK)
        if not self._text.startswith(bracket, self._at):
            return False
        self._at += 1
        return True

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"line {self._line()} is not valid TOML")
        self._at = match.end()
        return match[0]

    def _line(self) -> int:
        return bisect_right(self._newlines, self._at - 1) + 1


def _unquoted(key: str) -> str:
    return next(iter(tomllib.loads(f"{key} = 0")))
