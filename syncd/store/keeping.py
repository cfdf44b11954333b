"""How long the database remembers: values of the journal, deleted accounts, and one person at once.

What happened stays in the journal for good; what is blanked are the values that stood in it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import blake2b

from .database import Database
from .sealed import drop_staged
from .staging import stamp

CHUNK = 5000
"""How many rows one transaction changes."""

BLANKED = '[["blanked",null,"its values are no longer kept","blanked"]]'
"""The ``reasons`` of an operation whose values were blanked; such a one cannot be undone."""

_BLANK = f"""
  UPDATE operations SET before = '{{}}', after = '{{}}', record = NULL, replaced = NULL, template = NULL,
    reasons = '{BLANKED}'
"""
_FINAL = "state IN ('applied','discarded','superseded')"
_OPEN = "state IN ('planned','detained','failed','waiting')"
_HAS_VALUES = """(o.before <> '{}' OR o.after <> '{}' OR o.record IS NOT NULL OR o.replaced IS NOT NULL
  OR o.template IS NOT NULL)"""
_UNCONFIRMED = "(m.state <> 'done' OR m.done < m.wanted)"


def prune(
    database: Database, keep_values: timedelta | None, purge_after: timedelta | None, now: datetime
) -> dict[str, int]:
    """Blank the values that are older than ``keep_values``, purge accounts deleted ``purge_after`` ago.

    Returns how many ``operations`` were blanked, ``messages`` of deliveries blanked, ``problems``,
    ``secrets`` (old versions that nothing speaks of any more) and ``accounts`` deleted; None means for ever. Nothing that is open is touched, and nothing that a
    platform has not confirmed. An account whose entry is still in its source stays, deleted as it is:
    without its row it would come back as a new one.
    """
    counts = {"operations": 0, "messages": 0, "problems": 0, "secrets": 0, "accounts": 0}
    if keep_values is not None:
        before = stamp(now - keep_values)
        counts["operations"] = _blank_operations(database, before)
        counts["messages"] = _blank_messages(database, before)
        counts["problems"] = _delete_problems(database, before)
        with database.transaction() as conn:
            counts["secrets"] = conn.execute(_DELETE_SECRETS, (before,)).rowcount
    if purge_after is not None:
        counts["accounts"] = _purge_accounts(database, stamp(now - purge_after))
    return counts


def _blank_operations(database: Database, before: str) -> int:
    conn = database.conn
    end = conn.execute("SELECT MIN(id) FROM runs WHERE started_at >= ?", (before,)).fetchone()[0]
    last, count = (0, 0), 0
    while True:
        rows = conn.execute(
            "SELECT o.run, o.id FROM operations o JOIN runs r ON r.id = o.run"
            f" WHERE (o.run, o.id) > (?, ?) AND (? IS NULL OR o.run < ?) AND o.{_FINAL}"
            " AND r.state IN ('ended','failed','superseded') AND COALESCE(o.changed_at, r.started_at) < ?"
            f" AND {_HAS_VALUES} AND NOT EXISTS"
            f" (SELECT 1 FROM remotes m WHERE m.account = o.account AND {_UNCONFIRMED})"
            " ORDER BY o.run, o.id LIMIT ?",
            (*last, end, end, before, CHUNK),
        ).fetchall()
        if not rows:
            return count
        with database.transaction():
            conn.executemany(f"{_BLANK} WHERE id = ?", [(operation,) for _, operation in rows])
        last, count = rows[-1], count + len(rows)


def _blank_messages(database: Database, before: str) -> int:
    conn, last, count = database.conn, 0, 0
    while True:
        rows = conn.execute(
            "SELECT id, message IS NOT NULL FROM deliveries WHERE id > ? AND at < ? ORDER BY id LIMIT ?",
            (last, before, CHUNK),
        ).fetchall()
        if not rows:
            return count
        old = [(delivery,) for delivery, told in rows if told]
        if old:
            with database.transaction():
                conn.executemany("UPDATE deliveries SET message = NULL WHERE id = ?", old)
        last, count = rows[-1][0], count + len(old)


def _delete_problems(database: Database, before: str) -> int:
    count = 0
    while True:
        with database.transaction() as conn:
            deleted = conn.execute(
                "DELETE FROM problems WHERE id IN (SELECT p.id FROM problems p JOIN runs r ON r.id = p.run"
                " WHERE r.started_at < ? AND r.state <> 'reading' LIMIT ?)",
                (before, CHUNK),
            ).rowcount
        count += deleted
        if deleted < CHUNK:
            return count


_SPOKEN = """instr(x.{}, CASE s.digest WHEN '' THEN '"sealed:' || s.attribute || ':' || s.version || ':'
  ELSE s.digest END) > 0"""
_DELETE_SECRETS = f"""
  DELETE FROM secrets AS s WHERE s.created_at < ?
    AND s.version < (SELECT MAX(n.version) FROM secrets n WHERE n.account = s.account AND n.attribute = s.attribute)
    AND NOT EXISTS (SELECT 1 FROM accounts x WHERE x.id = s.account AND
      ({" OR ".join(map(_SPOKEN.format, ("attributes", "template", "local")))}))
    AND NOT EXISTS (SELECT 1 FROM links x WHERE x.account = s.account AND {_SPOKEN.format("record")})
    AND NOT EXISTS (SELECT 1 FROM operations x WHERE x.account = s.account AND
      ({" OR ".join(map(_SPOKEN.format, ("before", "after", "record", "replaced", "template")))}))
