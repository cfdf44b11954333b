"""A run while its source is being read: the one place where the stream of values becomes rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from ..errors import PluginError
from ..model import (
    Candidates,
    Checkpoint,
    Fault,
    Hidden,
    Numbers,
    Operation,
    Present,
    Problem,
    Record,
    Refused,
    Removed,
    Untouched,
    Vocabulary,
)
from ..planning import encode
from ..services import Shared
from .database import Database
from .sealed import stage_sealed
from .sightings import Sightings
from .standings import Standings

FLUSH = 1000
"""How many operations are written in one transaction."""

INSERT = """
    INSERT INTO operations (id, run, connection, anchor, kind, account, account_kind, link, link_action, record,
      replaced, before, after, template, enabled, owner, fingerprint, state, reasons, digest, seen, gone_at,
      changed_at)
    VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
"""

_TEMPORARY = """
    DROP TABLE IF EXISTS temp.claims;
    CREATE TEMP TABLE claims (operation INTEGER, attribute TEXT, folded TEXT, gain INTEGER);
    CREATE INDEX temp.claims_operation ON claims (operation);
    DROP TABLE IF EXISTS temp.claims_of;
    CREATE TEMP TABLE claims_of (run INTEGER PRIMARY KEY);
    DROP TABLE IF EXISTS temp.touched;
    CREATE TEMP TABLE touched (link INTEGER PRIMARY KEY, fingerprint BLOB, warnings TEXT);
    DROP TABLE IF EXISTS temp.numbers;
    CREATE TEMP TABLE numbers (operation INTEGER, attribute TEXT, pool INTEGER);
    DROP TABLE IF EXISTS temp.removed;
    CREATE TEMP TABLE removed (anchor TEXT PRIMARY KEY);
    DROP TABLE IF EXISTS temp.told;
    CREATE TEMP TABLE told (anchor TEXT PRIMARY KEY);
    DROP TABLE IF EXISTS temp.heeded;
    CREATE TEMP TABLE heeded (anchor TEXT PRIMARY KEY, link INTEGER);
    DROP TABLE IF EXISTS temp.effects;
    CREATE TEMP TABLE effects (platform TEXT, operation INTEGER, effect TEXT);
    DROP TABLE IF EXISTS temp.kept;
    CREATE TEMP TABLE kept (operation INTEGER PRIMARY KEY)
