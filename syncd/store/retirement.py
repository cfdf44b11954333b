"""The end of a connection, and its new beginning."""

from __future__ import annotations

import sqlite3

from .database import Database
from .runs import Run, find_connection, supersede


def retire_connection(conn: sqlite3.Connection, run: Run, now: str) -> bool:
    """Mark the connection of an applied run of kind ``retire``, within the transaction at hand.

    What other runs of it left open is superseded; what this run detained stays for a person. False if
    there was nothing to do: it is marked already, or has been read again since.
    """
    marked = conn.execute(
        "UPDATE connections SET retired_at = ?, cursor = NULL WHERE id = ? AND retired_at IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM runs WHERE connection = ? AND id > ? AND kind = 'sync'"
        "   AND state IN ('applying','ended'))",
        (now, run.connection, run.connection, run.id),
    ).rowcount
    if not marked:
        return False
    rows = conn.execute(
        "SELECT id FROM runs WHERE connection = ? AND id <> ? AND state IN ('planned','held')",
        (run.connection, run.id),
    ).fetchall()
    for (other,) in rows:
        supersede(conn, other, now)
    conn.execute(
        "UPDATE operations SET state = 'superseded', changed_at = ? WHERE connection = ? AND run <> ?"
        " AND state IN ('detained','failed','waiting')",
        (now, run.connection, run.id),
    )
    return True


def start_anew(database: Database, name: str, enterprise: str) -> None:
    """Let a retired connection that is configured again begin as a new one; nothing happens to others.

    In its own enterprise it keeps its links, so that people come back to their accounts; in another
    enterprise it makes room for a new connection.
    """
    known = find_connection(database, name)
    if known is None or known.retired_at is None:
        return
    with database.transaction() as conn:
        if known.enterprise == enterprise:
            conn.execute(
                "UPDATE connections SET retired_at = NULL, cursor = NULL, scope = NULL, sizes = '[]',"
                " trusted_since = NULL WHERE id = ?",
                (known.id,),
            )
        else:
            conn.execute(
                "UPDATE connections SET name = name || ' until ' || retired_at WHERE id = ?", (known.id,)
            )
