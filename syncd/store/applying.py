"""Applying a plan: account change, operation state and wanted revision in one transaction (law 5).

All statements are set-based over ``temp.chunk``. A killed process leaves whole chunks applied and the
rest ``planned``; applying the run again goes on from there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence

from ..errors import SyncdError
from ..model import Vocabulary
from ..planning import claims_of
from .database import Database
from .runs import Run, run_of
from .standings import texts

CHUNK = 5000
"""How many operations one transaction applies."""

_CURRENT = """CASE b.key WHEN 'disabled_by' THEN a.disabled_by
  WHEN 'deleted' THEN CASE WHEN a.deleted_at IS NULL THEN NULL ELSE 1 END
  ELSE json_extract(a.attributes, '$.' || b.key) END"""

_STALE = f"""
  SELECT o.id, 'account ' || o.account || ' has another ' || group_concat(b.key, ', ') || ' by now'
  FROM temp.chunk c JOIN operations o ON o.id = c.operation JOIN accounts a ON a.id = o.account
    JOIN json_each(o.before) b
  WHERE o.kind <> 'add' AND {_CURRENT} IS NOT b.value GROUP BY o.id
  UNION ALL
  SELECT o.id, 'account ' || o.account || ' does not exist' FROM temp.chunk c
    JOIN operations o ON o.id = c.operation
  WHERE o.kind <> 'add' AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = o.account)
  UNION ALL
  SELECT o.id, o.anchor || ' is linked to account ' || l.account || ' by now' FROM temp.chunk c
    JOIN operations o ON o.id = c.operation
    JOIN links l ON l.connection = o.connection AND l.anchor = o.anchor
  WHERE o.link_action = 'make' OR (o.link_action = 'move' AND l.id <> o.link)
  UNION ALL
  SELECT o.id, 'the link of ' || o.anchor || ' is another by now' FROM temp.chunk c
    JOIN operations o ON o.id = c.operation
  WHERE o.link_action IN ('keep','move','end','drop','restore') AND o.link IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM links l WHERE l.id = o.link AND l.account = o.account)
"""

_APPLY = (
    # What is new: an account is named by the operation that adds it.
    """
    INSERT INTO accounts (id, enterprise, kind, attributes, template, disabled_by, created_at, changed_at)
    SELECT o.account, :enterprise, o.account_kind,
      CASE WHEN instr(o.after, '"disabled_by"') THEN json_remove(o.after, '$.disabled_by') ELSE o.after END,
      o.template, json_extract(o.after, '$.disabled_by'), :now, :now
    FROM temp.chunk c JOIN operations o ON o.id = c.operation WHERE o.kind = 'add'
    """,
    """
    INSERT INTO links (connection, anchor, account, owner, record, enabled, fingerprint)
    SELECT o.connection, o.anchor, o.account, o.owner, o.record, o.enabled, o.fingerprint
    FROM temp.chunk c JOIN operations o ON o.id = c.operation WHERE o.link_action = 'make'
    """,
    # What is touched, and nothing else.
    """
    UPDATE accounts SET
      attributes = json_remove(json_patch(attributes, o.after), '$.disabled_by', '$.deleted'),
      disabled_by = CASE WHEN json_type(o.after, '$.disabled_by') IS NULL THEN disabled_by
        ELSE json_extract(o.after, '$.disabled_by') END,
      deleted_at = CASE WHEN json_type(o.after, '$.deleted') IS NULL THEN deleted_at
        WHEN json_extract(o.after, '$.deleted') THEN :now ELSE NULL END,
      changed_at = :now
    FROM temp.chunk c JOIN operations o ON o.id = c.operation
    WHERE o.account = accounts.id AND o.kind <> 'add' AND o.after <> '{}'
    """,
    """
    UPDATE accounts SET local = CASE o.record WHEN '{}' THEN NULL ELSE o.record END
    FROM temp.chunk c JOIN operations o ON o.id = c.operation
    WHERE o.account = accounts.id AND o.link_action = 'local'
    """,
    """
    UPDATE links SET anchor = o.anchor, record = o.record, enabled = o.enabled, fingerprint = o.fingerprint,
      missing_since = NULL, reads_missed = 0, gone_at = NULL
    FROM temp.chunk c JOIN operations o ON o.id = c.operation
    WHERE o.link = links.id AND o.link_action IN ('keep','move')
    """,
    """
    UPDATE links SET gone_at = :now, missing_since = COALESCE(missing_since, :now), fingerprint = NULL
    FROM temp.chunk c JOIN operations o ON o.id = c.operation
    WHERE o.link = links.id AND o.link_action = 'end'
    """,
    """
    UPDATE links SET record = COALESCE(o.record, links.record), gone_at = NULL, missing_since = NULL, reads_missed = 0
    FROM temp.chunk c JOIN operations o ON o.id = c.operation
    WHERE o.link = links.id AND o.link_action = 'restore'
    """,
    """
    DELETE FROM links WHERE id IN (SELECT o.link FROM temp.chunk c JOIN operations o ON o.id = c.operation
      WHERE o.link_action = 'drop')
    """,
    # Keys: a freed one stays releasing until every remote of its account has confirmed.
    """
    INSERT OR REPLACE INTO keys (attribute, folded, enterprise, releasing, account)
    SELECT f.attribute, f.folded, :enterprise, o.account, o.account
    FROM temp.chunk c JOIN operations o ON o.id = c.operation JOIN temp.claims f ON f.operation = o.id
    WHERE f.gain = 0 AND EXISTS (SELECT 1 FROM remotes r WHERE r.account = o.account)
    """,
    """
    DELETE FROM keys WHERE releasing = 0 AND enterprise = :enterprise AND (attribute, folded, account) IN
      (SELECT f.attribute, f.folded, o.account
       FROM temp.chunk c JOIN operations o ON o.id = c.operation JOIN temp.claims f ON f.operation = o.id
       WHERE f.gain = 0)
    """,
    """
    INSERT OR REPLACE INTO keys (attribute, folded, enterprise, account)
    SELECT f.attribute, f.folded, :enterprise, o.account
    FROM temp.chunk c JOIN operations o ON o.id = c.operation JOIN temp.claims f ON f.operation = o.id
    WHERE f.gain = 1
    """,
    """
    UPDATE operations SET undone_by = o.id FROM temp.chunk c JOIN operations o ON o.id = c.operation
    WHERE operations.id = o.undoes
    """,
)

_WANT = """
  INSERT INTO remotes (platform, account, wanted) SELECT ?, o.account, o.id
  FROM temp.chunk c JOIN operations o ON o.id = c.operation WHERE o.after <> '{}'
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
    if run.state not in ("planned", "applying") and not (run.state == "held" and run.approved):
        raise SyncdError(f"run {run.id} is {run.state} and cannot be applied")
    conn = database.conn
    with database.transaction():
        conn.execute("UPDATE runs SET state = 'applying' WHERE id = ?", (run.id,))
    _remember_claims(database, run, vocabulary)
    _detain_contested(database, run, clock())
    done = 0
    for query in (_EXCHANGING, _NEXT):
        while True:
            count = _apply_chunk(database, run, query, platforms, clock())
            if not count:
                break
            done += count
            if beat is not None:
                beat(done)
    return end(database, run, clock())


