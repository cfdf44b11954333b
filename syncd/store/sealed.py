"""The tables ``secrets`` (sealed values of accounts) and ``sealed`` (of none). Nothing here can open one.

In ``sealed`` lie the values that a source has said, under the texts that open operations speak of them by, until
they are applied; and the key of digests.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias

from ..model import Sealed, sealed_of
from .database import Database

Seal: TypeAlias = Callable[[int, Sealed, bytes | None], bytes]
"""Seals an account's secret: one that it makes, or the given one, which lies in the table ``sealed``."""

DIGEST_KEY = "digest key"
"""The name of the key that digests are made with."""

_STAGED = f"name <> '{DIGEST_KEY}'"
_SPEAKING = '"(sealed:[^"]+)"'

OF_ACCOUNT = """(SELECT json_group_object(s.attribute || ':' || COALESCE(NULLIF(s.digest, ''), s.version),
  s.version || ':' || hex(s.sealed)) FROM secrets s WHERE s.account = a.id)"""
"""The sealed values of the account ``a``, as ``sealed_values`` reads them."""


def speaks_of(names: Collection[str], document: str) -> bool:
    """Say whether a document of attributes speaks of a secret; ``names`` are the secret attributes.

    In JSON a value cannot look like this: its quotes are escaped.
    """
    return any(f'"{name}":"sealed:{name}:' in document for name in names)


def _speaks(names: Collection[str], column: str = "after") -> str:
    """Return the condition that a column of the operation ``o`` speaks of a secret."""
    terms = (f'instr(o.{column}, \'"{name}":"sealed:{name}:\')' for name in sorted(names))
    return f"({' OR '.join(terms) or '0'})"


def sealed_values(text: str | None) -> Mapping[str, tuple[int, bytes]]:
    """Return the sealed values of an account and their versions, by ``attribute:word``."""
    if not text or text == "{}":
        return {}
    pairs = ((key, *value.split(":")) for key, value in json.loads(text).items())
    return {key: (int(version), bytes.fromhex(value)) for key, version, value in pairs}


def wants_secrets(conn: sqlite3.Connection, run: int, names: Collection[str]) -> bool:
    """Say whether anything that a run has still to apply speaks of a secret."""
    spoken = _speaks(names)
    if conn.execute(f"SELECT 1 FROM sealed WHERE {_STAGED} LIMIT 1").fetchone():
        spoken = f"({spoken} OR {_speaks(names, 'record')})"
    query = f"SELECT 1 FROM operations o WHERE run = ? AND state = 'planned' AND {spoken} LIMIT 1"
    return conn.execute(query, (run,)).fetchone() is not None


def make_missing(conn: sqlite3.Connection, names: Collection[str], seal: Seal, now: str) -> None:
    """Make what accounts of ``temp.chunk`` speak of and have not got, within the transaction at hand.

    What a source has said is taken over from where it lies sealed for the plan, as the account's next version.
    ``names`` are the secret attributes. A contact has no secrets.
    """
    rows = conn.execute(
        "SELECT a.id, w.key, w.value FROM temp.chunk c JOIN operations o ON o.id = c.operation"
        " JOIN accounts a ON a.id = c.account, json_each(a.attributes) w"
        f" WHERE {_speaks(names)} AND a.kind = 'user' AND w.type = 'text' AND w.value LIKE 'sealed:%'"
    ).fetchall()
    for account, name, value in rows:
        one = sealed_of(value) if name in names else None
        if one is not None and one.attribute == name and not one.digest:
            _put(conn, account, one, seal, None, now)
    for account, token in _staged(conn, names):
        one, sealed = sealed_of(token), find_staged(conn, token)
        if one is not None and sealed is not None:
            _put(conn, account, one, seal, sealed, now)


def _put(
    conn: sqlite3.Connection, account: int, one: Sealed, seal: Seal, staged: bytes | None, now: str
) -> None:
    if find_sealed(conn, account, one) is not None:
        return
    if one.digest:  # the first version is that of a template
        one = one._replace(version=max(1, last_version(conn, account, one.attribute)) + 1)
    conn.execute(
        "INSERT INTO secrets (account, attribute, version, digest, sealed, created_at) VALUES (?,?,?,?,?,?)",
        (account, one.attribute, one.version, one.digest, seal(account, one, staged), now),
    )


def _staged(conn: sqlite3.Connection, names: Collection[str]) -> list[tuple[int, str]]:
    """Return what the layers of ``temp.chunk`` say that lies sealed for a plan, each with its account."""
    if not conn.execute(f"SELECT 1 FROM sealed WHERE {_STAGED} LIMIT 1").fetchone():
        return []
    rows = conn.execute(
        "SELECT a.id, o.record FROM temp.chunk c JOIN operations o ON o.id = c.operation"
        f" JOIN accounts a ON a.id = c.account WHERE a.kind = 'user' AND {_speaks(names, 'record')}"
    ).fetchall()
    return sorted({(account, token) for account, record in rows for token in re.findall(_SPEAKING, record)})


