"""The one set-based pass over a staged plan: everything that needs to see the whole of it at once.

Every step runs inside one transaction, while the run is still ``reading``; the order of the entries in
the source has no influence on any of them.
"""

from __future__ import annotations

import json
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from ..model import Fault, Operation, Problem
from ..planning import Leavers, Terms, departure, encode, final_deletion, is_protected, parting
from .contesting import contest_keys, hold
from .database import Database
from .earlier import drop, end_decisions, heed_decisions, keep_open, kept_away
from .numbering import allocate
from .staging import Staging, stamp

CHUNK = 500


class Settled(NamedTuple):
    """What settling found out; the plan itself stands in the operations."""

    plan_hash: str
    complete: bool
    kept: int
    ignored: int
    kept_away: int
    missing: tuple[int, ...]
    doubles: int


def settle(
    staging: Staging,
    terms: Terms,
    protected: tuple[tuple[str, str], ...],
    now: datetime,
    *,
    switched: bool,
) -> Settled:
    """Settle a plan that was read to its Checkpoint. ``switched``: absence means nothing this time."""
    assert staging.checkpoint is not None  # noqa: S101 - the caller has refused a torn read
    complete = staging.checkpoint.full and not staging.blind and not switched
    with staging.database.transaction():
        doubles = _drop_doubles(staging)
        missing = staging.sightings.unseen() if complete else []
        removed = _removed_links(staging)
        _move_links(staging, removed, complete=complete)
        _one_each_way(staging)
        moved = _moved_links(staging)
        leaving = dict.fromkeys([*missing, *removed], False)
        leaving |= _missing_before(staging, terms.leavers, now, counted=complete)
        leaving = {link: due for link, due in leaving.items() if link not in moved}
        _plan_leavers(staging, leaving, removed, terms, protected, now)
        _plan_deletions(staging, moved, terms, protected, now)
        ignored = heed_decisions(staging)
        contest_keys(staging)
        ignored += heed_decisions(staging)
        plan_hash = hash_of(staging.database, staging.run, allocate(staging))
        end_decisions(staging, stamp(now), complete=complete)
        away = kept_away(staging)
        kept = keep_open(staging)
        if kept:  # what is kept lets go of nothing
            contest_keys(staging)
            kept += keep_open(staging)
    gone_missing = tuple(link for link in missing if link not in moved and link not in removed)
    return Settled(plan_hash, complete, kept, ignored, away, gone_missing, doubles)


def settle_asked(staging: Staging) -> str:
    """Settle a plan that a person asked for, and return its hash."""
    with staging.database.transaction():
        contest_keys(staging)
        return hash_of(staging.database, staging.run, allocate(staging))


def hash_of(database: Database, run: int, numbers: list[tuple[str, str, str]]) -> str:
    """Return the hash of a run's plan: the same for the same proposals, whatever their order."""
    digest = sha256(encode(numbers).encode() if numbers else b"")
    for (one,) in database.conn.execute(
        "SELECT digest FROM operations WHERE run = ? ORDER BY digest", (run,)
    ):
        digest.update(one)
    return digest.hexdigest()


def _drop_doubles(staging: Staging) -> int:
    """Use nothing of an anchor that came more than once; return how many there are."""
    conn, run = staging.conn, staging.run
    anchors = {row[0] for row in conn.execute(
        "SELECT anchor FROM operations WHERE run = :run GROUP BY anchor HAVING COUNT(*) > 1"
        " UNION SELECT anchor FROM operations WHERE run = :run AND anchor IN (SELECT anchor FROM temp.told)",
        {"run": run},
    )}  # fmt: skip
    for link in staging.sightings.doubled:
        anchors.update(row[0] for row in conn.execute("SELECT anchor FROM links WHERE id = ?", (link,)))
    for anchor in sorted(anchors):
        message = f"the source has the anchor {anchor!r} more than once; none of these entries was used"
        staging.problem(Problem(anchor, "duplicate_anchor", message))
        conn.execute("INSERT OR IGNORE INTO temp.told VALUES (?)", (anchor,))
    rows = conn.execute("SELECT id, anchor FROM operations WHERE run = ?", (run,)) if anchors else ()
    drop(staging, [operation for operation, anchor in rows if anchor in anchors])
    return len(anchors)


def _removed_links(staging: Staging) -> set[int]:
    if not staging.removed:
        return set()
    rows = staging.conn.execute(
        "SELECT l.id FROM temp.removed r CROSS JOIN links l ON l.connection = ? AND l.anchor = r.anchor"
        " WHERE l.gone_at IS NULL",
        (staging.connection,),
    )
    return {link for (link,) in rows.fetchall() if not staging.sightings.has(link)}