_NEXT = """
  INSERT INTO temp.chunk SELECT id FROM operations WHERE run = :run AND state = 'planned' ORDER BY id LIMIT :most
"""
# Operations that hand a key to each other are applied together, however many they are.
_EXCHANGING = """
  INSERT OR IGNORE INTO temp.chunk
  SELECT o.id FROM temp.claims c JOIN operations o ON o.id = c.operation
    JOIN keys k ON k.attribute = c.attribute AND k.folded = c.folded AND k.enterprise = :enterprise
      AND k.releasing = 0
  WHERE o.run = :run AND o.state = 'planned' AND c.gain = 1 AND k.account <> o.account AND :most
  UNION
  SELECT g.id FROM temp.claims c JOIN operations o ON o.id = c.operation
    JOIN temp.claims f ON f.attribute = c.attribute AND f.folded = c.folded AND f.gain = 0
    JOIN operations g ON g.id = f.operation
  WHERE o.run = :run AND o.state = 'planned' AND g.state = 'planned' AND c.gain = 1 AND g.id <> o.id
"""


def _apply_chunk(database: Database, run: Run, query: str, platforms: Sequence[str], now: str) -> int:
    names = {"run": run.id, "enterprise": run.enterprise, "now": now, "most": CHUNK}
    with database.transaction() as conn:
        conn.execute("CREATE TEMP TABLE IF NOT EXISTS chunk (operation INTEGER PRIMARY KEY)")
        conn.execute("DELETE FROM temp.chunk")
        count = conn.execute(query, names).rowcount
        if count <= 0:
            return 0
        for operation, message in conn.execute(_STALE).fetchall():
            detain(conn, operation, "stale", message, now)
            conn.execute("DELETE FROM temp.chunk WHERE operation = ?", (operation,))
        for statement in _APPLY:
            conn.execute(statement, names)
        for platform in platforms:
            conn.execute(_WANT, (platform,))
        conn.execute(
            "UPDATE operations SET state = 'applied', changed_at = ? WHERE id IN (SELECT operation FROM temp.chunk)",
            (now,),
        )
    return count


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
    if run.mode == "full":
        row = conn.execute("SELECT sizes FROM connections WHERE id = ?", (run.connection,)).fetchone()
        sizes = [*json.loads(row[0]), run.entries][-5:]
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
