"""The one set-based pass over a staged plan: everything that needs to see the whole of it at once.

Every step runs inside one transaction, while the run is still ``reading``; the order of the entries in
the source has no influence on any of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b, sha256

from ..model import Fault, Operation, Problem
from ..planning import Leavers, Terms, departure, encode, final_deletion, is_protected, parting
from .database import Database
from .staging import Staging, stamp

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling found out; the plan itself stands in the operations."""

    plan_hash: str
    complete: bool
    kept: int
    ignored: int
    missing: tuple[int, ...]


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
        _drop_doubles(staging)
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
        ignored = _heed_decisions(staging)
        _contest_keys(staging)
        plan_hash = hash_of(staging.database, staging.run, _allocate(staging))
        kept = _keep_open(staging)
    gone_missing = tuple(link for link in missing if link not in moved and link not in removed)
    return Settled(plan_hash, complete, kept, ignored, gone_missing)


def settle_asked(staging: Staging) -> str:
    """Settle a plan that a person asked for, and return its hash."""
    with staging.database.transaction():
        _contest_keys(staging)
        return hash_of(staging.database, staging.run, _allocate(staging))


def hold(staging: Staging, operations: Iterable[int], fault: Fault) -> None:
    """Put staged operations in the state that a fault asks for, and give up their keys."""
    conn = staging.conn
    for operation in operations:
        row = conn.execute("SELECT reasons, digest FROM operations WHERE id = ?", (operation,)).fetchone()
        reasons = [*json.loads(row[0] or "[]"), list(fault)]
        digest = blake2b(row[1] + encode(fault).encode(), digest_size=16).digest()
        conn.execute(
            "UPDATE operations SET state = ?, reasons = ?, digest = ? WHERE id = ?",
            (fault.held, encode(reasons), digest, operation),
        )
        conn.execute("DELETE FROM temp.claims WHERE operation = ?", (operation,))


def hash_of(database: Database, run: int, numbers: list[tuple[str, str, str]]) -> str:
    """Return the hash of a run's plan: the same for the same proposals, whatever their order."""
    digest = sha256(encode(numbers).encode() if numbers else b"")
    for (one,) in database.conn.execute(
        "SELECT digest FROM operations WHERE run = ? ORDER BY digest", (run,)
    ):
        digest.update(one)
    return digest.hexdigest()


def _drop_doubles(staging: Staging) -> None:
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
    _drop(staging, [operation for operation, anchor in rows if anchor in anchors])


