"""Files for somebody else to import: what waits in the folder, what was collected, and what the other side has by then.

Beside the files stands ``.state.jsonl``: of every account what it should be and what the importing system has been
told (in files that were collected), and in which waiting file the difference stands. That file is the only
memory, and its rename is the moment at which a batch counts.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from syncd import Denied
from syncd_bulk.shared import Stored, open_own, publish

STATE = ".state.jsonl"
_NAME = re.compile(r"(users|changes)-([0-9]{6,12})\.(csv|ldif)")
_END = b'{"numbers"'
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_LEFT = re.compile(r"\.(.+)\.(tmp|old)")

Values = Mapping[str, str]


class Row(NamedTuple):
    """One account: what it should be, what the importing system has of it (None: nothing), and the waiting file."""

    key: str
    enabled: bool
    now: Values | None
    there: Values | None = None
    file: str = ""

    @property
    def target(self) -> Values | None:
        """Return what the importing system should have: nothing of who is disabled."""
        return self.now if self.enabled else None


class Head(NamedTuple):
    """The last line of the state: the last number of each kind of file, and the waiting files with their sizes."""

    numbers: Mapping[str, int]
    waiting: Mapping[str, int]


class Taken(Exception):
    """A file was collected while it was about to be replaced."""


class Folder:
    """The folder of one platform."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / STATE
        self.collected: frozenset[str] = frozenset()

    def head(self) -> Head:
        """Return the last line of the state."""
        file = open_own(self.state)
        if file is None:
            return Head({}, {})
        with file:
            found = self._read(0, _last_line(file))
        try:
            return Head(found["numbers"], found["waiting"])
        except KeyError as error:
            raise self._broken(0) from error

    def settle(self) -> Head:
        """Finish, or take back, what a killed process has begun; learn which files were collected."""
        head = self.head()
        for path in list(self.path.iterdir()):
            if not (found := _LEFT.fullmatch(path.name)):
                continue
            name, kind = found.groups()
            there = (self.path / name).exists()
            if name in head.waiting and not there and kind == "tmp":
                publish(self.path / name)
            elif name in head.waiting and not there:
                path.rename(self.path / name)
            elif _NAME.fullmatch(name) or name == STATE:
                path.unlink()
        self.collected = frozenset(name for name in head.waiting if not (self.path / name).exists())
        return head

    def rows(self) -> Iterator[Stored]:
        """Yield every account; a collected file counts as told. Who was removed has no key, until that was told."""
        file = open_own(self.state)
        if file is None:
            return
        with file:
            for number, line in enumerate(file, 1):
                if line.startswith(_END):
                    return
                row = self._row(number, line)
                if row.file in self.collected:
                    row = row._replace(there=row.target, file="")
                if row.now is not None or row.there is not None:
                    yield Stored("" if row.now is None else row.key, row.enabled, row)

    def next_number(self, kind: str, head: Head) -> int:
        """Return a number that no file had before: who deletes a file by its name deletes what was read."""
        names = (_NAME.fullmatch(path.name) for path in self.path.iterdir())
        seen = [int(found[2]) for found in names if found and found[1] == kind]
        return 1 + max([head.numbers.get(kind, 0), *seen])

    def withdraw(self, names: Collection[str]) -> None:
        """Take waiting files back, all or none. Raises Taken where one is there no more."""
        done: list[str] = []
        for name in names:
            try:
                (self.path / name).rename(self._old(name))
            except FileNotFoundError:
                for back in done:
                    self._old(back).rename(self.path / back)
                raise Taken(name) from None
            done.append(name)

    def forget(self, names: Collection[str]) -> None:
        """Delete what was withdrawn."""
        for name in names:
            with suppress(FileNotFoundError):
                self._old(name).unlink()

    def _old(self, name: str) -> Path:
        return self.path / f".{name}.old"

    def _row(self, number: int, line: bytes) -> Row:
        try:
            return Row(**self._read(number, line))
        except TypeError as error:
            raise self._broken(number) from error

    def _read(self, number: int, line: bytes) -> Mapping[str, Any]:
        try:
            found = json.loads(line.decode())
        except ValueError as error:
            raise self._broken(number) from error
        if not isinstance(found, dict):
            raise self._broken(number)
        return found

    def _broken(self, number: int) -> Denied:
        where = f"{self.state}:{number}" if number else f"{self.state}: its end"
        return Denied(
            f"{where} is not as it was written; put it back; or move it away, and "
            "`syncd verify --repair` makes it anew (every user is then written as a new one)"
        )


def line_of(row: Row) -> bytes:
    """Return the line of the state that holds an account."""
    return _ENCODER.encode(row._asdict()).encode() + b"\n"


def end_of(head: Head) -> bytes:
    """Return the last line of the state."""
    return json.dumps(head._asdict()).encode() + b"\n"


def _last_line(file: BinaryIO) -> bytes:
    size, length = file.seek(0, os.SEEK_END), 4096
    while True:
        file.seek(max(0, size - length))
        lines = file.read().splitlines()
        if len(lines) > 1 or length >= size:
            return lines[-1] if lines else b""
        length *= 8