def stage_sealed(conn: sqlite3.Connection, secrets: Iterable[tuple[str, bytes]]) -> None:
    """Keep sealed values for the operations that speak of them, within the transaction at hand."""
    conn.executemany("INSERT OR IGNORE INTO sealed (name, sealed) VALUES (?,?)", secrets)


def drop_staged(conn: sqlite3.Connection) -> None:
    """Delete the sealed values that no open operation speaks of any more, within the transaction at hand."""
    if not conn.execute(f"SELECT 1 FROM sealed WHERE {_STAGED} LIMIT 1").fetchone():
        return
    rows = conn.execute(
        "SELECT record FROM operations WHERE state IN ('detained','failed','waiting') UNION ALL"
        " SELECT o.record FROM runs r JOIN operations o ON o.run = r.id"
        " WHERE r.state IN ('reading','planned','held','applying') AND o.state = 'planned'"
    )
    spoken = {token for (record,) in rows for token in re.findall(_SPEAKING, record or "")}
    names = [name for (name,) in conn.execute(f"SELECT name FROM sealed WHERE {_STAGED}")]
    conn.executemany("DELETE FROM sealed WHERE name = ?", [(name,) for name in names if name not in spoken])


def digest_key(database: Database) -> bytes | None:
    """Return the key of digests, which lies sealed; None if none was made yet."""
    return find_staged(database.conn, DIGEST_KEY)


def find_staged(conn: sqlite3.Connection, name: str) -> bytes | None:
    """Return what lies sealed under a name; None if nothing does."""
    row = conn.execute("SELECT sealed FROM sealed WHERE name = ?", (name,)).fetchone()
    return None if row is None else bytes(row[0])


def find_sealed(conn: sqlite3.Connection, account: int, one: Sealed) -> tuple[int, bytes] | None:
    """Return a version and its sealed value; None if it was never made, or is forgotten."""
    row = conn.execute(
        "SELECT version, sealed FROM secrets WHERE account = ? AND attribute = ? AND digest = ?"
        " AND (version = ? OR digest <> '')",
        (account, one.attribute, one.digest, one.version),
    ).fetchone()
    return None if row is None else (row[0], bytes(row[1]))


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


def spoken_of(conn: sqlite3.Connection, names: Collection[str]) -> list[tuple[int, str, Sealed]]:
    """Return the secrets that users have who are not deleted: account, enterprise, and how it is spoken of."""
    rows = conn.execute(
        "SELECT a.id, a.enterprise, w.key, w.value FROM accounts a, json_each(a.attributes) w"
        " WHERE instr(a.attributes, 'sealed:') AND a.kind = 'user' AND a.deleted_at IS NULL AND w.type = 'text'"
        "  AND w.value LIKE 'sealed:%' ORDER BY a.id, w.key"
    )
    return [
        (account, enterprise, one)
        for account, enterprise, name, value in rows
        if name in names and (one := sealed_of(value)) is not None and one.attribute == name
    ]


def said_by(conn: sqlite3.Connection, account: int, one: Sealed) -> list[str]:
    """Return the names of the sources that say this secret of an account."""
    rows = conn.execute(
        "SELECT c.name FROM links l JOIN connections c ON c.id = l.connection"
        " WHERE l.account = ? AND instr(l.record, ?) AND l.gone_at IS NULL",
        (account, f'"{one}"'),
    )
    return [name for (name,) in rows]


def drop_unopened(conn: sqlite3.Connection, keys: Collection[bytes]) -> None:
    """Delete what was sealed with another key than these, within the transaction at hand."""
    marks = ",".join("?" * len(keys))
    for table in ("secrets", "sealed"):
        conn.execute(f"DELETE FROM {table} WHERE substr(sealed, 1, 4) NOT IN ({marks})", tuple(keys))


def kinds_of_key(conn: sqlite3.Connection) -> list[bytes]:
    """Return the beginnings of all sealed values, each once: the names of their keys."""
    query = "SELECT substr(sealed, 1, 4) FROM secrets UNION SELECT substr(sealed, 1, 4) FROM sealed"
    return [bytes(row[0]) for row in conn.execute(query)]


def reseal(
    database: Database,
    again: Callable[[int, str, int, bytes], bytes | None],
    apart: Callable[[str, bytes], bytes | None],
) -> int:
    """Replace every sealed value by what ``again`` makes of it, all in one transaction; None leaves it.

    ``apart`` is for what belongs to no account. Returns how many of accounts were replaced.
    """
    count = 0
    with database.transaction() as conn:
        rows = conn.execute("SELECT account, attribute, version, digest, sealed FROM secrets").fetchall()
        for account, attribute, version, digest, sealed in rows:
            new = again(account, attribute, version, bytes(sealed))
            if new is not None:
                conn.execute(
                    "UPDATE secrets SET sealed = ?"
                    " WHERE account = ? AND attribute = ? AND version = ? AND digest = ?",
                    (new, account, attribute, version, digest),
                )
                count += 1
        for name, sealed in conn.execute("SELECT name, sealed FROM sealed").fetchall():
            if (new := apart(name, bytes(sealed))) is not None:
                conn.execute("UPDATE sealed SET sealed = ? WHERE name = ?", (new, name))
    return count
