"""What is looked at each minute: every question goes by an index, and none reads a large table whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .database import OPEN, Database

MODES = ("full", "incremental")
"""How a source is read."""

KINDS = ("add", "update", "disable", "enable", "delete")
"""What an operation can do."""

_HEARD = 200
"""Of so many of the oldest deliveries the messages are looked at, to find out how their platform is."""


class Known(NamedTuple):
    """A connection that was not retired; ``entries`` is the size of its last complete read."""

    id: int
    name: str
    enterprise: str
    entries: int | None


class Latest(NamedTuple):
    """A connection's last read that is over or has its plan, whatever became of that."""

    run: int
    mode: str
    state: str
    started_at: str
    problems: int
    error: str | None


class Open(NamedTuple):
    """A run that is not over."""

    run: int
    connection: str | None
    enterprise: str
    kind: str
    state: str
    since: str
    objections: tuple[str, ...]
    changes: int


class Counted(NamedTuple):
    """What became of some runs of one connection: how many there were, and what they applied, by kind."""

    connection: str
    state: str
    runs: tuple[int, ...]
    applied: tuple[int, ...]


def connections(database: Database) -> list[Known]:
    """Return the connections that were not retired, by name."""
    rows = database.conn.execute(
        "SELECT id, name, enterprise, json_extract(sizes, '$[#-1]') FROM connections"
        " WHERE retired_at IS NULL ORDER BY name"
    )
    return [Known._make(row) for row in rows]


def latest(database: Database, connection: int) -> Latest | None:
    """Return a connection's last read, but for one that is under way, if there ever was one."""
    last = "FROM runs WHERE kind = 'sync' AND connection = :connection AND mode = '{}' AND state <> 'reading'"
    newest = " UNION ALL ".join(
        f"SELECT * FROM (SELECT id {last.format(mode)} ORDER BY id DESC LIMIT 1)" for mode in MODES
    )
    row = database.conn.execute(
        "SELECT id, mode, state, started_at, COALESCE(json_extract(counts, '$.problems'), 0), error"
        f" FROM runs WHERE id = (SELECT MAX(id) FROM ({newest}))",
        {"connection": connection},
    ).fetchone()
    return None if row is None else Latest._make(row)


def last_read(database: Database, connection: int, mode: str) -> str | None:
    """Return when the last read that came to its end did so, whatever the guards said of it."""
    row = database.conn.execute(
        "SELECT planned_at FROM runs WHERE kind = 'sync' AND connection = ? AND mode = ?"
        " AND planned_at IS NOT NULL ORDER BY id DESC LIMIT 1",
        (connection, mode),
    ).fetchone()
    return None if row is None else str(row[0])


def last_success(database: Database, connection: int, mode: str) -> str | None:
    """Return when the last read ended whose plan was applied (or had nothing to apply)."""
    row = database.conn.execute(
        "SELECT ended_at FROM runs WHERE kind = 'sync' AND connection = ? AND mode = ?"
        " AND state = 'ended' AND same_as IS NULL ORDER BY id DESC LIMIT 1",
        (connection, mode),
    ).fetchone()
    return None if row is None else str(row[0])


def open_runs(database: Database) -> list[Open]:
    """Return the runs that are not over, the oldest first."""
    rows = database.conn.execute(
        "SELECT r.id, c.name, r.enterprise, r.kind, r.state, COALESCE(r.planned_at, r.started_at), r.objections,"
        " r.counts FROM runs r INDEXED BY runs_open LEFT JOIN connections c ON c.id = r.connection"
        " WHERE r.state IN ('reading','planned','held','applying') ORDER BY r.id"
    )
    return [_open(*row) for row in rows]


def _open(
    run: int,
    name: str | None,
    enterprise: str,
    kind: str,
    state: str,
    since: str,
    objections: str,
    counts: str,
) -> Open:
    codes = tuple(sorted({one[0] for one in json.loads(objections) if one[1] == "run"}))
    told = json.loads(counts)
    changes = sum(told.get(word, 0) for word in ("add", "update", "remove"))
    return Open(run, name, enterprise, kind, state, since, codes, changes)


def open_operations(database: Database) -> dict[tuple[str | None, str], int]:
    """Count what is detained, failed or waiting, by connection (None: of no source) and state."""
    rows = database.conn.execute(
        "SELECT c.name, o.state, o.count FROM (SELECT connection, state, COUNT(*) AS count"
        f" FROM operations INDEXED BY operations_open WHERE {OPEN} GROUP BY connection, state) o"
        " LEFT JOIN connections c ON c.id = o.connection"
    )
    return {(name, state): count for name, state, count in rows}


def missing(database: Database) -> dict[str, int]:
    """Count the entries that a connection's reads missed and whose time has not come, by its name."""
    rows = database.conn.execute(
        "SELECT c.name, l.count FROM (SELECT connection, COUNT(*) AS count FROM links INDEXED BY links_leaving"
        " WHERE missing_since IS NOT NULL AND gone_at IS NULL GROUP BY connection) l"
        " JOIN connections c ON c.id = l.connection"
    )
    return dict(rows.fetchall())


def undelivered(database: Database) -> dict[tuple[str, str], tuple[int, str | None]]:
    """Count what platforms do not have yet, by platform and state, and say when the oldest of it was wanted."""
    rows = database.conn.execute(
        "SELECT r.platform, r.state, r.count, o.changed_at FROM"
        " (SELECT platform, state, COUNT(*) AS count, MIN(wanted) AS first FROM remotes INDEXED BY remotes_due"
        "  WHERE state <> 'done' GROUP BY platform, state) r LEFT JOIN operations o ON o.id = r.first"
    )
    return {(platform, state): (count, since) for platform, state, count, since in rows}


def messages(database: Database, platform: str) -> Iterator[str]:
    """Yield what was last heard of some of a platform's deliveries that are tried again by themselves."""
    rows = database.conn.execute(
        "SELECT state, message FROM remotes INDEXED BY remotes_due WHERE platform = ? AND state <> 'done'"
        f" ORDER BY wanted LIMIT {_HEARD}",
        (platform,),
    )
    return (message for state, message in rows if state != "failed" and message is not None)


def counted(database: Database, after: int, again: Iterable[int]) -> list[Counted]:
    """Count the runs behind ``after`` and those to look at ``again``, by connection ("" for none) and state.

    What they applied is in the order of KINDS.
    """
    sums = ", ".join(f"COALESCE(SUM(json_extract(r.counts, '$.applied_{kind}')), 0)" for kind in KINDS)
    rows = database.conn.execute(
        f"SELECT COALESCE(c.name, ''), r.state, json_group_array(r.id), {sums} FROM runs r"
        " LEFT JOIN connections c ON c.id = r.connection"
        " WHERE r.id > ? OR r.id IN (SELECT value FROM json_each(?)) GROUP BY 1, 2",
        (after, json.dumps(sorted(again))),
    )
    return [
        Counted(name, state, tuple(json.loads(ids)), tuple(applied)) for name, state, ids, *applied in rows
    ]
