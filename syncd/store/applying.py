"""Applying a plan: account change, operation state and wanted revision in one transaction (law 5).

All statements are set-based over ``temp.chunk``. A killed process leaves whole chunks applied and the
rest ``planned``; applying the run again goes on from there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import SyncdError
from ..model import Vocabulary
from ..planning import claims_of
from .database import Database
from .runs import Run, run_of
from .standings import texts

CHUNK = 5000
"""How many operations one transaction applies."""

_CHUNK = """
  CREATE TEMP TABLE IF NOT EXISTS chunk (operation INTEGER PRIMARY KEY, kind TEXT, link_action TEXT, account INTEGER,
    link INTEGER, undoes INTEGER, touches INTEGER, state_touched INTEGER)
"""
_COLUMNS = """o.id, o.kind, o.link_action, o.account, o.link, o.undoes, o.after <> '{}',
  instr(o.after, '"disabled_by"') > 0 OR instr(o.after, '"deleted"') > 0"""

_CURRENT = """CASE b.key WHEN 'disabled_by' THEN a.disabled_by
  WHEN 'deleted' THEN CASE WHEN a.deleted_at IS NULL THEN NULL ELSE 1 END
  ELSE json_extract(a.attributes, '$.' || b.key) END"""

# What must still be true, each with what it is for, as _APPLY below.
_STALE = (
    (
        ("touch", "state"),
        f"""
        SELECT c.operation, 'account ' || c.account || ' has another ' || b.key || ' by now'
        FROM temp.chunk c CROSS JOIN operations o ON o.id = c.operation
          CROSS JOIN accounts a ON a.id = c.account AND a.revision IS NOT o.seen CROSS JOIN json_each(o.before) b
        WHERE c.kind <> 'add' AND c.touches AND {_CURRENT} IS NOT b.value
        """,
    ),
    (
        ("update", "disable", "enable", "delete"),
        """
        SELECT c.operation, 'account ' || c.account || ' does not exist' FROM temp.chunk c
        WHERE c.kind <> 'add' AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = c.account)
        """,
    ),
    (
        ("make", "move"),
        """
        SELECT c.operation, o.anchor || ' is linked to account ' || l.account || ' by now'
        FROM temp.chunk c CROSS JOIN operations o ON o.id = c.operation
          CROSS JOIN links l ON l.connection = o.connection AND l.anchor = o.anchor
        WHERE c.link_action = 'make' OR (c.link_action = 'move' AND l.id <> c.link)
        """,
    ),
    (
        ("keep", "move", "end", "drop", "restore"),
        """
        SELECT c.operation, 'its link is another by now' FROM temp.chunk c
        WHERE c.link_action IN ('keep','move','end','drop','restore') AND c.link IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM links l WHERE l.id = c.link AND l.account = c.account)
        """,
    ),
)

# Each statement with the kind or link action that it is for; one that nothing in the chunk needs is left out.
_APPLY = (
    # What is new: an account is named by the operation that adds it.
    (
        "add",
        """
        INSERT INTO accounts (id, enterprise, kind, attributes, template, disabled_by, created_at, changed_at,
          revision)
        SELECT o.account, :enterprise, o.account_kind,
          CASE WHEN c.state_touched THEN json_remove(o.after, '$.disabled_by') ELSE o.after END, o.template,
          CASE WHEN c.state_touched THEN json_extract(o.after, '$.disabled_by') END, :now, :now, o.id
        FROM temp.chunk c JOIN operations o ON o.id = c.operation WHERE c.kind = 'add'
        """,
    ),
    (
        "make",
        """
        INSERT INTO links (connection, anchor, account, owner, record, enabled, fingerprint)
        SELECT o.connection, o.anchor, o.account, o.owner, o.record, o.enabled, o.fingerprint
        FROM temp.chunk c JOIN operations o ON o.id = c.operation WHERE c.link_action = 'make'
        """,
    ),
    # What is touched, and nothing else.
    (
        "touch",
        """
        UPDATE accounts SET attributes = json_patch(attributes, o.after), changed_at = :now,
          revision = o.id
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.account = accounts.id AND c.kind <> 'add' AND c.touches AND NOT c.state_touched
        """,
    ),
    (
        "state",
        """
        UPDATE accounts SET
          attributes = json_remove(json_patch(attributes, o.after), '$.disabled_by', '$.deleted'),
          disabled_by = CASE WHEN json_type(o.after, '$.disabled_by') IS NULL THEN disabled_by
            ELSE json_extract(o.after, '$.disabled_by') END,
          deleted_at = CASE WHEN json_type(o.after, '$.deleted') IS NULL THEN deleted_at
            WHEN json_extract(o.after, '$.deleted') THEN :now ELSE NULL END,
          changed_at = :now, revision = o.id
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.account = accounts.id AND c.kind <> 'add' AND c.state_touched
        """,
    ),
    (
        "local",
        """
        UPDATE accounts SET local = CASE o.record WHEN '{}' THEN NULL ELSE o.record END
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.account = accounts.id AND c.link_action = 'local'
        """,
    ),
    (
        "keep",
        """
        UPDATE links SET record = o.record, enabled = o.enabled, fingerprint = o.fingerprint,
          missing_since = NULL, reads_missed = 0, gone_at = NULL
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.link = links.id AND c.link_action = 'keep'
        """,
    ),
    (
        "move",
        """
        UPDATE links SET anchor = o.anchor, record = o.record, enabled = o.enabled, fingerprint = o.fingerprint,
          missing_since = NULL, reads_missed = 0, gone_at = NULL
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.link = links.id AND c.link_action = 'move'
        """,
    ),
    (
        "end",
        """
        UPDATE links SET gone_at = :now, missing_since = COALESCE(missing_since, :now), fingerprint = NULL
        FROM temp.chunk c WHERE c.link = links.id AND c.link_action = 'end'
        """,
    ),
    (
        "restore",
        """
        UPDATE links SET record = COALESCE(o.record, links.record), gone_at = NULL, missing_since = NULL,
          reads_missed = 0
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.link = links.id AND c.link_action = 'restore'
        """,
    ),
    (
        "drop",
        "DELETE FROM links WHERE id IN (SELECT link FROM temp.chunk WHERE link_action = 'drop')",
    ),
    # A policy touches no account: its platform looks at the account again.
    (
        "policy",
        """
        INSERT INTO remotes (platform, account, wanted)
        SELECT json_extract(o.record, '$.platform'), c.account, c.operation
        FROM temp.chunk c JOIN operations o ON o.id = c.operation WHERE c.link_action = 'policy'
        ON CONFLICT (platform, account) DO UPDATE SET
          wanted = excluded.wanted, state = 'pending', attempts = 0, next_try = NULL, message = NULL
        """,
    ),
    # Keys: a freed one stays releasing until every remote of its account has confirmed.
    (
        "frees",
        """
        INSERT OR REPLACE INTO keys (attribute, folded, enterprise, releasing, account)
        SELECT f.attribute, f.folded, :enterprise, c.account, c.account
        FROM temp.chunk c JOIN temp.claims f ON f.operation = c.operation
        WHERE f.gain = 0 AND EXISTS (SELECT 1 FROM remotes r WHERE r.account = c.account)
        """,
    ),
    (
        "frees",
        """
        DELETE FROM keys WHERE releasing = 0 AND enterprise = :enterprise AND (attribute, folded, account) IN
          (SELECT f.attribute, f.folded, c.account
           FROM temp.chunk c JOIN temp.claims f ON f.operation = c.operation WHERE f.gain = 0)
        """,
    ),
    (
        "gains",
        """
        INSERT OR REPLACE INTO keys (attribute, folded, enterprise, account)
        SELECT f.attribute, f.folded, :enterprise, c.account
        FROM temp.claims f JOIN temp.chunk c ON c.operation = f.operation
        WHERE f.gain = 1 AND f.operation BETWEEN :low AND :high
        """,
    ),
    (
        "undoes",
        "UPDATE operations SET undone_by = c.operation FROM temp.chunk c WHERE operations.id = c.undoes",
    ),
    # What was undone is not proposed again; unless that is undone in its turn.
    (
        "undoes",
        """
        INSERT INTO decisions (connection, anchor, digest, verb, who, at, why, run, operation)
        SELECT u.connection, u.anchor, u.digest, 'undo', r.actor, :now, r.why, r.id, u.id
        FROM temp.chunk c JOIN operations u ON u.id = c.undoes JOIN runs r ON r.id = :run
        WHERE u.connection IS NOT NULL AND u.undoes IS NULL
        """,
    ),
    (
        "undoes",
        """
        UPDATE decisions SET ended_at = :now WHERE verb = 'undo' AND ended_at IS NULL AND operation IN
          (SELECT u.undoes FROM temp.chunk c JOIN operations u ON u.id = c.undoes)
        """,
    ),
)

_WANT = """
  INSERT INTO remotes (platform, account, wanted) SELECT ?, c.account, c.operation FROM temp.chunk c WHERE c.touches
  ON CONFLICT (platform, account) DO UPDATE SET
    wanted = excluded.wanted, state = 'pending', attempts = 0, next_try = NULL, message = NULL
