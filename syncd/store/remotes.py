"""What each platform is to hold of each account, what it confirmed last, and the log of deliveries.

A row of ``remotes`` is due when it is ``pending``, or ``waiting`` and its ``next_try`` has come; or is further
away than any back-off, which a clock has written that was ahead.
``remote_id`` with ``delivered`` NULL means: it is there, and nobody knows how it looks. ``delivered`` without
``remote_id`` is what an add has sent of which nobody knows what became.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from .database import Database
from .policies import NOT_WITHHELD
from .sealed import OF_ACCOUNT
from .staging import stamp

SUSPECT = 3
"""A row that was tried so often without success comes after all others, and alone."""

LONGEST = 3600.0
"""Seconds that a row is left alone at most, unless the platform itself has said until when."""

_TOLD = "unavailable until "


class Due(NamedTuple):
    """A row of ``remotes`` that wants something done, with its account as it is now.

    ``sealed`` are the account's secrets, for ``sealed_values``.
    """

    account: int
    wanted: int
    remote_id: str | None
    delivered: str | None
    attempts: int
    enterprise: str
    kind: str
    attributes: str
    disabled_by: str | None
    deleted_at: str | None
    last: int | None
    last_intent: int | None
    last_action: str | None
    last_result: str | None
    sealed: str | None = None

    @property
    def unsure(self) -> bool:
        """Whether nobody knows what became of the last call, so that the platform has to be asked first.

        So it is with an intent that has no outcome, and with an add whose answer was not a yes.
        """
        if self.last is None:
            return False
        return self.last_intent is None or (
            self.remote_id is None and self.last_action == "add" and self.last_result in {"waiting", "failed"}
        )


class Change(NamedTuple):
    """What is to be written of one row: its new state and, with ``result``, an outcome in the log.

    ``intent`` is the delivery that it answers; without one, the log gets an intent of its own.
    """

    account: int
    revision: int
    state: str
    remote_id: str | None
    delivered: str | None
    attempts: int = 0
    next_try: str | None = None
    message: str | None = None
    result: str | None = None
    action: str = ""
    intent: int | None = None


class Intent(NamedTuple):
    """What is about to be asked of a platform; ``sent`` is what an add will leave there."""

    account: int
    revision: int
    action: str
    remote_id: str | None
    sent: str | None = None


ROW = f"""
  SELECT r.account, r.wanted, r.remote_id, r.delivered, r.attempts,
    a.enterprise, a.kind, a.attributes, a.disabled_by, a.deleted_at, l.id, l.intent, l.action, l.result, {OF_ACCOUNT}
  FROM remotes r JOIN accounts a ON a.id = r.account
    LEFT JOIN deliveries l ON l.id = (SELECT d.id FROM deliveries d
      WHERE d.account = r.account AND d.platform = r.platform ORDER BY d.id DESC LIMIT 1)
  WHERE r.platform = :platform AND r.state <> 'done'
"""
"""Selects a Due of every row of a platform that is not done."""

_DUE = f"""{ROW} AND r.state <> 'failed'
    AND (r.next_try IS NULL OR r.next_try <= :now
      OR r.next_try > :far AND IFNULL(r.message, '') NOT LIKE '{_TOLD}%')
    AND {NOT_WITHHELD}
