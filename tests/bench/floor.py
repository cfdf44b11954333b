"""Writes the rows that a synchronization wrote, and nothing else: the least that its database can cost.

python tests/bench/floor.py first MODEL TARGET

takes the rows from the database MODEL that syncd left and writes them, in one transaction and with its own
schema and settings, into TARGET: empty, or as it was before. Prints the seconds of the writing alone.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path

from syncd.store.database import open_database

CHUNK = 20_000
"""How many rows are held ready at a time."""

WRITES = {
    "first": tuple(
        (f"SELECT {{{table}}} FROM {table}", f"INSERT INTO {table} ({{{table}}}) VALUES ({{marks}})")
        for table in ("accounts", "links", "keys", "operations")
    ),
    "update": (
        (
            "SELECT attributes, changed_at, revision, id FROM accounts",
            "UPDATE accounts SET attributes = ?, changed_at = ?, revision = ? WHERE id = ?",
        ),
        (
            "SELECT record, fingerprint, id FROM links",
            "UPDATE links SET record = ?, fingerprint = ? WHERE id = ?",
        ),
        (
            "SELECT {operations} FROM operations WHERE run = (SELECT MAX(id) FROM runs)",
            "INSERT INTO operations ({operations}) VALUES ({marks})",
        ),
    ),
    "fingerprints": (("SELECT fingerprint, id FROM links", "UPDATE links SET fingerprint = ? WHERE id = ?"),),
}
"""What to select from the model, and what to do with each row; a table's name stands for its columns."""


def write(what: str, model: Path, target: Path) -> float:
    """Do the writes and return their seconds; reading the rows is not among them."""
    source = sqlite3.connect(model)
    conn = open_database(target).conn
    columns = {
        table: ", ".join(row[1] for row in source.execute(f"PRAGMA table_info({table})"))
        for table in ("accounts", "links", "keys", "operations")
    }
    for table in ("connections", "runs"):
        rows = source.execute(f"SELECT * FROM {table}").fetchall()
        conn.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * len(rows[0]))})", rows)
    conn.execute("BEGIN IMMEDIATE")
    seconds = 0.0
    for select, statement in WRITES[what]:
        found = source.execute(select.format(**columns))
        ready = statement.format(**columns, marks=",".join("?" * len(found.description)))
        while chunk := found.fetchmany(CHUNK):
            begun = time.perf_counter()
            conn.executemany(ready, chunk)
            seconds += time.perf_counter() - begun
    begun = time.perf_counter()
    conn.execute("COMMIT")
    conn.close()
    return seconds + time.perf_counter() - begun


if __name__ == "__main__":
    print(write(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
