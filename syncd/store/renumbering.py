"""Who has another extension since a run."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from .telephones import TELEPHONES


class Renumbered(NamedTuple):
    """One number of an account, as it was before a run and as it is since; None where there is none."""

    account: int
    attribute: str
    before: str | None
    after: str | None


def renumbered(conn: sqlite3.Connection, run: int) -> list[Renumbered]:
    """Return the extensions that a run has changed, of desk and of soft phones, by account; not those of new ones."""
    rows = conn.execute(
        "SELECT o.account, n.name, json_extract(o.before, '$.' || n.name), json_extract(o.after, '$.' || n.name)"
        f" FROM operations o JOIN (SELECT '{TELEPHONES[0]}' AS name UNION SELECT '{TELEPHONES[1]}') n"
        " WHERE o.run = ? AND o.state = 'applied' AND o.kind <> 'add' AND instr(o.after, '\"' || n.name || '\":')"
        "  AND json_extract(o.before, '$.' || n.name) IS NOT json_extract(o.after, '$.' || n.name)"
        " ORDER BY o.account, n.name",
        (run,),
    )
    return [Renumbered(*row) for row in rows]
