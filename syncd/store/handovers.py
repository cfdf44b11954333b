"""Keys that go from one account to another, accounts that go from one platform to another: how far platforms are with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .database import Database
from .remotes import ROW, Due

AWAITED = "waits: "
"""Begins the message of who waits for another platform."""

_AWAITED = re.compile(rf"{AWAITED}(?:account (\d+) .*|.*) on platform (\S+)")


class Contended(NamedTuple):
    """An account has a key that ``holder`` had, and ``platform`` has yet to confirm that the holder gave it up."""

    account: int
    holder: int
    attribute: str
    value: str
    platform: str
    foreign: bool
    """The holder is of another enterprise: only on this platform may both not have it."""


def contended(database: Database) -> list[Contended]:
    """Return every key that somebody has and a platform has not yet confirmed as given up by somebody else.

    Of another enterprise are those who may both be on a platform.
    """
    rows = database.conn.execute(
        """
        SELECT k.account, f.releasing, f.attribute, f.folded, r.platform, k.enterprise <> f.enterprise FROM keys f
          CROSS JOIN keys k ON k.attribute = f.attribute AND k.folded = f.folded
            AND k.releasing = 0 AND k.account <> f.releasing
          CROSS JOIN remotes r ON r.account = f.releasing AND r.state <> 'done'
        WHERE f.releasing <> 0 AND (k.enterprise = f.enterprise
          OR ((r.remote_id IS NOT NULL OR r.delivered IS NOT NULL) AND EXISTS (SELECT 1 FROM remotes t
            WHERE t.platform = r.platform AND t.account = k.account AND (t.state <> 'done' OR t.remote_id IS NOT NULL))))
        ORDER BY 1, 2, 3, 4, 5
        """
    )
    return [Contended(*row) for row in rows]


def undone(database: Database, platform: str, account: int) -> Due | None:
    """Return what a platform has yet to do about an account, whether or not it is due; None if nothing."""
    row = database.conn.execute(
        f"{ROW} AND r.account = :account", {"platform": platform, "account": account}
    ).fetchone()
    return None if row is None else Due(*row)


def holder(database: Database, platform: str, remote_id: str) -> int | None:
    """Return the account that a platform has under this remote id, if it is known."""
    row = database.conn.execute(
        "SELECT account FROM remotes WHERE platform = ? AND remote_id = ? LIMIT 1", (platform, remote_id)
    ).fetchone()
    return None if row is None else int(row[0])


def certain_ids(database: Database, platform: str, accounts: Iterable[int]) -> set[str]:
    """Return the remote ids of those accounts of which nothing is open that might have changed them."""
    query = (
        "SELECT remote_id FROM remotes WHERE platform = :platform AND account = :account AND remote_id IS NOT NULL"
        " AND (SELECT intent FROM deliveries WHERE account = :account AND platform = :platform"
        "  ORDER BY id DESC LIMIT 1) IS NOT NULL"
    )
    found = (
        database.conn.execute(query, {"platform": platform, "account": one}).fetchone() for one in accounts
    )
    return {row[0] for row in found if row is not None}


def unsettled(database: Database, account: int) -> set[str]:
    """Return the platforms where an account has nothing yet, and something is to be done."""
    rows = database.conn.execute(
        "SELECT platform FROM remotes WHERE account = ? AND state <> 'done' AND remote_id IS NULL", (account,)
    )
    return {platform for (platform,) in rows}


def heard_since(database: Database, account: int, message: str) -> bool:
    """Say whether another platform has confirmed what the message of an account says is awaited of it.

    Who waits learns that only when asked about again, which may be long after.
    """
    found = _AWAITED.fullmatch(message)
    return found is not None and undone(database, found[2], int(found[1] or account)) is None