"""


def due(
    database: Database, platform: str, now: datetime, after: tuple[int, int, int], most: int
) -> list[Due]:
    """Return the next rows behind ``after``: (1 for the suspects that come last, revision, account)."""
    rows = database.conn.execute(
        f"{_DUE} AND (r.attempts >= {SUSPECT}) = :suspect AND (r.wanted, r.account) > (:wanted, :account)"
        " ORDER BY r.wanted, r.account LIMIT :most",
        {
            "platform": platform,
            **_times(now),
            "suspect": after[0],
            "wanted": after[1],
            "account": after[2],
            "most": most,
        },
    )
    return [Due(*row) for row in rows]


def due_of(database: Database, platform: str, now: datetime, accounts: Collection[int]) -> list[Due]:
    """Return those of these accounts that are due, in the order of their revisions."""
    found: list[Due] = []
    for account in accounts:
        rows = database.conn.execute(
            f"{_DUE} AND r.account = :account", {"platform": platform, **_times(now), "account": account}
        )
        found += [Due(*row) for row in rows]
    return sorted(found, key=lambda row: (row.wanted, row.account))


def _times(now: datetime) -> dict[str, str]:
    return {"now": stamp(now), "far": rounded_up(now + timedelta(seconds=LONGEST))}


def formerly(database: Database, platform: str, row: Due) -> Iterator[Due]:
    """Yield the row with its account as it was when something was asked that nobody confirmed, the latest first.

    The last is with the account as the platform confirmed it, if it ever did and it was another one then.
    """
    key = {"platform": platform, "account": row.account, "wanted": row.wanted}
    revisions = database.conn.execute(
        """
        SELECT DISTINCT revision FROM deliveries
        WHERE account = :account AND platform = :platform AND revision < :wanted
          AND (intent IS NULL OR result = 'confirmed') AND id >= (SELECT COALESCE(MAX(id), 0) FROM deliveries
            WHERE account = :account AND platform = :platform AND result = 'confirmed')
        ORDER BY revision DESC
        """,
        key,
    ).fetchall()
    attributes = json.loads(row.attributes)
    newer = row.wanted
    for (revision,) in revisions:
        undone = database.conn.execute(
            "SELECT before FROM operations WHERE account = ? AND id > ? AND id <= ? AND state = 'applied' ORDER BY id DESC",
            (row.account, revision, newer),
        )
        for (before,) in undone:
            attributes |= json.loads(before)
        newer = revision
        there = {name: value for name, value in attributes.items() if value is not None}
        yield row._replace(attributes=json.dumps(there))


def next_try(database: Database, platform: str, now: datetime) -> datetime | None:
    """Return when the next waiting row is due, if any waits beyond ``now``."""
    row = database.conn.execute(
        "SELECT MIN(next_try) FROM remotes INDEXED BY remotes_due WHERE platform = ? AND state <> 'done' AND state = 'waiting'"
        " AND next_try > ?",
        (platform, stamp(now)),
    ).fetchone()
    return time_of(row[0])


def any_open(database: Database, platform: str) -> bool:
    """Say whether anything is left that will be tried without a person."""
    row = database.conn.execute(
        "SELECT 1 FROM remotes INDEXED BY remotes_due WHERE platform = ? AND state <> 'done' AND state <> 'failed' LIMIT 1",
        (platform,),
    ).fetchone()
    return row is not None


def failed(database: Database) -> dict[str, int]:
    """Return, by platform, how many accounts it has refused and a person has to see to."""
    return dict(
        database.conn.execute(
            "SELECT platform, COUNT(*) FROM remotes INDEXED BY remotes_due"
            " WHERE state <> 'done' AND state = 'failed' GROUP BY platform"
        )
    )


def told(database: Database, platform: str, now: datetime) -> tuple[bool, datetime | None]:
    """Return whether the platform was unavailable when last heard of, and until when it asked to be spared."""
    row = database.conn.execute(
        "SELECT COUNT(*), MAX(CASE WHEN message LIKE ? || '%' THEN next_try END) FROM remotes INDEXED BY remotes_due"
        " WHERE platform = ? AND state <> 'done' AND state = 'waiting' AND message LIKE 'unavailable%'",
        (_TOLD, platform),
    ).fetchone()
    until = time_of(row[1])
    return row[0] > 0, until if until is not None and until > now else None


def told_until(until: str, text: str) -> str:
    """Return the message of a row that waits because the platform said until when."""
    return f"{_TOLD}{until}: {text}"


def confirmed(database: Database, platform: str) -> int:
    """Return how many accounts the platform has confirmed to hold, as far as their state there is known.

    Whose deletion was asked for, and nobody knows whether it was done, may be gone.
    """
    row = database.conn.execute(
        """
        SELECT COUNT(*) FROM remotes r WHERE platform = ? AND remote_id IS NOT NULL AND delivered IS NOT NULL
          AND (state = 'done' OR ('delete', 1) IS NOT (SELECT d.action, d.intent IS NULL FROM deliveries d
            WHERE d.account = r.account AND d.platform = r.platform ORDER BY d.id DESC LIMIT 1))
        """,
        (platform,),
    ).fetchone()
    return int(row[0])


def intend(database: Database, platform: str, at: str, intents: Sequence[Intent]) -> list[int]:
    """Write down what is about to be asked of the platform, in one transaction; return the deliveries' ids."""
    if not intents:
        return []
    with database.transaction() as conn:
        first = _next_id(conn)
        conn.executemany(
            "INSERT INTO deliveries (id, platform, account, revision, action, at, remote_id) VALUES (?,?,?,?,?,?,?)",
            [
                (first + number, platform, one.account, one.revision, one.action, at, one.remote_id)
                for number, one in enumerate(intents)
            ],
        )
        conn.executemany(
            "UPDATE remotes SET delivered = ? WHERE platform = ? AND account = ? AND remote_id IS NULL",
            [(one.sent, platform, one.account) for one in intents if one.sent is not None],
        )
    return list(range(first, first + len(intents)))


