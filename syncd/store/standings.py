"""What is stored of accounts and links, as the pure stages want to see it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..model import Candidates, Layer, Record, Standing, Value, Vocabulary, fold
from .database import Database

_SELECT = """
    SELECT a.id, a.kind, a.attributes, a.disabled_by, a.deleted_at, a.template, a.local,
           l.id, l.anchor, l.record, l.owner, l.enabled, l.gone_at, l.fingerprint, a.revision
    FROM accounts a LEFT JOIN links l ON l.account = a.id AND l.connection = :connection
"""


def texts(text: str | None) -> dict[str, Value]:
    """Read a stored layer: values that are many become tuples again."""
    if not text:
        return {}
    values: dict[str, Any] = json.loads(text)
    if "[" in text:
        for name, value in values.items():
            if type(value) is list:
                values[name] = tuple(value)
    return values


class Standings:
    """Looks accounts up for one connection, in batches."""

    def __init__(self, database: Database, connection: int, enterprise: str) -> None:
        self.conn = database.conn
        self.connection = connection
        self.enterprise = enterprise
        others = "SELECT 1 FROM connections WHERE enterprise = ? AND id <> ? LIMIT 1"
        self._others = self.conn.execute(others, (enterprise, connection)).fetchone() is not None
        self._precedence: dict[int, int] = {}

    def rank(self, precedence: dict[int, int]) -> None:
        """Learn the precedence of every connection of the enterprise, by its id."""
        self._precedence = precedence

    def precedence_of(self, connection: int | None) -> int:
        """Return the place of a connection; one that is not configured any more comes after all others."""
        return self._precedence.get(connection or 0, 1_000_000 + (connection or 0))

    def by_anchor(self, anchors: Sequence[str]) -> dict[str, Standing]:
        """Return the accounts linked under these anchors."""
        marks = ",".join("?" * len(anchors))
        query = (
            "SELECT a.id, a.kind, a.attributes, a.disabled_by, a.deleted_at, a.template, a.local, l.id, l.anchor,"
            " l.record, l.owner, l.enabled, l.gone_at, l.fingerprint, a.revision"
            " FROM links l JOIN accounts a ON a.id = l.account"
            f" WHERE l.connection = ? AND l.anchor IN ({marks})"
        )
        found = self._made(self.conn.execute(query, (self.connection, *anchors)).fetchall())
        return {standing.anchor: standing for standing in found if standing.anchor is not None}

    def by_link(self, links: Sequence[int]) -> list[Standing]:
        """Return the accounts of these links, in the order of their anchors."""
        found: list[Standing] = []
        for chunk in _chunks(links):
            marks = ",".join("?" * len(chunk))
            query = f"{_SELECT} WHERE l.id IN ({marks})".replace(":connection", "?")
            found += self._made(self.conn.execute(query, (self.connection, *chunk)).fetchall())
        return sorted(found, key=lambda one: one.anchor or "")

    def by_account(self, accounts: Iterable[int]) -> dict[int, Standing]:
        """Return these accounts, with this connection's link where there is one."""
        found: dict[int, Standing] = {}
        for chunk in _chunks(list(accounts)):
            marks = ",".join("?" * len(chunk))
            query = f"{_SELECT} WHERE a.id IN ({marks})".replace(":connection", "?")
            rows = self.conn.execute(query, (self.connection, *chunk)).fetchall()
            found.update((standing.account, standing) for standing in self._made(rows))
        return found

    def holders(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return which account holds each of these (attribute, folded value) keys."""
        by_attribute: dict[str, set[str]] = {}
        for attribute, folded in wanted:
            by_attribute.setdefault(attribute, set()).add(folded)
        held: dict[tuple[str, str], int] = {}
        for attribute, values in by_attribute.items():
            for chunk in _chunks(list(values)):
                marks = ",".join("?" * len(chunk))
                rows = self.conn.execute(
                    "SELECT folded, account FROM keys WHERE attribute = ? AND enterprise = ?"
                    f" AND releasing = 0 AND folded IN ({marks})",
                    (attribute, self.enterprise, *chunk),
                )
                held.update(((attribute, folded), account) for folded, account in rows)
        return held

    def candidates(
        self, records: Sequence[Record], match: tuple[str, ...], _: Vocabulary
    ) -> list[Candidates]:
        """Return, for each record, its linked account and the accounts that share a match key."""
        linked = self.by_anchor([record.anchor for record in records])
        keys: dict[str, list[tuple[str, str]]] = {}
        for record in records if match else ():
            known = linked.get(record.anchor)
            if known is None or _left_behind(known):
                keys[record.anchor] = _match_keys(record.values, match)
            elif not known.owner:
                keys[record.anchor] = _match_keys(record.values, _said_anew(record, known, match))
        held = self.holders(key for some in keys.values() for key in some) if keys else {}
        accounts = self.by_account(set(held.values())) if held else {}
        found = []
        for record in records:
            known = linked.get(record.anchor)
            matches = tuple(
                (key[0], accounts[held[key]]) for key in keys.get(record.anchor, ()) if key in held
            )
            if known is not None and matches and _left_behind(known):
                found.append(Candidates(None, matches, known.link))
            else:
                found.append(Candidates(known, matches))
        return found

    def left_behind(self, match: tuple[str, ...]) -> set[bytes]:
        """Return the fingerprints of entries that only added to accounts which are deleted, and whose keys others have.

        Such an entry is looked at though it has not changed: who was deleted has come back as somebody new.
        """
        rows = self.conn.execute(
            "SELECT l.fingerprint, l.record FROM (SELECT 1 FROM links WHERE connection = :connection AND owner = 0 LIMIT 1)"
            " CROSS JOIN accounts a INDEXED BY accounts_deleted"
            " CROSS JOIN links l ON l.account = a.id AND l.connection = :connection AND l.owner = 0"
            " WHERE a.deleted_at IS NOT NULL AND l.fingerprint IS NOT NULL",
            {"connection": self.connection},
        )
        keys = {fingerprint: _match_keys(texts(record), match) for fingerprint, record in rows}
        held = self.holders(key for some in keys.values() for key in some) if keys else {}
        return {fingerprint for fingerprint, some in keys.items() if not held.keys().isdisjoint(some)}

    def _made(self, rows: list[tuple[Any, ...]]) -> list[Standing]:
        others = self._layers([row[0] for row in rows]) if self._others else {}
        made = []
        for row in rows:
            attributes = texts(row[2])
            record = attributes if row[9] == row[2] else texts(row[9])
            # fmt: off
            made.append(
                Standing(
                    row[0],
                    row[1],
                    attributes,
                    row[3],
                    row[4] is not None,
                    texts(row[5]),
                    texts(row[6]),
                    row[7],
                    row[8],
                    record,
                    bool(row[10]),
                    bool(row[11]),
                    row[12],
                    row[13],
                    row[14],
                    others.get(row[0], ()),
                )
            )
            # fmt: on
        return made

    def _layers(self, accounts: list[int]) -> dict[int, tuple[Layer, ...]]:
        found: dict[int, tuple[Layer, ...]] = {}
        for chunk in _chunks(accounts):
            marks = ",".join("?" * len(chunk))
            rows = self.conn.execute(
                "SELECT account, connection, record, owner, gone_at, enabled FROM links"
                f" WHERE connection <> ? AND account IN ({marks}) ORDER BY id",
                (self.connection, *chunk),
            )
            for account, connection, record, owner, gone_at, enabled in rows:
                place = self.precedence_of(connection)
                layer = Layer(place, texts(record), bool(owner), gone_at, bool(enabled))
                found[account] = (*found.get(account, ()), layer)
        return found


def precedence_of(conn: sqlite3.Connection, names: Sequence[str]) -> dict[int, int]:
    """Return the place of each connection in its enterprise's list, by the connection's id."""
    ids = dict(conn.execute("SELECT name, id FROM connections").fetchall())
    return {ids[name]: place for place, name in enumerate(names) if name in ids}


def _said_anew(record: Record, known: Standing, match: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in match if record.values.get(name) != known.record.get(name))


def _left_behind(known: Standing) -> bool:
    """Say whether an entry only added to an account that is deleted: it is free to join another."""
    return known.deleted and not known.owner


def _match_keys(values: Mapping[str, Value], match: tuple[str, ...]) -> list[tuple[str, str]]:
    keys: list[tuple[str, str]] = []
    for attribute in match:
        value = values.get(attribute)
        if isinstance(value, str):
            keys.append((attribute, fold(value)))
        elif value:
            keys.extend((attribute, fold(text)) for text in value)
    return keys


def _chunks(values: Sequence[Any], size: int = 500) -> Iterable[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