"""


def apply(
    database: Database,
    run: Run,
    *,
    platforms: Sequence[str],
    vocabulary: Vocabulary,
    clock: Callable[[], str],
    beat: Callable[[int], None] | None = None,
) -> Run:
    """Apply every planned operation of a run that is ``planned``, approved, or left ``applying``.

    Raises SyncdError for a run in another state, StoreError when the database cannot be written.
    """
    run = run_of(database, run.id) or run
    if run.state not in ("planned", "applying") and not (run.state == "held" and run.approved):
        raise SyncdError(f"run {run.id} is {run.state} and cannot be applied")
    conn = database.conn
    with database.transaction():
        conn.execute("UPDATE runs SET state = 'applying' WHERE id = ?", (run.id,))
    _remember_claims(database, run, vocabulary)
    _detain_contested(database, run, clock())
    done = last = 0
    with database.hurried():
        if conn.execute("SELECT 1 FROM temp.claims WHERE gain = 0 LIMIT 1").fetchone():
            done, _ = _apply_chunk(database, run, _EXCHANGING, platforms, clock(), after=0)
        while True:
            count, last = _apply_chunk(database, run, _NEXT, platforms, clock(), after=last)
            if not count:
                break
            done += count
            if beat is not None:
                beat(done)
    return end(database, run, clock())


_NEXT = f"""
  INSERT INTO temp.chunk SELECT {_COLUMNS} FROM operations o
  WHERE o.run = :run AND o.state = 'planned' AND o.id > :after ORDER BY o.id LIMIT :most
