"""The policy of each platform that is in force: whom it takes, and what it is told of them.

A run of kind ``policy`` has in its ``scope`` the texts that it brings into force, by platform. Its
operations touch no account; each names in its ``record`` a platform that is to look at an account again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .database import Database
from .runs import Run, supersede

NOT_WITHHELD = """NOT EXISTS (SELECT 1 FROM operations w WHERE w.account = r.account AND w.link_action = 'policy'
  AND w.state = 'detained' AND json_extract(w.record, '$.platform') = r.platform)"""
"""True of a row ``r`` of ``remotes`` unless a guard keeps its account from vanishing from that platform."""


def in_force(database: Database) -> dict[str, str]:
    """Return the text of each platform's policy, by the platform's name."""
    return dict(database.conn.execute("SELECT platform, text FROM policies").fetchall())


def store(conn: sqlite3.Connection, texts: Mapping[str, str], now: str) -> None:
    """Let these policies be in force, within the transaction at hand."""
    conn.executemany(
        "INSERT INTO policies (platform, text, since) VALUES (?,?,?) ON CONFLICT (platform) DO UPDATE SET"
        " text = excluded.text, since = excluded.since WHERE text <> excluded.text",
        [(platform, text, now) for platform, text in texts.items()],
    )


def bring_into_force(conn: sqlite3.Connection, run: Run, now: str) -> None:
    """Store what an applied run of kind ``policy`` says, within the transaction at hand.

    A platform for which another enterprise's run is still open keeps its old text: it waits for both.
    """
    texts: dict[str, str] = json.loads(run.scope or "{}")
    rows = conn.execute(
        "SELECT DISTINCT e.key FROM runs r, json_each(r.scope) e WHERE r.kind = 'policy' AND r.id <> ?"
        " AND r.state IN ('planned','held','applying')",
        (run.id,),
    )
    waiting = {platform for (platform,) in rows}
    store(conn, {name: text for name, text in texts.items() if name not in waiting}, now)


def rename(database: Database, old: str, new: str) -> bool:
    """Let a platform that has another name now keep its accounts and its policy; False if nothing is known of it."""
    conn = database.conn
    if not conn.execute("SELECT 1 FROM policies WHERE platform = ?", (old,)).fetchone():
        return False
    with database.transaction():
        for table in ("remotes", "policies"):
            conn.execute(f"UPDATE {table} SET platform = ? WHERE platform = ?", (new, old))
    return True


def supersede_runs(conn: sqlite3.Connection, now: str, keep: Collection[int] = ()) -> None:
    """Replace the runs of kind ``policy`` that were never applied, with all that they detained."""
    rows = conn.execute(
        "SELECT id FROM runs WHERE kind = 'policy' AND state IN ('planned','held')"
    ).fetchall()
    for (run,) in rows:
        if run not in keep:
            supersede(conn, run, now)
            _supersede(conn, "run = ?", (run,), now)


def supersede_detained(conn: sqlite3.Connection, run: Run, platforms: Iterable[str], now: str) -> None:
    """End what earlier runs of the enterprise detained of these platforms: it is asked anew."""
    for platform in platforms:
        _supersede(
            conn,
            "json_extract(record, '$.platform') = ? AND run <> ?"
            " AND run IN (SELECT id FROM runs WHERE enterprise = ?)",
            (platform, run.id, run.enterprise),
            now,
        )


def _supersede(conn: sqlite3.Connection, where: str, values: tuple[Any, ...], now: str) -> None:
    conn.execute(
        "UPDATE operations SET state = 'superseded', changed_at = ? WHERE state = 'detained'"
        f" AND link_action = 'policy' AND {where}",
        (now, *values),
    )