"""


def _purge_accounts(database: Database, before: str) -> int:
    conn, count = database.conn, 0
    while True:
        rows = conn.execute(
            "SELECT a.id FROM accounts a WHERE a.deleted_at < ?"
            " AND NOT EXISTS (SELECT 1 FROM links l WHERE l.account = a.id AND l.gone_at IS NULL)"
            " AND NOT EXISTS (SELECT 1 FROM remotes m WHERE m.account = a.id"
            f"   AND (m.remote_id IS NOT NULL OR {_UNCONFIRMED}))"
            f" AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.account = a.id AND o.{_OPEN})"
            " LIMIT ?",
            (before, CHUNK // 5),
        ).fetchall()
        if not rows:
            return count
        with database.transaction():
            for statement in _PURGE:
                conn.executemany(statement, rows)
        count += len(rows)


_PURGE = (
    f"{_BLANK} WHERE account = ? AND {_FINAL}",
    "UPDATE deliveries SET message = NULL WHERE account = ? AND message IS NOT NULL",
    "DELETE FROM keys WHERE account = ?",
    "DELETE FROM remotes WHERE account = ?",
    "DELETE FROM secrets WHERE account = ?",
    "DELETE FROM links WHERE account = ?",
    "DELETE FROM accounts WHERE id = ?",
)


@contextmanager
def forgetting(database: Database) -> Iterator[sqlite3.Connection]:
    """Open a transaction whose deletions are overwritten in the file, and not only marked as free.

    The write-ahead log, which holds the pages as they were, is emptied afterwards.
    """
    database.conn.execute("PRAGMA secure_delete = ON")
    try:
        with database.transaction() as conn:
            yield conn
        database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.conn.execute("PRAGMA secure_delete = OFF")


def obstacles(database: Database, account: int) -> tuple[list[str], list[int]]:
    """Return what stands against forgetting an account: platforms that know it, operations that are open."""
    conn = database.conn
    platforms = conn.execute(
        "SELECT m.platform FROM remotes m WHERE m.account = ?"
        f" AND (m.remote_id IS NOT NULL OR {_UNCONFIRMED}) ORDER BY m.platform",
        (account,),
    ).fetchall()
    operations = conn.execute(
        f"SELECT id FROM operations WHERE {_OPEN} AND (account = :account OR (connection, anchor) IN"
        " (SELECT connection, anchor FROM links WHERE account = :account)) ORDER BY id",
        {"account": account},
    ).fetchall()
    return [platform for (platform,) in platforms], [operation for (operation,) in operations]


def forget(conn: sqlite3.Connection, account: int, actor: str, now: str) -> dict[str, int]:
    """Blank everything that says anything about an account; the journal keeps that it was there.

    Within the transaction at hand. A run of its own says so, with one operation that has no values and is
    applied already. Decisions go with the entries that they are about, except those that keep an entry
    away. Returns how many rows of what changed, and the number of the ``run``.
    """
    run = conn.execute(
        "INSERT INTO runs (enterprise, kind, mode, state, actor, why, started_at, planned_at, ended_at)"
        " SELECT enterprise, 'manual', 'none', 'ended', ?, 'erased', ?, ?, ? FROM accounts WHERE id = ?",
        (actor, now, now, now, account),
    ).lastrowid
    counts = _forget_entries(conn, account)
    for name, statement in _FORGET.items():
        counts[name] = counts.get(name, 0) + conn.execute(statement, (account,)).rowcount
    drop_staged(conn)
    conn.execute("UPDATE runs SET counts = ? WHERE id = ?", (json.dumps(counts), run))
    digest = blake2b(f"erased {account}".encode(), digest_size=16).digest()
    operation = conn.execute(
        "INSERT INTO operations (run, kind, account, account_kind, link_action, before, after, state, reasons,"
        " digest, changed_at) SELECT ?, 'update', id, kind, 'none', '{}', '{}', 'applied', ?, ?, ?"
        " FROM accounts WHERE id = ?",
        (run, BLANKED, digest, now, account),
    ).lastrowid
    conn.execute(
        "UPDATE accounts SET attributes = '{}', template = NULL, local = NULL, revision = ?, changed_at = ?"
        " WHERE id = ?",
        (operation, now, account),
    )
    return {**counts, "run": int(run or 0)}


_FORGET_VALUES = f"{_BLANK}, anchor = NULL, fingerprint = NULL"
_FORGET = {
    "operations": f"{_FORGET_VALUES} WHERE account = ? AND {_FINAL}",
    "deliveries": "UPDATE deliveries SET message = NULL, remote_id = NULL WHERE account = ?",
    "remotes": "UPDATE remotes SET delivered = NULL, message = NULL WHERE account = ?",
    "keys": "DELETE FROM keys WHERE account = ?",
    "secrets": "DELETE FROM secrets WHERE account = ?",
    "decisions": "UPDATE decisions SET why = NULL WHERE account = ?",
    "links": "DELETE FROM links WHERE account = ?",
}
_ENTRY = "connection = ? AND anchor = ?"
# An addition that was never applied has an account that never was.
_FORGET_OF_ENTRY = {
    "operations": f"{_FORGET_VALUES} WHERE {_ENTRY} AND {_FINAL}"
    " AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = operations.account)",
    "problems": f"DELETE FROM problems WHERE {_ENTRY}",
    "decisions": f"DELETE FROM decisions WHERE {_ENTRY} AND NOT (verb = 'ignore' AND ended_at IS NULL)",
}


def _forget_entries(conn: sqlite3.Connection, account: int) -> dict[str, int]:
    entries = conn.execute(
        "SELECT connection, anchor FROM links WHERE account = :account UNION"
        " SELECT connection, anchor FROM operations WHERE account = :account"
        " AND connection IS NOT NULL AND anchor IS NOT NULL",
        {"account": account},
    ).fetchall()
    return {
        name: sum(conn.execute(statement, entry).rowcount for entry in entries)
        for name, statement in _FORGET_OF_ENTRY.items()
    }
