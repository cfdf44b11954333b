"""What was read of a node, sorted by person on this machine's disk: the node is let go as soon as it is read.

An SQLite database without a name is a file that nobody else can open, and that is gone with its connection.
Memory stays flat, and neither the collation of the server nor the way that telephones are grouped matters.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Self

from .devices import Device

_TABLES = (
    "CREATE TABLE devices (anchor TEXT, name TEXT, device TEXT NOT NULL)",
    "CREATE TABLE facts (kind TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID",
)


class Spool:
    """Devices by person, and facts by key; ``with`` ends it."""

    def __init__(self) -> None:
        self.database = sqlite3.connect("", isolation_level=None)
        for statement in ("PRAGMA journal_mode = OFF", "BEGIN", *_TABLES):
            self.database.execute(statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.database.close()

    def put(self, devices: Iterable[tuple[str | None, Device]]) -> None:
        """Keep devices, each with its person; None where that cannot be known."""
        rows = ((anchor, device.name if anchor else "", device.stored()) for anchor, device in devices)
        self.database.executemany("INSERT INTO devices VALUES (?, ?, ?)", rows)

    def note(self, kind: str, facts: Iterable[tuple[str, str]]) -> None:
        """Keep facts; the first of a key counts."""
        rows = ((kind, key, value) for key, value in facts)
        self.database.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?, ?)", rows)

    def fact(self, kind: str, key: str) -> str | None:
        """Return what is known of a key."""
        row = self.database.execute(
            "SELECT value FROM facts WHERE kind = ? AND key = ?", (kind, key)
        ).fetchone()
        return None if row is None else row[0]

    def people(self, most: int) -> Iterator[tuple[str | None, list[Device], int]]:
        """Yield (person, at most that many of their devices, how many there are), in the order of anchors.

        Who cannot be known comes first, one by one.
        """
        rows = self.database.execute("SELECT anchor, device FROM devices ORDER BY anchor, name, rowid")
        for anchor, group in groupby(rows, itemgetter(0)):
            if anchor is None:
                yield from ((None, [Device.restored(row[1])], 1) for row in group)
                continue
            devices = [Device.restored(row[1]) for row in islice(group, most)]
            yield anchor, devices, len(devices) + sum(1 for _ in group)
