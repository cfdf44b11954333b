"""The slots that schedules named: what was begun, by which run it ended, what was passed over.

A row is never deleted and its key never changes, so that no slot is begun twice, whatever the clock does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..schedules import Mode
from .database import Database


class Row(NamedTuple):
    """One slot of a connection. ``schedule`` is the text of what named it, with its time zone."""

    connection: int
    mode: Mode
    slot: str
    schedule: str
    state: str
    run: int | None
    started_at: str
    ended_at: str | None


_COLUMNS = "connection, mode, slot, schedule, state, run, started_at, ended_at"
_INSERT = f"INSERT OR IGNORE INTO schedules ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)"
_BUSY = "SELECT 1 FROM schedules WHERE connection = ? AND state = 'claimed'"


def newest(database: Database, connection: int, mode: str, now: str) -> Row | None:
    """Return the newest row that is not later than ``now``, of whatever state."""
    return _one(database, "connection = ? AND mode = ? AND slot <= ?", (connection, mode, now))


def last_begun(database: Database, connection: int, mode: str) -> Row | None:
    """Return the newest slot that was begun or passed over; not when a schedule was seen for the first time."""
    return _one(database, "connection = ? AND mode = ? AND state <> 'seen'", (connection, mode))


def known(database: Database, connection: int, mode: str, after: str) -> set[str]:
    """Return the slots later than ``after`` that have a row: the clock was set back."""
    query = "SELECT slot FROM schedules WHERE connection = ? AND mode = ? AND slot > ?"
    return {slot for (slot,) in database.conn.execute(query, (connection, mode, after))}


def is_empty(database: Database, connection: int) -> bool:
    """Tell whether nothing is known of a connection's schedules yet."""
    query = "SELECT 1 FROM schedules WHERE connection = ? LIMIT 1"
    return database.conn.execute(query, (connection,)).fetchone() is None


def is_busy(database: Database, connection: int) -> bool:
    """Tell whether a slot of this connection was begun and has not ended."""
    return database.conn.execute(_BUSY, (connection,)).fetchone() is not None


def waited(database: Database, connection: int, begins: str) -> str | None:
    """Return when that ended which kept the connection busy at the time ``begins``, if anything did."""
    row = database.conn.execute(
        "SELECT MAX(ended_at) FROM schedules"
        " WHERE connection = ? AND state = 'ended' AND started_at <= ? AND ended_at >= ?",
        (connection, begins, begins),
    ).fetchone()
    return None if row[0] is None else str(row[0])


def note(database: Database, row: Row) -> None:
    """Keep that a schedule was seen for the first time, or a slot passed over."""
    with database.transaction() as conn:
        conn.execute(_INSERT, row)


def claim(database: Database, rows: Sequence[Row]) -> bool:
    """Begin the first of these slots, and the others with it; False if it is known, or the connection busy."""
    with database.transaction() as conn:
        if conn.execute(_BUSY, (rows[0].connection,)).fetchone() is not None:
            return False
        if conn.execute(_INSERT, rows[0]).rowcount == 0:
            return False
        conn.executemany(_INSERT, rows[1:])
    return True


def finish(database: Database, connection: int, run: int | None, now: str) -> None:
    """End what was begun of a connection; ``run`` is None if it came to none."""
    with database.transaction() as conn:
        conn.execute(
            "UPDATE schedules SET state = 'ended', run = ?, ended_at = ? WHERE connection = ? AND state = 'claimed'",
            (run, now, connection),
        )


def begin_again(database: Database, connection: int, now: str) -> None:
    """Let what a process began that is no more begin now."""
    with database.transaction() as conn:
        conn.execute(
            "UPDATE schedules SET started_at = ? WHERE connection = ? AND state = 'claimed'",
            (now, connection),
        )


def unfinished(database: Database, connection: int) -> list[Row]:
    """Return what was begun of a connection and has not ended, full reads first."""
    rows = database.conn.execute(
        f"SELECT {_COLUMNS} FROM schedules WHERE connection = ? AND state = 'claimed' ORDER BY mode, slot DESC",
        (connection,),
    )
    return [Row(*row) for row in rows]


def run_since(database: Database, connection: int, mode: str, since: str) -> int | None:
    """Return the newest read of a connection that was planned since then; a full one if ``mode`` is that."""
    row = database.conn.execute(
        "SELECT MAX(id) FROM runs WHERE connection = ? AND kind = 'sync' AND started_at >= ?"
        " AND state IN ('held','ended','superseded') AND mode IN (?, 'full')",
        (connection, since, mode),
    ).fetchone()
    return None if row[0] is None else int(row[0])


def _one(database: Database, where: str, values: Sequence[object]) -> Row | None:
    row = database.conn.execute(
        f"SELECT {_COLUMNS} FROM schedules WHERE {where} ORDER BY slot DESC LIMIT 1", values
    ).fetchone()
    return None if row is None else Row(*row)
