"""Applying a plan: account change, operation state and wanted revision in one transaction (law 5).

All statements are set-based over ``temp.chunk``. A killed process leaves whole chunks applied and the
rest ``planned``; applying the run again goes on from there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ..errors import SyncdError
from ..model import Licences, Vocabulary
from ..planning import claims_of
from ..services import Shared
from .contesting import ONE_MORE
from .database import Database
from .layers import outdated_since
from .licences import short_of
from .owners import held_by, held_elsewhere
from .renumbering import renumbered
from .retirement import retire_connection
from .runs import Run, run_of
from .sealed import Seal, drop_staged, make_missing
from .sharing import taken_elsewhere
from .stale import STALE
from .standings import texts
from .statements import APPLY, CONTESTED, CREATE, EXCHANGING, NEXT, WANT
from .telephones import alike

NOT_COUNTED = Licences()

CHUNK = 5000
"""How many operations one transaction applies."""


def apply(
    database: Database,
    run: Run,
    *,
    platforms: Sequence[str],
    sources: Sequence[str],
    vocabulary: Vocabulary,
    clock: Callable[[], str],
    beat: Callable[[int], None] | None = None,
    seal: Seal | None = None,
    licences: Licences = NOT_COUNTED,
    shared: Sequence[Shared] = (),
) -> Run:
    """Apply every planned operation of a run that is ``planned``, approved, or left ``applying``.

    ``sources`` are those of the enterprise, in the order of their precedence. What needs one of the
    ``licences`` that are not free any more is detained, and so is what wants a key that an account of another
    enterprise got meanwhile on a platform ``shared`` with it. ``seal`` makes the secrets that
    new accounts speak of, in the transaction that applies them.
    Raises SyncdError for a run in another state, StoreError when the database cannot be written.
    """
    run = run_of(database, run.id) or run
    if run.state not in ("planned", "applying") and not (run.state == "held" and run.approved):
        raise SyncdError(f"run {run.id} is {run.state} and cannot be applied")
    conn = database.conn
    with database.hurried(), database.transaction():
        conn.execute("UPDATE runs SET state = 'applying' WHERE id = ?", (run.id,))
    if not _just_planned(conn, run):
        _detain_outdated(database, run, sources, clock())
        _remember_claims(conn, run, vocabulary)
    _detain_contested(database, run, shared, clock())
    while _detain_short(database, run, licences, clock()):
        _detain_contested(database, run, shared, clock())  # what is detained lets go of no key
    make = None if seal is None else partial(make_missing, names=vocabulary.secrets, seal=seal)
    done = last = 0
    with database.hurried():
        if conn.execute("SELECT 1 FROM temp.claims WHERE gain = 0 LIMIT 1").fetchone():
            done, _ = _apply_chunk(database, run, EXCHANGING, platforms, make, clock(), after=0)
        while True:
            count, last = _apply_chunk(database, run, NEXT, platforms, make, clock(), after=last)
            if not count:
                break
            done += count
            if beat is not None:
                beat(done)
    return end(database, run, clock())


def _apply_chunk(
    database: Database,
    run: Run,
    query: str,
    platforms: Sequence[str],
    make: Callable[..., None] | None,
    now: str,
    *,
    after: int,
) -> tuple[int, int]:
    """Apply some operations in one transaction; return how many were looked at, and the last of them."""
    names: dict[str, Any] = {
        "run": run.id, "enterprise": run.enterprise, "now": now, "most": CHUNK, "after": after
    }  # fmt: skip
    with database.transaction() as conn:
        conn.execute(CREATE)
        conn.execute("DELETE FROM temp.chunk")
        count = conn.execute(query, names).rowcount
        if count <= 0:
            return 0, after
        low, high = conn.execute("SELECT MIN(operation), MAX(operation) FROM temp.chunk").fetchone()
        needed = _needed(conn, low, high)
        stale = [
            _leave_out(conn, "stale", conn.execute(statement), now)
            for needs, statement in STALE
            if needed & set(needs)
        ]
        while any(stale) and _leave_out(conn, "key_taken", _contested(conn, CONTESTED, names), now):
            pass
        for need, statement in APPLY:
            if need in needed:
                conn.execute(statement, {**names, "low": low, "high": high})
        if make is not None:
            make(conn, now=now)
        for platform in platforms:
            conn.execute(WANT, (platform,))
        conn.execute(
            "UPDATE operations SET state = 'applied', changed_at = ? WHERE id IN (SELECT operation FROM temp.chunk)",
            (now,),
        )
    return count, high


def _leave_out(conn: sqlite3.Connection, code: str, found: Iterable[tuple[int, str]], now: str) -> int:
    """Detain operations instead of applying them with their chunk; return how many."""
    messages = dict(found)
    for operation, message in messages.items():
        detain(conn, operation, code, message, now)
        conn.execute("DELETE FROM temp.chunk WHERE operation = ?", (operation,))
    return len(messages)


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
    reason = json.dumps([code, None, message, "detained"], ensure_ascii=False)
    conn.execute(
        f"UPDATE operations SET state = 'detained', {ONE_MORE}, changed_at = ? WHERE id = ?",
        (reason, now, operation),
    )


def end(database: Database, run: Run, now: str) -> Run:
    """End a run that has nothing planned any more, and what goes with it: cursor, sizes, trust, retirement."""
    with database.transaction() as conn:
        states, applied = _results(conn, run.id)
        counts = {
            **run.counts,
            **{f"{state}_operations": count for state, count in states.items()},
            **{f"applied_{kind}": count for kind, count in applied.items()},
        }
        if applied.keys() & {"update", "enable"}:
            changed = {one.account for one in renumbered(conn, run.id)}
            counts |= {"extensions_changed": len(changed)} if changed else {}
        conn.execute(
            "UPDATE runs SET state = 'ended', ended_at = ?, counts = ? WHERE id = ?",
            (now, json.dumps(counts), run.id),
        )
        if run.kind == "sync":
            _trust(conn, run, now, agreed=run.approved is not None or "applied" in states)
        if run.kind == "retire":
            retire_connection(conn, run, now)
        drop_staged(conn)
    ended = run_of(database, run.id)
    assert ended is not None  # noqa: S101 - it was just written
    return ended


def _results(conn: sqlite3.Connection, run: int) -> tuple[dict[str, int], dict[str, int]]:
    """Count a run's operations by state, and those that were applied by kind."""
    states: dict[str, int] = {}
    applied: dict[str, int] = {}
    rows = conn.execute(
        "SELECT state, kind, COUNT(*) FROM operations WHERE run = ? GROUP BY state, kind", (run,)
    )
    for state, kind, count in rows:
        states[state] = states.get(state, 0) + count
        if state == "applied":
            applied[kind] = count
    return states, applied


