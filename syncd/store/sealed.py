"""The table ``secrets``: sealed values by account, attribute and version. Nothing here can open one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from ..model import Sealed, sealed_of
from .database import Database

Seal: TypeAlias = Callable[[int, Sealed], bytes]
"""Makes the value of an account's secret, and seals it."""

OF_ACCOUNT = "(SELECT json_group_object(s.attribute || ':' || s.version, hex(s.sealed)) FROM secrets s WHERE s.account = a.id)"
"""The sealed values of the account ``a``, as ``sealed_values`` reads them."""


def speaks_of(names: Collection[str], document: str) -> bool:
    """Say whether a document of attributes speaks of a secret; ``names`` are the secret attributes.

    In JSON a value cannot look like this: its quotes are escaped.
    """
    return any(f'"{name}":"sealed:{name}:' in document for name in names)


def _speaks(names: Collection[str]) -> str:
    """Return the condition that ``o.after`` speaks of a secret."""
    terms = (f'instr(o.after, \'"{name}":"sealed:{name}:\')' for name in sorted(names))
    return f"({' OR '.join(terms) or '0'})"


def sealed_values(text: str | None) -> Mapping[tuple[str, int], bytes]:
    """Return the sealed values of an account by (attribute, version)."""
    if not text or text == "{}":
        return {}
    pairs = ((*key.split(":"), value) for key, value in json.loads(text).items())
    return {(attribute, int(version)): bytes.fromhex(value) for attribute, version, value in pairs}


def wants_secrets(conn: sqlite3.Connection, run: int, names: Collection[str]) -> bool:
    """Say whether anything that a run has still to apply speaks of a secret."""
    query = f"SELECT 1 FROM operations o WHERE run = ? AND state = 'planned' AND {_speaks(names)} LIMIT 1"
    return conn.execute(query, (run,)).fetchone() is not None


def make_missing(conn: sqlite3.Connection, names: Collection[str], seal: Seal, now: str) -> None:
    """Make what accounts of ``temp.chunk`` speak of and have not got, within the transaction at hand.

    ``names`` are the secret attributes. A contact has no secrets.
    """
    rows = conn.execute(
        "SELECT a.id, w.key, w.value FROM temp.chunk c JOIN operations o ON o.id = c.operation"
        " JOIN accounts a ON a.id = c.account, json_each(a.attributes) w"
        f" WHERE {_speaks(names)} AND a.kind = 'user' AND w.type = 'text' AND w.value LIKE 'sealed:%'"
    ).fetchall()
    spoken = [(account, name, sealed_of(value)) for account, name, value in rows if name in names]
    conn.executemany(
        "INSERT INTO secrets (account, attribute, version, sealed, created_at) VALUES (?,?,?,?,?)",
        [
            (account, one.attribute, one.version, seal(account, one), now)
            for account, name, one in spoken
            if one is not None and one.attribute == name and find_sealed(conn, account, one) is None
        ],
    )


def find_sealed(conn: sqlite3.Connection, account: int, one: Sealed) -> bytes | None:
    """Return a sealed value; None if it was never made, or is forgotten."""
    row = conn.execute(
        "SELECT sealed FROM secrets WHERE account = ? AND attribute = ? AND version = ?",
        (account, one.attribute, one.version),
    ).fetchone()
    return None if row is None else bytes(row[0])


def note_shown(
    conn: sqlite3.Connection, account: int, one: Sealed, *, who: str, at: str, why: str | None
) -> None:
    """Record who has seen a secret, within the transaction at hand; as a decision that is over at once."""
    conn.execute(
        "INSERT INTO decisions (verb, who, at, why, account, secret, ended_at) VALUES ('show',?,?,?,?,?,?)",
        (who, at, why, account, f"{one.attribute} {one.version}", at),
    )


def last_version(conn: sqlite3.Connection, account: int, attribute: str) -> int:
    """Return the highest version that an account's secret ever had, 0 for none."""
    row = conn.execute(
        "SELECT MAX(version) FROM secrets WHERE account = ? AND attribute = ?", (account, attribute)
    ).fetchone()
    return int(row[0] or 0)


def kinds_of_key(conn: sqlite3.Connection) -> list[bytes]:
    """Return the beginnings of all sealed values, each once: the names of their keys."""
    return [bytes(row[0]) for row in conn.execute("SELECT DISTINCT substr(sealed, 1, 4) FROM secrets")]


def reseal(database: Database, again: Callable[[int, str, int, bytes], bytes | None]) -> int:
    """Replace every sealed value by what ``again`` makes of it, all in one transaction; None leaves it.

    Returns how many were replaced.
    """
    count = 0
    with database.transaction() as conn:
        rows = conn.execute("SELECT account, attribute, version, sealed FROM secrets").fetchall()
        for account, attribute, version, sealed in rows:
            new = again(account, attribute, version, bytes(sealed))
            if new is not None:
                conn.execute(
                    "UPDATE secrets SET sealed = ? WHERE account = ? AND attribute = ? AND version = ?",
                    (new, account, attribute, version),
                )
                count += 1
    return count
