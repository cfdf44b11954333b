"""The life of a run: reading -> planned -> held | applying -> ended, or failed, or superseded."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import SyncdError
from ..model import Objection
from .contesting import detain
from .database import Database
from .earlier import supersede_outdated
from .settling import Settled
from .staging import Staging


class Run(NamedTuple):
    """One row of the journal."""

    id: int
    connection: int | None
    enterprise: str
    kind: str
    mode: str
    state: str
    actor: str
    why: str | None
    started_at: str
    planned_at: str | None
    ended_at: str | None
    cursor: str | None
    scope: str | None
    plan_hash: str | None
    entries: int
    unchanged: int
    counts: dict[str, int]
    objections: tuple[Objection, ...]
    approved: dict[str, Any] | None
    undoes: int | None
    same_as: int | None
    error: str | None


class Connection(NamedTuple):
    """A configured source, or what is left of one."""

    id: int
    name: str
    enterprise: str
    type: str
    cursor: str | None
    scope: str | None
    sizes: tuple[int, ...]
    trusted_since: str | None
    retired_at: str | None


_RUN = """id, connection, enterprise, kind, mode, state, actor, why, started_at, planned_at, ended_at, cursor, scope,
  plan_hash, entries, unchanged, counts, objections, approved, undoes, same_as, error"""
_CONNECTION = "id, name, enterprise, type, cursor, scope, sizes, trusted_since, retired_at"


def connection_of(
    database: Database, name: str, enterprise: str, kind: str, formerly: str | None = None
) -> Connection:
    """Return the row of a configured connection, made or renamed if need be."""
    conn = database.conn
    found = find_connection(database, name)
    if found is None and formerly is not None and find_connection(database, formerly) is not None:
        with database.transaction():
            conn.execute(
                "UPDATE connections SET name = ?, formerly = ? WHERE name = ?", (name, formerly, formerly)
            )
        found = find_connection(database, name)
    if found is None:
        with database.transaction():
            conn.execute(
                "INSERT INTO connections (name, enterprise, type) VALUES (?,?,?)", (name, enterprise, kind)
            )
        found = find_connection(database, name)
    assert found is not None  # noqa: S101 - it was just made
    if found.enterprise != enterprise:
        raise SyncdError(
            f"source {name} belonged to enterprise {found.enterprise} and is now configured for {enterprise}; "
            f"retire it there first (syncd retire {name}), or give it another name"
        )
    return found


def find_connection(database: Database, name: str) -> Connection | None:
    """Return a connection by its name, or None."""
    row = database.conn.execute(f"SELECT {_CONNECTION} FROM connections WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    *head, sizes, trusted_since, retired_at = row
    return Connection._make([*head, tuple(json.loads(sizes)), trusted_since, retired_at])


def run_of(database: Database, number: int) -> Run | None:
    """Return one run, or None."""
    row = database.conn.execute(f"SELECT {_RUN} FROM runs WHERE id = ?", (number,)).fetchone()
    return None if row is None else _run(row)


def runs(database: Database, where: str = "1", values: Sequence[Any] = (), limit: int = 50) -> list[Run]:
    """Return runs, the newest first."""
    query = f"SELECT {_RUN} FROM runs WHERE {where} ORDER BY id DESC LIMIT ?"
    return [_run(row) for row in database.conn.execute(query, (*values, limit))]


def _run(row: Sequence[Any]) -> Run:
    *head, counts, objections, approved, undoes, same_as, error = row
    return Run._make(
        [
            *head,
            json.loads(counts),
            tuple(Objection(*one) for one in json.loads(objections)),
            None if approved is None else json.loads(approved),
            undoes,
            same_as,
            error,
        ]
    )


def begin(
    database: Database,
    *,
    connection: int | None,
    enterprise: str,
    kind: str,
    mode: str,
    actor: str,
    now: str,
    why: str | None = None,
    undoes: int | None = None,
) -> int:
    """Start a run and return its number; it is durable when something is planned."""
    with database.hurried(), database.transaction() as conn:
        cursor = conn.execute(
            "INSERT INTO runs (connection, enterprise, kind, mode, state, actor, started_at, why, undoes)"
            " VALUES (?,?,?,?,'reading',?,?,?,?)",
            (connection, enterprise, kind, mode, actor, now, why, undoes),
        )
    return int(cursor.lastrowid or 0)


def read_as(database: Database, run: int, mode: str, why: str | None = None) -> None:
    """Begin the reading of a run, in full or incrementally, from nothing; ``why`` it is full."""
    with database.hurried(), database.transaction() as conn:
        conn.execute("DELETE FROM operations WHERE run = ?", (run,))
        conn.execute("DELETE FROM problems WHERE run = ?", (run,))
        conn.execute("UPDATE runs SET mode = ?, why = ? WHERE id = ?", (mode, why, run))


def last_full_read(database: Database, connection: int) -> str | None:
    """Return when the last full read that came to its end began."""
    row = database.conn.execute(
        "SELECT started_at FROM runs WHERE connection = ? AND kind = 'sync' AND mode = 'full' AND state = 'ended'"
        " ORDER BY id DESC LIMIT 1",
        (connection,),
    ).fetchone()
    return None if row is None else str(row[0])


def fail(database: Database, run: int, error: str, now: str) -> None:
    """End a run that could not be planned: nothing of what it read is kept."""
    with database.transaction() as conn:
        conn.execute(
            "DELETE FROM operations WHERE run = ? AND (SELECT state FROM runs WHERE id = run) = 'reading'",
            (run,),
        )
        conn.execute(
            "UPDATE runs SET state = 'failed', error = ?, ended_at = ? WHERE id = ? AND state = 'reading'",
            (error, now, run),
        )


BEGUN = "state IN ('reading','planned','held','applying')"
"""What the index ``runs_open`` says, word for word: SQLite takes the index for nothing narrower by itself."""
_OPEN = f"{BEGUN} AND state <> 'reading'"


def clean_up(database: Database, now: str, connection: int | None = None) -> list[int]:
    """Fail the runs (of a connection, if one is given) that a killed process left while reading; return their numbers."""
    rows = database.conn.execute(
        f"SELECT id FROM runs WHERE {BEGUN} AND state = 'reading' AND (:connection IS NULL OR connection = :connection)",
        {"connection": connection},
    ).fetchall()
    for (run,) in rows:
        fail(database, run, "the process ended while the source was being read", now)
    return [run for (run,) in rows]


def open_run(database: Database, connection: int | None) -> Run | None:
    """Return the connection's run that is planned, held or being applied, if there is one."""
    found = runs(database, f"connection IS ? AND {_OPEN}", (connection,), 1)
    return found[0] if found else None