"""
# Operations that hand a key to each other are applied together, however many they are.
_EXCHANGING = f"""
  INSERT INTO temp.chunk SELECT {_COLUMNS} FROM operations o WHERE o.id IN (
  SELECT o.id FROM temp.claims c JOIN operations o ON o.id = c.operation
    JOIN keys k ON k.attribute = c.attribute AND k.folded = c.folded AND k.enterprise = :enterprise
      AND k.releasing = 0
  WHERE o.run = :run AND o.state = 'planned' AND c.gain = 1 AND k.account <> o.account AND :most
  UNION
  SELECT g.id FROM temp.claims c JOIN operations o ON o.id = c.operation
    JOIN temp.claims f ON f.attribute = c.attribute AND f.folded = c.folded AND f.gain = 0
    JOIN operations g ON g.id = f.operation
  WHERE o.run = :run AND o.state = 'planned' AND g.state = 'planned' AND c.gain = 1 AND g.id <> o.id)
"""


def _apply_chunk(
    database: Database, run: Run, query: str, platforms: Sequence[str], now: str, *, after: int
) -> tuple[int, int]:
    """Apply some operations in one transaction; return how many were looked at, and the last of them."""
    names: dict[str, Any] = {
        "run": run.id, "enterprise": run.enterprise, "now": now, "most": CHUNK, "after": after
    }  # fmt: skip
    with database.transaction() as conn:
        conn.execute(_CHUNK)
        conn.execute("DELETE FROM temp.chunk")
        count = conn.execute(query, names).rowcount
        if count <= 0:
            return 0, after
        low, high = conn.execute("SELECT MIN(operation), MAX(operation) FROM temp.chunk").fetchone()
        needed = _needed(conn, low, high)
        for needs, statement in _STALE:
            for operation, message in dict(conn.execute(statement)).items() if needed & set(needs) else ():
                detain(conn, operation, "stale", message, now)
                conn.execute("DELETE FROM temp.chunk WHERE operation = ?", (operation,))
        for need, statement in _APPLY:
            if need in needed:
                conn.execute(statement, {**names, "low": low, "high": high})
        for platform in platforms:
            conn.execute(_WANT, (platform,))
        conn.execute(
            "UPDATE operations SET state = 'applied', changed_at = ? WHERE id IN (SELECT operation FROM temp.chunk)",
            (now,),
        )
    return count, high


def _needed(conn: sqlite3.Connection, low: int, high: int) -> set[str]:
    """Return which of the statements have anything to do for this chunk."""
    needed: set[str] = set()
    rows = conn.execute(
        "SELECT kind, link_action, MAX(touches AND NOT state_touched), MAX(state_touched), MAX(undoes IS NOT NULL)"
        " FROM temp.chunk GROUP BY kind, link_action"
    )
    for kind, action, touches, state, undoes in rows:
        needed |= {kind, action}
        needed |= {
            word for word, there in (("touch", touches), ("state", state), ("undoes", undoes)) if there
        }
    rows = conn.execute("SELECT DISTINCT gain FROM temp.claims WHERE operation BETWEEN ? AND ?", (low, high))
    needed |= {"gains" if gain else "frees" for (gain,) in rows}
    return needed


def detain(conn: sqlite3.Connection, operation: int, code: str, message: str, now: str) -> None:
    """Detain one operation, saying why beside what was said before."""
    row = conn.execute("SELECT reasons FROM operations WHERE id = ?", (operation,)).fetchone()
    reasons = [*json.loads(row[0] or "[]"), [code, None, message, "detained"]]
    conn.execute(
        "UPDATE operations SET state = 'detained', reasons = ?, changed_at = ? WHERE id = ?",
        (json.dumps(reasons, ensure_ascii=False), now, operation),
    )


def end(database: Database, run: Run, now: str) -> Run:
    """End a run that has nothing planned any more: cursor, sizes and trust are stored with it."""
    with database.transaction() as conn:
        states = dict(conn.execute(
            "SELECT state, COUNT(*) FROM operations WHERE run = ? GROUP BY state", (run.id,)
        ).fetchall())  # fmt: skip
        counts = {**run.counts, **{f"{state}_operations": count for state, count in states.items()}}
        conn.execute(
            "UPDATE runs SET state = 'ended', ended_at = ?, counts = ? WHERE id = ?",
            (now, json.dumps(counts), run.id),
        )
        if run.kind == "sync":
            _trust(conn, run, now)
    ended = run_of(database, run.id)
    assert ended is not None  # noqa: S101 - it was just written
    return ended


def _trust(conn: sqlite3.Connection, run: Run, now: str) -> None:
    if "size" in run.counts:
        row = conn.execute("SELECT sizes FROM connections WHERE id = ?", (run.connection,)).fetchone()
        agreed = run.approved is not None and "source-shrunk" in run.approved["overrides"]
        sizes = [*([] if agreed else json.loads(row[0])), run.counts["size"]][-5:]
        conn.execute("UPDATE connections SET sizes = ? WHERE id = ?", (json.dumps(sizes), run.connection))
    if run.approved:
        conn.execute(
            "UPDATE links SET missing_since = COALESCE(missing_since, ?), reads_missed = MAX(reads_missed, 1)"
            " WHERE id IN (SELECT link FROM operations WHERE run = ? AND state IN ('waiting','detained')"
            "   AND link_action = 'end')",
            (run.planned_at, run.id),
        )
    conn.execute(
        "UPDATE connections SET cursor = ?, scope = ?, trusted_since = COALESCE(trusted_since, ?) WHERE id = ?",
        (run.cursor, run.scope, now, run.connection),
    )


def _remember_claims(database: Database, run: Run, vocabulary: Vocabulary) -> None:
    """Work out the keys that a run's operations exchange, unless it was planned on this very connection."""
    conn = database.conn
    conn.execute("CREATE TEMP TABLE IF NOT EXISTS claims_of (run INTEGER PRIMARY KEY)")
    if conn.execute("SELECT 1 FROM temp.claims_of WHERE run = ?", (run.id,)).fetchone():
        return
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS claims (operation INTEGER, attribute TEXT, folded TEXT, gain INTEGER)"
    )
    conn.execute("CREATE INDEX IF NOT EXISTS temp.claims_operation ON claims (operation)")
    conn.execute("DELETE FROM temp.claims")
    conn.execute("DELETE FROM temp.claims_of")
    rows = conn.execute(
        "SELECT o.id, o.before, o.after, a.attributes FROM operations o LEFT JOIN accounts a ON a.id = o.account"
        " WHERE o.run = ? AND o.state = 'planned'",
        (run.id,),
    )
    for operation, before, after, attributes in rows.fetchall():
        gains, frees = claims_of(texts(before), texts(after), texts(attributes), vocabulary)
        conn.executemany("INSERT INTO temp.claims VALUES (?,?,?,1)", [(operation, *one) for one in gains])
        conn.executemany("INSERT INTO temp.claims VALUES (?,?,?,0)", [(operation, *one) for one in frees])
    conn.execute("INSERT INTO temp.claims_of VALUES (?)", (run.id,))


