"""What had to be mended in entries, and is to be corrected in their sources."""

from __future__ import annotations

from typing import NamedTuple

from .database import Database


class Warned(NamedTuple):
    """What is to be corrected in an entry; ``account`` is whose it is, None if it is nobody's."""

    connection: str
    anchor: str
    account: int | None
    code: str
    attribute: str
    message: str


_TOLD = "json_extract(w.value, '$[0]'), json_extract(w.value, '$[1]'), json_extract(w.value, '$[2]')"


def standing(database: Database) -> list[Warned]:
    """Return what is to be corrected by now, by source and entry: what was warned of when each was last read."""
    rows = database.conn.execute(
        f"SELECT c.name, l.anchor, l.account, {_TOLD} FROM links l INDEXED BY links_warned"
        " CROSS JOIN connections c ON c.id = l.connection CROSS JOIN accounts a ON a.id = l.account"
        " CROSS JOIN json_each(l.warnings) w WHERE l.warnings IS NOT NULL AND a.deleted_at IS NULL"
        " ORDER BY c.name, l.anchor, w.key"
    )
    return [Warned._make(row) for row in rows]


def of_run(database: Database, run: int) -> list[Warned]:
    """Return what a run warned of, by entry, whether or not that has an operation."""
    rows = database.conn.execute(
        f"SELECT c.name, o.anchor, o.account, {_TOLD} FROM operations o JOIN connections c ON c.id = o.connection"
        " CROSS JOIN json_each(o.reasons) w WHERE o.run = :run AND json_extract(w.value, '$[3]') = 'warning'"
        " UNION ALL SELECT c.name, p.anchor, l.account, p.code, p.attribute, p.message FROM problems p"
        " JOIN connections c ON c.id = p.connection"
        " LEFT JOIN links l ON l.connection = p.connection AND l.anchor = p.anchor"
        " WHERE p.run = :run AND p.attribute IS NOT NULL ORDER BY 2, 5",
        {"run": run},
    )
    return [Warned._make(row) for row in rows]
