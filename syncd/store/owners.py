"""Who holds a key and who wants it, in the words of a message that names both."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ..model.naming import label
from .sharing import Taken
from .standings import texts

_NAMED = 3
"""How many are named of those who want the same key."""


def held_by(conn: sqlite3.Connection, operation: int, attribute: str, folded: str, account: int) -> str:
    """Say that an operation wants a key that an account has."""
    key, wanting = f"{attribute} {folded!r}", _wanting(conn, operation)
    return f"{key} belongs to {holding(conn, account)}, and is wanted by {wanting}"


def held_elsewhere(conn: sqlite3.Connection, taken: Taken) -> str:
    """Say that an operation wants a key that an account of another enterprise has on a platform of both."""
    return (
        f"{taken.held} {taken.folded!r} belongs to account {taken.account} of enterprise {taken.enterprise}, which "
        f"platform {taken.platform} serves as well, and is wanted by {_wanting(conn, taken.operation)}: one of both "
        f"needs another one, or the platform accepts only one of them"
    )


def wanted_by(conn: sqlite3.Connection, operations: Sequence[int], attribute: str, folded: str) -> str:
    """Say that several operations want the same key."""
    named = [_wanting(conn, one) for one in operations[:_NAMED]]
    others = len(operations) - len(named)
    last = f"{others} more" if others else named.pop()
    return f"{attribute} {folded!r} is wanted by {', by '.join(named)}, and by {last}"


def holding(conn: sqlite3.Connection, account: int) -> str:
    """Return an account by its number, its sources and its name."""
    attributes, sources = conn.execute(
        "SELECT a.attributes, (SELECT group_concat(name, ' and ') FROM (SELECT DISTINCT c.name FROM links l"
        "   JOIN connections c ON c.id = l.connection WHERE l.account = a.id ORDER BY c.name))"
        " FROM accounts a WHERE a.id = ?",
        (account,),
    ).fetchone() or (None, None)
    return _told(f"account {account}" + (f" of {sources}" if sources else ""), label(texts(attributes)))


def _wanting(conn: sqlite3.Connection, operation: int) -> str:
    anchor, account, after, source, attributes = conn.execute(
        "SELECT o.anchor, o.account, o.after, c.name, a.attributes FROM operations o"
        " LEFT JOIN connections c ON c.id = o.connection"
        " LEFT JOIN accounts a ON a.id = o.account AND o.kind <> 'add' WHERE o.id = ?",
        (operation,),
    ).fetchone()
    if source is not None and anchor is not None:
        who = f"entry {anchor} of {source}"
    else:
        who = f"account {account}" if attributes is not None else "a new account"
    return _told(who, label(texts(attributes or after)))


def _told(who: str, name: str | None) -> str:
    return who if name is None else f"{who}, {name}"