def _detain_contested(database: Database, run: Run, now: str) -> None:
    """Detain what wants a key that another account holds and does not let go in this run."""
    query = """
      SELECT c.operation, c.attribute || ' ' || c.folded || ' belongs to account ' || k.account
      FROM temp.claims c JOIN operations o ON o.id = c.operation
        JOIN keys k ON k.attribute = c.attribute AND k.folded = c.folded AND k.enterprise = ? AND k.releasing = 0
      WHERE o.run = ? AND o.state = 'planned' AND c.gain = 1 AND k.account <> o.account AND NOT EXISTS
        (SELECT 1 FROM temp.claims f JOIN operations g ON g.id = f.operation WHERE f.gain = 0
          AND f.attribute = c.attribute AND f.folded = c.folded AND g.account = k.account
          AND g.run = o.run AND g.state = 'planned')
    """
    conn = database.conn
    if not conn.execute("SELECT 1 FROM temp.claims WHERE gain = 1 LIMIT 1").fetchone():
        return
    conn.execute("CREATE INDEX IF NOT EXISTS temp.claims_key ON claims (attribute, folded)")
    while True:
        contested = dict(conn.execute(query, (run.enterprise, run.id)).fetchall())
        if not contested:
            return
        with database.transaction():
            for operation, message in contested.items():
                detain(conn, operation, "key_taken", message, now)