def _trust(conn: sqlite3.Connection, run: Run, now: str, *, agreed: bool) -> None:
    """Store what the next read starts from; ``agreed``: the first plan of the connection was accepted."""
    if "size" in run.counts:
        row = conn.execute("SELECT sizes FROM connections WHERE id = ?", (run.connection,)).fetchone()
        usual = run.approved is not None and "source-shrunk" in run.approved["overrides"]
        sizes = [*([] if usual else json.loads(row[0])), run.counts["size"]][-5:]
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
        (run.cursor, run.scope, now if agreed else None, run.connection),
    )


def _just_planned(conn: sqlite3.Connection, run: Run) -> bool:
    """Say whether a run is the last that was planned on this very connection, and no other was applied since."""
    conn.execute("CREATE TEMP TABLE IF NOT EXISTS claims_of (run INTEGER PRIMARY KEY)")
    return conn.execute("SELECT 1 FROM temp.claims_of WHERE run = ?", (run.id,)).fetchone() is not None


def _detain_outdated(database: Database, run: Run, sources: Sequence[str], now: str) -> None:
    """Detain what would not lead to what the layers of its account come to by now."""
    found = outdated_since(database, run, sources)
    with database.transaction() as conn:
        for operation, message in found.items():
            detain(conn, operation, "stale", message, now)


