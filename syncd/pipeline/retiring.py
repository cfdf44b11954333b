"""The end of things: a source that is no longer wanted, and a person who is to be forgotten.

A source that is absent from the configuration is frozen: nothing of it is read, nobody is removed. Its
accounts change only when it is retired, which one that is configured cannot be. One that is configured
again under the same name after that starts anew: its first plan is a first plan, and people come back to their accounts by their anchors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import SyncdError
from ..guard import Limits
from ..logs import get_log
from ..model import Operation
from ..planning import Leavers, Terms, departure, parting
from ..store import runs
from ..store.keeping import forget, forgetting, obstacles
from ..store.runs import Connection, Run
from ..store.standings import Standings, precedence_of
from .asking import ask
from .installation import Installation, require_unconfigured
from .line import resume

log = get_log("syncd.line")

CHUNK = 500
"""How many links are looked at together."""


KEPT = Leavers(disabled="keep", removed="keep")
"""What becomes of the accounts of a source that is retired, if they are to stay."""


class Frozen(NamedTuple):
    """A source that is not configured any more, and not retired: of its ``accounts``, ``alone`` have no other owner."""

    name: str
    enterprise: str
    accounts: int
    alone: int


def frozen(here: Installation) -> list[Frozen]:
    """Return the sources that are frozen, by name; one that now has another name is none."""
    configured = [name for one in here.settings.sources.values() for name in (one.name, one.formerly) if name]
    rows = here.database.conn.execute(
        "SELECT c.name, c.enterprise, COUNT(a.id), COALESCE(SUM(l.owner = 1 AND a.id IS NOT NULL AND NOT EXISTS"
        "   (SELECT 1 FROM links o JOIN connections k ON k.id = o.connection WHERE o.account = l.account"
        "     AND o.id <> l.id AND o.owner = 1 AND o.gone_at IS NULL"
        "     AND k.name IN (SELECT value FROM json_each(:configured)))), 0)"
        " FROM connections c LEFT JOIN links l ON l.connection = c.id AND l.gone_at IS NULL"
        " LEFT JOIN accounts a ON a.id = l.account AND a.deleted_at IS NULL"
        " WHERE c.retired_at IS NULL AND c.name NOT IN (SELECT value FROM json_each(:configured))"
        " GROUP BY c.id ORDER BY c.name",
        {"configured": json.dumps(configured)},
    )
    return [Frozen._make(row) for row in rows]


def retire(here: Installation, name: str, *, keep: bool = False, why: str | None = None) -> Run:
    """Plan what becomes of the accounts of a source that is no longer wanted.

    Every link of the connection ends. An account that has no other owner alive is disabled, or with ``keep``
    stays as it is and is nobody's from then on, as one that was made by hand; others lose what this source said of them. Protected accounts stay as they are, without an owner. What its table
    said of leavers and limits is gone with it, so the limits are the default ones. Plans of the
    connection that were open are superseded.

    Raises SyncdError if there is no such connection, it was retired before, or it is still configured:
    its next read would bring everybody back.
    """
    connection = runs.find_connection(here.database, name)
    if connection is None:
        raise SyncdError(f"there is no connection {name!r}; see syncd runs")
    if connection.retired_at is not None:
        raise SyncdError(f"{name} was retired at {connection.retired_at}; there is nothing left to do")
    require_unconfigured(here, connection.id)
    resume(here, connection.id)
    run = ask(
        here,
        kind="retire",
        enterprise=connection.enterprise,
        connection=connection.id,
        operations=_departures(here, connection, Terms(leavers=KEPT) if keep else Terms()),
        why=why,
        limits=Limits(),
    )
    _supersede_plans(here, run)
    return run


def _supersede_plans(here: Installation, run: Run) -> None:
    with here.database.transaction() as conn:
        rows = conn.execute(
            "SELECT id FROM runs WHERE connection = ? AND id <> ? AND kind IN ('sync','retire')"
            " AND state IN ('planned','held')",
            (run.connection, run.id),
        ).fetchall()
        for (other,) in rows:
            runs.supersede(conn, other, here.now())


def _departures(here: Installation, connection: Connection, terms: Terms) -> Iterator[Operation]:
    conn = here.database.conn
    enterprise = here.settings.enterprises.get(connection.enterprise)
    protected = enterprise.protected if enterprise is not None else ()
    standings = Standings(here.database, connection.id, connection.enterprise)
    standings.rank(precedence_of(conn, enterprise.sources if enterprise is not None else ()))
    rows = conn.execute(
        "SELECT id FROM links WHERE connection = ? AND gone_at IS NULL ORDER BY id", (connection.id,)
    )
    links = [link for (link,) in rows.fetchall()]
    for start in range(0, len(links), CHUNK):
        for standing in standings.by_link(links[start : start + CHUNK]):
            one = None
            if not standing.deleted:
                one = departure(standing, "removed", terms, here.settings.vocabulary, protected, due=True)
            yield one if one is not None else parting(standing)


def erase(here: Installation, account: int) -> dict[str, int]:
    """Forget a person: blank everything that the database says of a deleted account.

    What is left is that there was an account with this number, and when something was done to it. Its
    entry, if its source still has it, comes back as a new account; ``queue ignore`` keeps it away.
    Copies of the database made before still know the person. Returns how many rows of what changed,
    and the number of the ``run`` that says so.

    Raises SyncdError for an account that is not deleted, that a platform still knows, or that has an
    open operation.
    """
    _require_gone(here, account)
    with forgetting(here.database) as conn:
        counts = forget(conn, account, here.actor, here.now())
    log.info("decision_recorded", verb="erase", run=counts["run"], account=account)
    return counts


def entries_left(here: Installation, account: int) -> list[tuple[str, str]]:
    """Return (connection, anchor) of the entries that an account had when they were last read, unless ignored.

    Once it is erased, the next full read makes a new account of each.
    """
    rows = here.database.conn.execute(
        "SELECT c.name, l.anchor FROM links l JOIN connections c ON c.id = l.connection WHERE l.account = ?"
        " AND l.missing_since IS NULL AND l.gone_at IS NULL AND c.retired_at IS NULL AND NOT EXISTS"
        "   (SELECT 1 FROM decisions d WHERE d.connection = l.connection AND d.anchor = l.anchor"
        "     AND d.verb = 'ignore' AND d.ended_at IS NULL) ORDER BY c.name, l.anchor",
        (account,),
    )
    return rows.fetchall()


def _require_gone(here: Installation, account: int) -> None:
    row = here.database.conn.execute("SELECT deleted_at FROM accounts WHERE id = ?", (account,)).fetchone()
    if row is None:
        raise SyncdError(f"there is no account {account}; see syncd accounts list")
    if row[0] is None:
        raise SyncdError(
            f"account {account} is not deleted; delete it first: syncd accounts delete {account}, "
            "then syncd sync"
        )
    platforms, operations = obstacles(here.database, account)
    if platforms:
        raise SyncdError(
            f"{', '.join(platforms)} has not confirmed yet that account {account} is gone; "
            "bring it there first: syncd sync"
        )
    if operations:
        numbers = " ".join(map(str, operations))
        raise SyncdError(
            f"something is still to be done to account {account}; settle that first: "
            f"syncd queue discard {numbers}"
        )
