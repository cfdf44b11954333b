"""The policy of each platform that is in force: whom it takes, and what it is told of them.

A run of kind ``policy`` has in its ``scope`` the texts that it brings into force, by platform. Its
operations touch no account; each names in its ``record`` a platform that is to look at an account again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping

from .database import OPEN, Database
from .runs import Run, supersede

NOT_WITHHELD = """NOT EXISTS (SELECT 1 FROM operations w WHERE w.account = r.account AND w.link_action = 'policy'
  AND w.state = 'detained' AND json_extract(w.record, '$.platform') = r.platform)"""
"""True of a row ``r`` of ``remotes`` unless what a policy wants of its account on that platform is detained."""


def in_force(database: Database) -> dict[str, str]:
    """Return the text of each platform's policy, by the platform's name."""
    return dict(database.conn.execute("SELECT platform, text FROM policies").fetchall())


def since(database: Database, platforms: Collection[str]) -> str:
    """Return when the newest policy of these platforms came into force; "" if none of them has one."""
    marks = json.dumps(sorted(platforms))
    row = database.conn.execute(
        "SELECT MAX(since) FROM policies WHERE platform IN (SELECT value FROM json_each(?))", (marks,)
    ).fetchone()
    return row[0] or ""


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


def supersede_open(
    conn: sqlite3.Connection, platforms: Collection[str], keep: Collection[int], now: str
) -> None:
    """Replace the runs of kind ``policy`` that were never applied, and whatever is detained of these platforms.

    The runs to ``keep`` stay, with what they detained.
    """
    rows = conn.execute(
        "SELECT id FROM runs WHERE kind = 'policy' AND state IN ('planned','held')"
    ).fetchall()
    outdated = [run for (run,) in rows if run not in keep]
    for run in outdated:
        supersede(conn, run, now)
    conn.execute(
        f"UPDATE operations SET state = 'superseded', changed_at = ? WHERE {OPEN} AND state = 'detained'"
        " AND link_action = 'policy' AND (run IN (SELECT value FROM json_each(?)) OR"
        "  (json_extract(record, '$.platform') IN (SELECT value FROM json_each(?))"
        "   AND run NOT IN (SELECT value FROM json_each(?))))",
        (now, json.dumps(outdated), json.dumps(sorted(platforms)), json.dumps(sorted(keep))),
    )