def _removed_links(staging: Staging) -> set[int]:
    if not staging.removed:
        return set()
    rows = staging.conn.execute(
        "SELECT l.id FROM temp.removed r JOIN links l ON l.connection = ? AND l.anchor = r.anchor"
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
    standings = [one for one in staging.standings.by_link(links) if not is_protected(one.attributes, protected)]
    staging.add([final_deletion(one, staging.vocabulary) for one in standings], stamp(now))


def _heed_decisions(staging: Staging) -> int:
    """Drop what people have said not to ask again: an entry, or one very proposal."""
    conn, run = staging.conn, staging.run
    query = (
        "SELECT o.id FROM decisions d JOIN operations o ON o.run = ? AND o.anchor = d.anchor"
        " WHERE d.connection = ? AND d.ended_at IS NULL AND d.verb IN ('ignore','discard','undo')"
        " AND (d.digest IS NULL OR d.digest = o.digest)"
    )
    if not conn.execute(
        "SELECT 1 FROM decisions WHERE connection = ? LIMIT 1", (staging.connection,)
    ).fetchone():
        return 0
    dropped = [row[0] for row in conn.execute(query, (run, staging.connection)).fetchall()]
    _drop(staging, dropped)
    return len(dropped)


def _contest_keys(staging: Staging) -> None:
    """Detain every operation whose key another one wants as well, or holds and does not let go.

    What is detained gives up what it would have freed, so this is repeated until nothing changes: whole
    swaps and chains pass, and a chain with one bad link stops exactly where it is broken.
    """
    conn = staging.conn
    if not conn.execute("SELECT 1 FROM temp.claims WHERE gain = 1 LIMIT 1").fetchone():
        return
    conn.execute("CREATE INDEX IF NOT EXISTS temp.claims_key ON claims (attribute, folded)")
    while True:
        faults = [*_wanted_twice(staging), *_held_elsewhere(staging)]
        if not faults:
            return
        for operation, attribute, message in faults:
            hold(staging, [operation], Fault("key_taken", attribute, message, "detained"))


def _wanted_twice(staging: Staging) -> list[tuple[int, str, str]]:
    rows = staging.conn.execute(
        "SELECT c.operation, c.attribute, c.folded, o.anchor FROM temp.claims c JOIN operations o"
        " ON o.id = c.operation WHERE c.gain = 1 AND (c.attribute, c.folded) IN"
        " (SELECT attribute, folded FROM temp.claims WHERE gain = 1 GROUP BY attribute, folded"
        "  HAVING COUNT(*) > 1) ORDER BY c.attribute, c.folded, o.anchor"
    ).fetchall()
    wanted: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for operation, attribute, folded, anchor in rows:
        wanted.setdefault((attribute, folded), []).append((operation, anchor))
    return [
        (
            operation,
            attribute,
            f"{attribute} {folded!r} is wanted by {' and '.join(str(a) for _, a in rivals)}",
        )
        for (attribute, folded), rivals in wanted.items()
        for operation, _ in rivals
    ]


def _held_elsewhere(staging: Staging) -> list[tuple[int, str, str]]:
    rows = staging.conn.execute(
        "SELECT c.operation, c.attribute, c.folded, k.account FROM temp.claims c"
        " JOIN keys k ON k.attribute = c.attribute AND k.folded = c.folded AND k.enterprise = ? AND k.releasing = 0"
        " JOIN operations o ON o.id = c.operation"
        " WHERE c.gain = 1 AND k.account <> o.account AND NOT EXISTS"
        " (SELECT 1 FROM temp.claims f JOIN operations g ON g.id = f.operation WHERE f.gain = 0"
        "   AND f.attribute = c.attribute AND f.folded = c.folded AND g.account = k.account AND g.state = 'planned')"
        " ORDER BY c.operation",
        (staging.enterprise,),
    ).fetchall()
    return [
        (operation, attribute, f"{attribute} {folded!r} belongs to account {account}")
        for operation, attribute, folded, account in rows
    ]


def _allocate(staging: Staging) -> list[tuple[str, str, str]]:
    """Give numbers to new accounts, in the order of their anchors: ascending, skipping what is in use.

    Returns (anchor, attribute, number). A number is part of the plan, and not of the proposal's digest:
    a proposal is the same one whatever number is free.
    """
    conn = staging.conn
    rows = conn.execute(
        "SELECT n.operation, n.attribute, n.first, n.last, n.width, o.anchor"
        " FROM temp.numbers n JOIN operations o ON o.id = n.operation"
        " WHERE o.run = ? AND o.state = 'planned' ORDER BY o.anchor, n.attribute",
        (staging.run,),
    ).fetchall()
    following: dict[tuple[str, int, int], int] = {}
    given: list[tuple[str, str, str]] = []
    for operation, attribute, first, last, width, anchor in rows:
        span = (attribute, first, last)
        number = _free_number(staging, attribute, following.get(span, first), last, width)
        if number is None:
            message = f"no number from {first} to {last} is free for {attribute}"
            hold(staging, [operation], Fault("numbers_used_up", attribute, message))
            continue
        following[span] = int(number) + 1
        conn.execute(
            "UPDATE operations SET after = json_patch(after, :said),"
            " template = json_patch(COALESCE(template, '{}'), :said) WHERE id = :operation",
            {"said": encode({attribute: number}), "operation": operation},
        )
        conn.execute("INSERT INTO temp.claims VALUES (?,?,?,1)", (operation, attribute, number))
        given.append((anchor, attribute, number))
    return given


def _free_number(staging: Staging, attribute: str, start: int, last: int, width: int) -> str | None:
    for candidate in range(start, last + 1):
        number = str(candidate).zfill(width)
        taken = staging.conn.execute(
            "SELECT 1 FROM keys WHERE attribute = ? AND folded = ? AND enterprise = ?"
            " UNION ALL SELECT 1 FROM temp.claims WHERE attribute = ? AND folded = ? AND gain = 1 LIMIT 1",
            (attribute, number, staging.enterprise, attribute, number),
        ).fetchone()
        if taken is None:
            return number
    return None


def _keep_open(staging: Staging) -> int:
    """Where the very same proposal is open already, keep that row (its state, age and edits), drop ours."""
    conn = staging.conn
    conn.execute("DROP TABLE IF EXISTS temp.kept")
    conn.execute("CREATE TEMP TABLE kept (operation INTEGER PRIMARY KEY)")
    rows = conn.execute(
        "SELECT o.id, n.id, o.state, n.state FROM operations o INDEXED BY operations_open JOIN operations n"
        " ON n.run = ? AND n.anchor = o.anchor AND n.digest = o.digest"
        " WHERE o.connection = ? AND o.state IN ('detained','failed','waiting') AND o.run <> n.run",
        (staging.run, staging.connection),
    ).fetchall()
    kept = 0
    for old, new, old_state, new_state in rows:
        if old_state == "waiting" and new_state == "planned":
            continue
        _drop(staging, [new])
        conn.execute("INSERT INTO temp.kept VALUES (?)", (old,))
        kept += 1
    return kept


def _drop(staging: Staging, operations: Iterable[int]) -> None:
    """Take staged operations back, and the keys that they asked for."""
    for operation in operations:
        staging.conn.execute("DELETE FROM temp.claims WHERE operation = ?", (operation,))
        staging.conn.execute("DELETE FROM operations WHERE id = ?", (operation,))