"""


class Staging:
    """The rows of one run in state ``reading``. Nothing of it counts before ``settle`` has ended."""

    def __init__(
        self,
        database: Database,
        run: int,
        connection: int | None,
        enterprise: str,
        vocabulary: Vocabulary,
        shared: Sequence[Shared] = (),
    ) -> None:
        self.database = database
        self.conn: sqlite3.Connection = database.conn
        self.run = run
        self.connection = connection
        self.enterprise = enterprise
        self.vocabulary = vocabulary
        self.shared = shared
        self.sightings = Sightings(self.conn, connection or 0)
        self.standings = Standings(database, connection or 0, enterprise)
        self.checkpoint: Checkpoint | None = None
        self.blind = False
        self.refused: dict[str, int] = {}
        self.problems = 0
        self.warnings = 0
        self.removed = 0
        self.staged = 0
        self.pools: dict[Numbers, int] = {}
        self.left: dict[str | None, int] = {}
        self.seal: Callable[[Hidden], bytes] | None = None
        for statement in _TEMPORARY.split(";"):
            self.conn.execute(statement)
        self.conn.execute("INSERT INTO temp.claims_of VALUES (?)", (run,))

    def candidates(self, match: tuple[str, ...]) -> Callable[[Sequence[Record]], Sequence[Candidates]]:
        """Return the look-up that ``correlate`` calls; it marks the links that it finds as seen.

        It is called before anything is read: whoever returns to find a link left behind is not skipped.
        Every record that was mapped passes it once, so it counts their warnings too.
        """

        def look_up(records: Sequence[Record]) -> Sequence[Candidates]:
            self.warnings += sum(len(record.warnings) for record in records if record.warnings)
            found = self.standings.candidates(records, match, self.vocabulary)
            for record, one in zip(records, found, strict=True):
                if one.left is not None:
                    self.left[record.anchor] = one.left
                link = one.left if one.linked is None else one.linked.link
                if link is not None:
                    self.sightings.see(link)
            return found

        self.sightings.left = self.standings.left_behind(match)
        return look_up

    def stage(self, stream: Iterable[object], now: str, beat: Callable[[int], None] | None = None) -> None:
        """Drain the stream into the database, some thousand rows at a time.

        Raises PluginError if the source goes on after its Checkpoint or yields what is no item.
        """
        operations: list[Operation] = []
        rest: list[object] = []
        for item in stream:
            if self.checkpoint is not None:
                raise PluginError("the source", f"it yielded {item!r} after its Checkpoint")
            if type(item) is Operation:
                operations.append(item)
            elif isinstance(item, Checkpoint):
                self.checkpoint = item
            else:
                rest.append(item)
            if len(operations) + len(rest) >= FLUSH:
                self.write(operations, rest, now)
                operations, rest = [], []
                if beat is not None:
                    beat(self.staged)
        self.write(operations, rest, now)

    def write(self, operations: Sequence[Operation], rest: Sequence[object], now: str) -> list[int]:
        """Write one batch in one transaction; return the ids of its operations."""
        with self.database.transaction() as conn:
            ids = self.add(operations, now)
            self._note(conn, rest)
        return ids

    def add(self, operations: Sequence[Operation], now: str) -> list[int]:
        """Insert operations within the transaction at hand; an account is named by the operation that adds it."""
        rows: list[tuple[Any, ...]] = []
        claims: list[tuple[int, str, str, int]] = []
        numbers: list[tuple[int, str, int]] = []
        secrets: list[tuple[str, bytes]] = []
        number = first = _next_id(self.conn)  # within the transaction: another run may be staging, too
        run, connection = self.run, self.connection
        for one in operations:
            account = one.account if one.account is not None else number
            link = one.link if one.link is not None else self.left.get(one.anchor)
            rows.append((
                number, run, connection, one.anchor, one.kind, account, one.account_kind, link, one.link_action,
                one.record, one.replaced, one.before, one.after, one.template, one.enabled, one.owner,
                one.fingerprint, one.state, one.reasons, one.digest, one.seen, one.gone_at, now,
            ))  # fmt: skip
            if one.secrets and self.seal is not None:
                said = [secret for secret in one.secrets if secret in (one.record or "")]
                secrets += [(secret, self.seal(secret)) for secret in said]
            if one.state == "planned":
                for attribute, folded in one.gains:
                    claims.append((number, attribute, folded, 1))
                for attribute, folded in one.frees:
                    claims.append((number, attribute, folded, 0))
                for attribute, pool in one.allocate.items():
                    numbers.append((number, attribute, self.pools.setdefault(pool, len(self.pools))))
            number += 1
        self.conn.executemany(INSERT, rows)
        self.conn.executemany("INSERT INTO temp.claims VALUES (?,?,?,?)", claims)
        if numbers:
            self.conn.executemany("INSERT INTO temp.numbers VALUES (?,?,?)", numbers)
        if secrets:
            stage_sealed(self.conn, secrets)
        ids = list(range(first, number))
        self.staged += len(ids)
        return ids

    def _note(self, conn: sqlite3.Connection, rest: Sequence[object]) -> None:
        touched: list[tuple[int, bytes | None, str | None]] = []
        anchors: list[str] = []
        for item in rest:
            if isinstance(item, Untouched):
                told = encode(item.warnings) if item.warnings else None
                touched.append((item.link, item.fingerprint, told))
                self._warn(item.warnings, link=item.link)
            elif isinstance(item, Refused):
                self._warn(item.warnings, anchor=item.anchor)
                self.refused[item.kind] = self.refused.get(item.kind, 0) + 1
            elif isinstance(item, Present):
                anchors.append(item.anchor)
            elif isinstance(item, Problem):
                self.problem(item)
                if item.anchor is None:
                    self.blind = True
                else:
                    anchors.append(item.anchor)
            elif isinstance(item, Removed):
                self.removed += 1
                conn.execute("INSERT OR IGNORE INTO temp.removed VALUES (?)", (item.anchor,))
            else:
                raise PluginError(
                    "the source", f"it yielded {type(item).__name__}, which is no item of a read"
                )
        if touched:
            conn.executemany("INSERT OR REPLACE INTO temp.touched VALUES (?,?,?)", touched)
        if anchors:
            conn.executemany("INSERT OR IGNORE INTO temp.told VALUES (?)", [(one,) for one in anchors])
            self.sightings.see_anchors(anchors)

    def problem(self, problem: Problem) -> None:
        """Keep a problem with the run."""
        self.problems += 1
        self.conn.execute(
            "INSERT INTO problems (run, connection, anchor, code, message) VALUES (?,?,?,?,?)",
            (self.run, self.connection, problem.anchor, problem.code, problem.message),
        )

    def _warn(self, warnings: tuple[Fault, ...], anchor: str | None = None, link: int | None = None) -> None:
        """Keep with the run what an entry is warned of that has no operation."""
        self.conn.executemany(
            "INSERT INTO problems (run, connection, anchor, code, attribute, message)"
            " SELECT ?, ?, COALESCE(?, (SELECT anchor FROM links WHERE id = ?)), ?, ?, ?",
            [
                (self.run, self.connection, anchor, link, one.code, one.attribute, one.message)
                for one in warnings
            ],
        )


def _next_id(conn: sqlite3.Connection) -> int:
    row = conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'operations'").fetchone()
    return (row[0] if row else 0) + 1


def stamp(now: datetime) -> str:
    """Return a time as it is stored: UTC, ISO 8601, whole seconds."""
    from datetime import UTC

    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
