"""The end of a connection, and its new beginning."""

from __future__ import annotations

import sqlite3

from ..errors import SyncdError
from .database import Database
from .runs import Run, find_connection, supersede


def retire_connection(conn: sqlite3.Connection, run: Run, now: str) -> None:
    """Mark the connection of a run of kind ``retire``, in the transaction in which that run ends.

    What other runs of it left open is superseded; what this run detained stays for a person.
    """
    conn.execute("UPDATE connections SET retired_at = ?, cursor = NULL WHERE id = ?", (now, run.connection))
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


def make_room(database: Database, name: str, formerly: str | None, now: str) -> None:
    """Let a connection be renamed also where its new name was planned with, but never applied, without ``formerly``.

    Nothing happens where there is nothing to rename. Raises SyncdError where both have accounts already.
    """
    old = find_connection(database, formerly) if formerly is not None else None
    known = find_connection(database, name)
    if old is None or known is None or old.retired_at is not None or old.enterprise != known.enterprise:
        return
    if database.conn.execute("SELECT 1 FROM links WHERE connection = ?", (known.id,)).fetchone():
        raise SyncdError(
            f"source {name} has accounts of its own, so it cannot take over those of {formerly} any more: take "
            f"formerly out of [source.{name}], and if {formerly} is no more: syncd retire {formerly}"
        )
    with database.transaction() as conn:
        for (run,) in conn.execute(
            "SELECT id FROM runs WHERE connection = ? AND state IN ('planned','held')", (known.id,)
        ).fetchall():
            supersede(conn, run, now)
        conn.execute(
            "UPDATE operations SET state = 'superseded', changed_at = ? WHERE connection = ?"
            " AND state IN ('detained','failed','waiting')",
            (now, known.id),
        )
        conn.execute(
            "UPDATE connections SET name = name || ' before run ' || ? WHERE id = ?",
            (_next_run(conn), known.id),
        )


def _next_run(conn: sqlite3.Connection) -> int:
    return int(conn.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM runs").fetchone()[0])