def _move_links(staging: Staging, removed: set[int], *, complete: bool) -> None:
    """Let a re-created entry take over a link only if the old entry is known to be gone."""
    rows = staging.conn.execute(
        "SELECT o.id, o.anchor, l.id, l.anchor, l.gone_at, o.account FROM operations o JOIN links l ON l.id = o.link"
        " WHERE o.run = ? AND o.link_action = 'move' AND o.state = 'planned'",
        (staging.run,),
    ).fetchall()
    for operation, anchor, link, old, gone_at, account in rows:
        present = staging.sightings.has(link)
        if not present and (complete or gone_at is not None or link in removed):
            continue
        still = "is still there" if present else "may still be there: this read cannot tell"
        message = f"{anchor} matches account {account}, which is linked to {old}, and that entry {still}"
        hold(staging, [operation], Fault("ambiguous", None, message, "detained"))


def _moved_links(staging: Staging) -> set[int]:
    rows = staging.conn.execute(
        "SELECT link FROM operations WHERE run = ? AND link_action = 'move'", (staging.run,)
    )
    return {link for (link,) in rows}


def _one_each_way(staging: Staging) -> None:
    """Two entries that match one account are both detained, each naming the other."""
    rows = staging.conn.execute(
        "SELECT account, json_group_array(id), group_concat(anchor, ' and ') FROM"
        " (SELECT account, id, anchor FROM operations WHERE run = :run AND state = 'planned' AND account IN"
        "   (SELECT account FROM operations WHERE run = :run AND kind <> 'add' AND link_action IN ('make','move'))"
        "  ORDER BY anchor) GROUP BY account HAVING COUNT(*) > 1 ORDER BY account",
        {"run": staging.run},
    ).fetchall()
    for account, operations, anchors in rows:
        message = f"{anchors} all match account {account}"
        hold(staging, json.loads(operations), Fault("ambiguous", None, message, "detained"))


def _plan_leavers(
    staging: Staging,
    leaving: dict[int, bool],
    removed: set[int],
    terms: Terms,
    protected: tuple[tuple[str, str], ...],
    now: datetime,
) -> None:
    """Plan what becomes of people who left: at once where it is proven, after their grace where it is not."""
    at_once = terms.leavers.reads <= 1 and not terms.leavers.after
    links = sorted(leaving)
    for start in range(0, len(links), CHUNK):
        planned: list[Operation] = []
        for standing in staging.standings.by_link(links[start : start + CHUNK]):
            link = standing.link or 0
            way = "removed" if link in removed else "missing"
            due = link in removed or leaving[link] or at_once
            one = departure(standing, way, terms, staging.vocabulary, protected, due=due)
            if one is None and way == "removed" and terms.leavers.removed == "keep":
                one = parting(standing)  # or a later read would find the person missing
            if one is not None:
                planned.append(one)
        staging.add(planned, stamp(now))


def _missing_before(staging: Staging, leavers: Leavers, now: datetime, *, counted: bool) -> dict[int, bool]:
    """Return the links that were missing already and are not back, and whether their grace is over.

    This read is ``counted`` as one more where absence means something in it.
    """
    rows = staging.conn.execute(
        "SELECT id, missing_since, reads_missed FROM links"
        " WHERE connection = ? AND missing_since IS NOT NULL AND gone_at IS NULL",
        (staging.connection,),
    ).fetchall()
    latest = stamp(now - leavers.after)
    return {
        link: reads + counted >= leavers.reads and since <= latest
        for link, since, reads in rows
        if not staging.sightings.has(link)
    }


def _plan_deletions(
    staging: Staging,
    moved: set[int],
    terms: Terms,
    protected: tuple[tuple[str, str], ...],
    now: datetime,
) -> None:
    delete_after = terms.leavers.delete_after
    if delete_after is None or "remove" not in terms.operations:
        return
    rows = staging.conn.execute(
        "SELECT l.id FROM links l JOIN accounts a ON a.id = l.account WHERE l.connection = ?"
        " AND l.missing_since IS NOT NULL AND l.gone_at <= ? AND l.owner = 1 AND a.deleted_at IS NULL"
        " AND ',' || a.disabled_by || ',' LIKE '%,missing,%'"
        " AND NOT EXISTS (SELECT 1 FROM links o WHERE o.account = l.account AND o.owner = 1"
        "   AND (o.gone_at IS NULL OR o.gone_at > ?))",
        (staging.connection, stamp(now - delete_after), stamp(now - delete_after)),
    )
    links = [link for (link,) in rows.fetchall() if link not in moved and not staging.sightings.has(link)]
    standings = [
        one for one in staging.standings.by_link(links) if not is_protected(one.attributes, protected)
    ]
    staging.add([final_deletion(one, staging.vocabulary) for one in standings], stamp(now))
