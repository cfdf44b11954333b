"""Keys on the platforms that several enterprises are on: nobody there has one that somebody of another has."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..planning import encode
from ..services import Shared
from .serving import SAID, Conditions
from .telephones import alike

_TAKEN = """
  SELECT t.operation, t.attribute, k.attribute, k.folded, k.account, a.enterprise
  FROM ({takes}) t JOIN operations o ON o.id = t.operation
    JOIN keys k ON k.attribute IN {alike} AND k.folded = t.folded AND k.releasing = 0
      AND k.attribute IN (SELECT value FROM json_each(:keys)) AND k.enterprise <> :enterprise
    JOIN accounts a ON a.id = k.account
  WHERE {there} AND {will}
  ORDER BY o.anchor, o.id, t.attribute, k.account, k.attribute
"""

_GAINED = """
  SELECT c.operation, c.attribute, c.folded FROM temp.claims c JOIN operations p ON p.id = c.operation
  WHERE c.gain = 1 AND p.state = 'planned' AND c.attribute IN (SELECT value FROM json_each(:keys))
"""

# Who comes to be served takes along the keys that the account has and keeps.
_BROUGHT = """
  UNION ALL SELECT o.id, k.attribute, k.folded FROM keys k
    CROSS JOIN operations o ON o.run = :run AND o.account = k.account
  WHERE k.enterprise = :enterprise AND k.releasing = 0 AND o.state = 'planned' AND o.kind <> 'add'
    AND k.attribute IN (SELECT value FROM json_each(:keys)) AND {decides} AND NOT {was}
    AND NOT EXISTS (SELECT 1 FROM temp.claims f
      WHERE f.operation = o.id AND f.attribute = k.attribute AND f.folded = k.folded)
"""

_ASKED = "SELECT :operation AS operation, :attribute AS attribute, :folded AS folded"


class Taken(NamedTuple):
    """An ``operation`` wants as ``attribute`` what an account of another ``enterprise`` has there as ``held``."""

    operation: int
    attribute: str
    held: str
    folded: str
    account: int
    enterprise: str
    platform: str


def taken_elsewhere(
    conn: sqlite3.Connection, run: int, enterprise: str, shared: Sequence[Shared]
) -> list[Taken]:
    """Return what planned operations of a run want and others have; which keys they take is in ``temp.claims``."""
    found: list[Taken] = []
    for one in shared:
        terms, takes, about = Conditions(one.service), _GAINED, {"run": run, "enterprise": enterprise}
        decides = terms.touched(terms.deciding)
        moved = f"run = :run AND kind <> 'add' AND state = 'planned' AND {decides}"
        if conn.execute(f"SELECT 1 FROM operations o WHERE {moved} LIMIT 1", terms.values | about).fetchone():
            was = terms.served("o.account_kind", lambda _: SAID)
            takes += _BROUGHT.format(decides=decides, was=was)
        found += _taken(conn, one, terms, takes, about)
    return found


def is_taken_elsewhere(
    conn: sqlite3.Connection,
    enterprise: str,
    shared: Sequence[Shared],
    operation: int,
    attribute: str,
    folded: str,
) -> bool:
    """Say whether others have what this operation would take."""
    about = {"enterprise": enterprise, "operation": operation, "attribute": attribute, "folded": folded}
    return any(
        attribute in one.keys and _taken(conn, one, Conditions(one.service), _ASKED, about) for one in shared
    )


def _taken(
    conn: sqlite3.Connection, one: Shared, terms: Conditions, takes: str, about: Mapping[str, Any]
) -> list[Taken]:
    query = _TAKEN.format(
        takes=takes,
        alike=alike("t.attribute"),
        there=terms.served("a.kind", lambda _: "a.attributes", "a.enterprise"),
        will=terms.served("o.account_kind", terms.planned),
    )
    names = {**terms.values, **about, "keys": encode(sorted(one.keys))}
    return [Taken._make((*row, one.service.name)) for row in conn.execute(query, names)]