def _detain_short(database: Database, run: Run, licences: Licences, now: str) -> int:
    """Detain what needs a licence that is not free any more; return how many operations."""
    short = short_of(database, run.id, run.planned_at, licences)
    if short:
        with database.transaction() as conn:
            for operation, need in short.items():
                detain(conn, operation, need.code, need.text, now)
    return len(short)


def _remember_claims(conn: sqlite3.Connection, run: Run, vocabulary: Vocabulary) -> None:
    """Work out the keys that a run's operations exchange."""
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS claims (operation INTEGER, attribute TEXT, folded TEXT, gain INTEGER)"
    )
    conn.execute("CREATE INDEX IF NOT EXISTS temp.claims_operation ON claims (operation)")
    conn.execute("DELETE FROM temp.claims")
    conn.execute("DELETE FROM temp.claims_of")
    rows = conn.execute(
        "SELECT o.id, o.before, o.after, a.attributes, a.deleted_at IS NOT NULL"
        " FROM operations o LEFT JOIN accounts a ON a.id = o.account WHERE o.run = ? AND o.state = 'planned'",
        (run.id,),
    )
    conn.executemany("INSERT INTO temp.claims VALUES (?,?,?,?)", _claims(rows, vocabulary))
    conn.execute("INSERT INTO temp.claims_of VALUES (?)", (run.id,))


def _claims(rows: Iterable[tuple[Any, ...]], vocabulary: Vocabulary) -> Iterator[tuple[int, str, str, int]]:
    for operation, before, after, attributes, deleted in rows:
        told = texts(before), texts(after), texts(attributes)
        gains, frees = claims_of(*told, vocabulary, deleted=bool(deleted))
        yield from ((operation, *one, 1) for one in gains)
        yield from ((operation, *one, 0) for one in frees)


def _detain_contested(database: Database, run: Run, shared: Sequence[Shared], now: str) -> None:
    """Detain what wants a key that another account holds and does not let go in this run."""
    query = f"""
      SELECT c.operation, k.attribute, c.folded, k.account
      FROM temp.claims c JOIN operations o ON o.id = c.operation
        JOIN keys k ON k.attribute IN {alike("c.attribute")} AND k.folded = c.folded AND k.enterprise = ?
          AND k.releasing = 0
      WHERE o.run = ? AND o.state = 'planned' AND c.gain = 1 AND k.account <> o.account AND NOT EXISTS
        (SELECT 1 FROM temp.claims f JOIN operations g ON g.id = f.operation WHERE f.gain = 0
          AND f.attribute = k.attribute AND f.folded = c.folded AND g.account = k.account
          AND g.run = o.run AND g.state = 'planned')
    """
    conn = database.conn
    gained = conn.execute("SELECT 1 FROM temp.claims WHERE gain = 1 LIMIT 1").fetchone()
    if gained is None and not shared:
        return
    conn.execute("CREATE INDEX IF NOT EXISTS temp.claims_key ON claims (attribute, folded)")
    while True:
        contested = dict(_contested(conn, query, (run.enterprise, run.id)))
        for one in taken_elsewhere(conn, run.id, run.enterprise, shared):
            contested[one.operation] = held_elsewhere(conn, one)
        if not contested:
            return
        with database.transaction():
            for operation, message in contested.items():
                detain(conn, operation, "key_taken", message, now)


def _contested(conn: sqlite3.Connection, query: str, names: Any) -> list[tuple[int, str]]:
    return [(row[0], held_by(conn, *row)) for row in conn.execute(query, names).fetchall()]
