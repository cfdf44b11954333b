"""Every account on every platform, as people ask for it: what is not done, what to try or want again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from .database import OPEN, Database
from .handovers import contended, heard_since
from .owners import holding
from .remotes import Due, time_of
from .sealed import OF_ACCOUNT


class Pending(NamedTuple):
    """One row that is not done, for people; ``age`` is the seconds since the change that it waits for.

    ``message`` is what was last heard of it or, where nothing may be asked of the platform yet, what it waits for.
    """

    platform: str
    account: int
    wanted: int
    state: str
    attempts: int
    next_try: str | None
    message: str | None
    age: float


class Placement(NamedTuple):
    """One row of a platform as ``verify`` compares it."""

    account: int
    state: str
    remote_id: str | None
    enterprise: str
    kind: str
    attributes: str
    disabled_by: str | None
    deleted_at: str | None
    sealed: str | None


def rivals(
    database: Database, platform: str, enterprise: str, attribute: str, folded: str, *, expected: bool = False
) -> list[Placement]:
    """Return the rows of a platform whose accounts, of other enterprises, have this key.

    ``expected``: also of accounts that have no row there.
    """
    rows = database.conn.execute(
        "SELECT a.id, COALESCE(r.state, ''), r.remote_id, a.enterprise, a.kind, a.attributes, a.disabled_by, a.deleted_at, NULL"
        f" FROM keys k {'LEFT ' if expected else ''}JOIN remotes r ON r.platform = ? AND r.account = k.account"
        " JOIN accounts a ON a.id = k.account"
        " WHERE k.attribute = ? AND k.folded = ? AND k.enterprise <> ? AND k.releasing = 0 ORDER BY a.id",
        (platform, attribute, folded, enterprise),
    )
    return [Placement(*row) for row in rows]


def was_allocated(database: Database, account: int, names: Iterable[str]) -> bool:
    """Say whether an account has any of these attributes from its template, and no person said so."""
    row = database.conn.execute(
        "SELECT 1 FROM accounts a, json_each(?) n WHERE a.id = ?"
        " AND json_extract(a.template, '$.' || n.value) = json_extract(a.attributes, '$.' || n.value)"
        " AND json_extract(a.local, '$.' || n.value) IS NULL LIMIT 1",
        (json.dumps(sorted(names)), account),
    ).fetchone()
    return row is not None


def seed(database: Database, platform: str, enterprises: Iterable[str]) -> int:
    """Want every account of these enterprises on a platform that knows nothing of it; return how many."""
    with database.transaction() as conn:
        return conn.execute(
            """
            INSERT INTO remotes (platform, account, wanted)
            SELECT :platform, a.id, a.revision
            FROM accounts a WHERE a.deleted_at IS NULL AND a.enterprise IN (SELECT value FROM json_each(:enterprises))
              AND NOT EXISTS (SELECT 1 FROM remotes r WHERE r.platform = :platform AND r.account = a.id)
            """,
            {"platform": platform, "enterprises": json.dumps(sorted(enterprises))},
        ).rowcount


def want_again(database: Database, platform: str, accounts: Iterable[int]) -> int:
    """Let a platform be brought to what is wanted of these accounts, whatever it confirmed before.

    Returns how many rows there were.
    """
    with database.transaction() as conn:
        return conn.executemany(
            "UPDATE remotes SET state = 'pending', delivered = NULL, attempts = 0, next_try = NULL,"
            " message = NULL WHERE platform = ? AND account = ?",
            [(platform, account) for account in accounts],
        ).rowcount


def retry(database: Database, platform: str | None = None, account: int | None = None) -> int:
    """Let failed and waiting rows be tried at once (all, or those named); return how many there were."""
    with database.transaction() as conn:
        return conn.execute(
            "UPDATE remotes SET state = 'pending', attempts = 0, next_try = NULL, message = NULL"
            " WHERE state <> 'done' AND state <> 'pending'"
            " AND (:platform IS NULL OR platform = :platform) AND (:account IS NULL OR account = :account)",
            {"platform": platform, "account": account},
        ).rowcount


def pending(database: Database, now: datetime) -> Iterator[Pending]:
    """Yield every row that is not done, by platform and revision."""
    rows = database.conn.execute(
        "SELECT r.platform, r.account, r.wanted, r.state, r.attempts, r.next_try, r.message, o.changed_at"
        " FROM remotes r LEFT JOIN operations o ON o.id = r.wanted"
        " WHERE r.state <> 'done' ORDER BY r.platform, r.wanted"
    )
    held: dict[str, dict[int, str]] = {}
    for platform, account, wanted, state, attempts, next_try, last, since in rows:
        message = None if last and heard_since(database, account, last) else last
        if message is None and platform not in held:
            held[platform] = _held(database, platform)
        why = held[platform].get(account) if message is None else message
        age = max(0.0, (now - (time_of(since) or now)).total_seconds())
        yield Pending(platform, account, wanted, state, attempts, next_try, why, age)


def _held(database: Database, platform: str) -> dict[int, str]:
    """Return, by account, what has to come first where nothing may be asked of the platform yet."""
    rows = database.conn.execute(
        f"SELECT account, id FROM operations WHERE {OPEN} AND state = 'detained' AND link_action = 'policy'"
        " AND json_extract(record, '$.platform') = ?",
        (platform,),
    )
    why = {
        account: f"a guard detained that it vanishes there, as operation {operation}: syncd queue show {operation}"
        for account, operation in rows
    }
    kept: dict[int, dict[int, list[str]]] = {}
    for one in contended(database):
        if one.platform == platform:
            kept.setdefault(one.account, {}).setdefault(one.holder, []).append(one.attribute)
    for account, holders in kept.items():
        still = (
            f"for the {' and '.join(names)} that the platform still has under {holding(database.conn, holder)}"
            for holder, names in holders.items()
        )
        why.setdefault(account, f"waits {', and '.join(still)}")
    return why


def placements(database: Database, platform: str, size: int = 500) -> Iterator[list[Placement]]:
    """Yield all rows of a platform, some hundreds at a time, by account."""
    after = -1
    while True:
        rows = database.conn.execute(
            "SELECT r.account, r.state, r.remote_id, a.enterprise, a.kind, a.attributes, a.disabled_by,"
            f" a.deleted_at, {OF_ACCOUNT} FROM remotes r JOIN accounts a ON a.id = r.account"
            " WHERE r.platform = ? AND r.account > ? ORDER BY r.account LIMIT ?",
            (platform, after, size),
        ).fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield [Placement(*row) for row in rows]


def withheld(database: Database) -> list[tuple[int, str, Due]]:
    """Return who is to appear or change on a platform that could not take them, and may by now.

    Each is an operation, its platform, and the account as it is; also of whom another account had a key.
    """
    rows = database.conn.execute(
        "SELECT o.id, json_extract(o.record, '$.platform') AS platform, a.id, 0, r.remote_id, r.delivered, 0,"
        " a.enterprise, a.kind, a.attributes, a.disabled_by, a.deleted_at, NULL, NULL, NULL, NULL"
        " FROM operations o INDEXED BY operations_open JOIN accounts a ON a.id = o.account"
        " LEFT JOIN remotes r ON r.account = a.id AND r.platform = json_extract(o.record, '$.platform')"
        f" WHERE o.{OPEN} AND o.state = 'detained' AND o.connection IS NULL AND o.link_action = 'policy'"
        " AND json_extract(o.record, '$.effect') <> 'vanish'"
        " AND (a.revision IS NOT o.seen OR instr(o.reasons, '\"key_taken\"'))"
    )
    return [(operation, platform, Due(*rest)) for operation, platform, *rest in rows]


def give_back(conn: sqlite3.Connection, operations: Sequence[int], now: str) -> None:
    """End what was withheld: the platforms look at these accounts again. Within the transaction at hand."""
    ids = json.dumps(operations)
    conn.execute(
        "INSERT INTO remotes (platform, account, wanted) SELECT json_extract(o.record, '$.platform'), a.id, a.revision"
        " FROM operations o JOIN accounts a ON a.id = o.account WHERE o.id IN (SELECT value FROM json_each(?))"
        " ON CONFLICT (platform, account) DO UPDATE SET"
        "  wanted = excluded.wanted, state = 'pending', attempts = 0, next_try = NULL, message = NULL",
        (ids,),
    )
    conn.execute(
        "UPDATE operations SET state = 'superseded', changed_at = ? WHERE id IN (SELECT value FROM json_each(?))",
        (now, ids),
    )