def ready(
    staging: Staging,
    settled: Settled,
    objections: Sequence[Objection],
    counts: Mapping[str, int],
    *,
    cursor: str | None,
    scope: str,
    now: str,
) -> Run:
    """End the reading of a run: planned, held, or ended because the very same plan is open already.

    All in one transaction: what was open is superseded in the moment in which this one is ready.
    """
    database, run = staging.database, staging.run
    held = any(one.scope == "run" for one in objections)
    with database.transaction() as conn:
        others = runs(database, f"connection IS ? AND id <> ? AND {_OPEN}", (staging.connection, run), -1)
        old = next((one for one in others if _is_same(one, settled, objections, scope)), None)
        detain(staging, objections)
        _refresh(staging, settled, held=held, now=now)
        if old is not None:
            conn.execute("DELETE FROM operations WHERE run = ?", (run,))
            state, same_as = "ended", old.id
        else:
            state, same_as = ("held" if held else "planned"), None
            for other in others:
                supersede(conn, other.id, now)
            supersede_outdated(staging, now, complete=settled.complete)
        conn.execute(
            "UPDATE runs SET state = ?, planned_at = ?, ended_at = ?, cursor = ?, scope = ?, plan_hash = ?,"
            " entries = ?, unchanged = ?, counts = ?, objections = ?, same_as = ? WHERE id = ?",
            (
                state, now, now if same_as else None, cursor, scope,
                settled.plan_hash, counts.get("entries", 0), staging.sightings.unchanged, json.dumps(counts),
                json.dumps(objections), same_as, run,
            ),
        )  # fmt: skip
    ended = run_of(database, same_as or run)
    assert ended is not None  # noqa: S101 - it was just written
    return ended


def _is_same(old: Run, settled: Settled, objections: Sequence[Objection], scope: str) -> bool:
    """Say whether an open run is this very plan, of the same source, judged in the same way."""
    codes = ({one.code for one in old.objections}, {one.code for one in objections})
    return (
        old.kind == "sync"
        and old.plan_hash == settled.plan_hash
        and old.scope == scope
        and codes[0] == codes[1]
    )


def ready_asked(
    staging: Staging,
    plan_hash: str,
    objections: Sequence[Objection],
    counts: Mapping[str, int],
    *,
    origins: Sequence[int],
    now: str,
    decide: Callable[[int], None] | None = None,
) -> Run:
    """End the planning of a run that a person asked for; what it repeats is superseded by it.

    ``decide`` records, in the same transaction, what was decided with it, unless the run is held.
    """
    held = any(one.scope == "run" for one in objections)
    with staging.database.transaction() as conn:
        detain(staging, objections)
        conn.executemany(
            "UPDATE operations SET state = 'superseded', changed_at = ? WHERE id = ?",
            ((now, origin) for origin in origins),
        )
        conn.execute(
            "UPDATE runs SET state = ?, planned_at = ?, plan_hash = ?, counts = ?, objections = ? WHERE id = ?",
            (
                "held" if held else "planned",
                now,
                plan_hash,
                json.dumps(counts),
                json.dumps(objections),
                staging.run,
            ),
        )
        if decide is not None and not held:
            decide(staging.run)
    ready = run_of(staging.database, staging.run)
    assert ready is not None  # noqa: S101 - it was just written
    return ready


def supersede(conn: sqlite3.Connection, run: int, now: str) -> None:
    """Replace a run that was never applied; what it detained stays open until a plan differs from it."""
    conn.execute(
        "UPDATE operations SET state = 'superseded', changed_at = ? WHERE run = ? AND state = 'planned'",
        (now, run),
    )
    conn.execute("UPDATE runs SET state = 'superseded', ended_at = ? WHERE id = ?", (now, run))


def _refresh(staging: Staging, settled: Settled, *, held: bool, now: str) -> None:
    """Keep the books of the links: who is back, who is missing, whose fingerprint alone is new."""
    conn = staging.conn
    rows = conn.execute(
        "SELECT id FROM links WHERE connection = ? AND missing_since IS NOT NULL AND gone_at IS NULL",
        (staging.connection,),
    ).fetchall()
    back = [(link,) for (link,) in rows if staging.sightings.has(link)]
    conn.executemany("UPDATE links SET missing_since = NULL, reads_missed = 0 WHERE id = ?", back)
    # The plus keeps SQLite from reading all links to look each up among the few that were touched.
    conn.execute(
        "UPDATE links SET fingerprint = t.fingerprint, warnings = t.warnings FROM temp.touched t"
        " WHERE +t.link = links.id"
    )
    if not held:
        conn.executemany(
            "UPDATE links SET missing_since = COALESCE(missing_since, ?), reads_missed = reads_missed + 1 WHERE id = ?",
            ((now, link) for link in settled.missing),
        )