def record(database: Database, platform: str, at: str, changes: Sequence[Change]) -> None:
    """Write down what became of deliveries, and what needed none, in one transaction.

    A row whose account has changed meanwhile is pending again. Keys that every platform has confirmed as
    given up are free.
    """
    if not changes:
        return
    with database.transaction() as conn:
        conn.executemany(
            "INSERT INTO deliveries (intent, platform, account, revision, action, at, result, remote_id, message)"
            " VALUES (?,?,?,?,?,?,?,?,?)",
            [
                (_intent(conn, platform, at, one), platform, one.account, one.revision, one.action, at,
                 one.result, one.remote_id, one.message)
                for one in changes if one.result is not None
            ],
        )  # fmt: skip
        conn.executemany(
            """
            UPDATE remotes SET remote_id = :remote_id, delivered = :delivered,
              done = CASE WHEN :state = 'done' THEN :revision ELSE done END,
              state = CASE WHEN wanted = :revision THEN :state ELSE 'pending' END,
              attempts = CASE WHEN wanted = :revision THEN :attempts ELSE 0 END,
              next_try = CASE WHEN wanted = :revision THEN :next_try END,
              message = CASE WHEN wanted = :revision THEN :message END
            WHERE platform = :platform AND account = :account
            """,
            [{**one._asdict(), "platform": platform} for one in changes],
        )
        conn.executemany(
            "DELETE FROM keys WHERE releasing <> 0 AND releasing = :account"
            " AND NOT EXISTS (SELECT 1 FROM remotes r WHERE r.account = :account AND r.state <> 'done')",
            [{"account": one.account} for one in changes if one.state == "done"],
        )


def _intent(conn: sqlite3.Connection, platform: str, at: str, one: Change) -> int | None:
    """Return the delivery that an outcome answers; one is written if there is none."""
    if one.intent is not None:
        return one.intent
    return conn.execute(
        "INSERT INTO deliveries (platform, account, revision, action, at) VALUES (?,?,?,?,?)",
        (platform, one.account, one.revision, one.action, at),
    ).lastrowid


def rounded_up(time: datetime) -> str:
    """Return a time as it is stored, and never an earlier one."""
    whole = time.replace(microsecond=0)
    return stamp(whole if whole == time else whole + timedelta(seconds=1))


def time_of(text: str | None) -> datetime | None:
    """Return a stored time, if there is one."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _next_id(conn: sqlite3.Connection) -> int:
    row = conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'").fetchone()
    return (row[0] if row else 0) + 1
