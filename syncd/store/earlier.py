"""What earlier plans, and what people have decided of them, mean for a plan that is made now."""

from __future__ import annotations

from collections.abc import Iterable

from .queue import KEPT_AWAY
from .staging import Staging

_SAYS = ("account", "kind", "link_action", "enabled", "owner", "record", "reasons")
"""What a source says with an operation. What its account comes to by that, other sources have a part in."""


def heed_decisions(staging: Staging) -> int:
    """Drop what people have said not to ask again: an entry, or one very proposal.

    A proposal is the same one as long as its source says the same, whatever others say of the account by now.
    Returns how many were of entries that are ignored.
    """
    conn = staging.conn
    if not conn.execute(
        "SELECT 1 FROM decisions WHERE connection = ? AND ended_at IS NULL LIMIT 1", (staging.connection,)
    ).fetchone():
        return 0
    rows = conn.execute(
        "SELECT o.id, o.anchor, o.link, MAX(d.digest IS NULL)"
        " FROM operations o CROSS JOIN decisions d ON d.anchor = o.anchor"
        " LEFT JOIN operations w ON w.id = d.operation AND w.origin IS NULL"
        " WHERE o.run = ? AND d.connection = ? AND d.ended_at IS NULL AND d.verb IN ('ignore','discard','undo')"
        f" AND (d.digest IS NULL OR d.digest = o.digest OR ({_of('w')}) IS ({_of('o')})) GROUP BY o.id",
        (staging.run, staging.connection),
    ).fetchall()
    drop(staging, [row[0] for row in rows])
    conn.executemany("INSERT OR IGNORE INTO temp.heeded VALUES (?,?)", [row[1:3] for row in rows])
    return sum(row[3] for row in rows)


def _of(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in _SAYS)


def kept_away(staging: Staging) -> int:
    """Count the proposals that are not made again, whether or not this read has told of their entries."""
    row = staging.conn.execute(
        "SELECT COUNT(*) FROM (SELECT DISTINCT d.anchor, d.digest FROM decisions d WHERE d.connection = ?"
        f" AND {KEPT_AWAY})",
        (staging.connection,),
    ).fetchone()
    return int(row[0])


def end_decisions(staging: Staging, now: str, *, complete: bool) -> None:
    """End what was decided of one very proposal where the source has told something else by now."""
    conn = staging.conn
    rows = conn.execute(
        "SELECT d.id, l.id, w.link_action = 'end', d.anchor IN (SELECT anchor FROM temp.told),"
        " d.anchor IN (SELECT anchor FROM operations WHERE run = :run AND record IS NOT NULL)"
        " FROM decisions d LEFT JOIN links l ON l.connection = d.connection AND l.anchor = d.anchor"
        " LEFT JOIN operations w ON w.id = d.operation"
        f" WHERE d.connection = :connection AND {KEPT_AWAY}"
        " AND d.anchor NOT IN (SELECT anchor FROM temp.heeded)",
        {"run": staging.run, "connection": staging.connection},
    ).fetchall()
    for decision, link, absence, told, otherwise in rows:
        if link is None:
            over = complete and not told
        else:
            over = staging.sightings.has(link) and (absence or not told)
        if otherwise or over:
            conn.execute("UPDATE decisions SET ended_at = ? WHERE id = ?", (now, decision))


def keep_open(staging: Staging) -> int:
    """Where the very same proposal is open already, keep that row (its state, age and edits), drop ours.

    Ours counts where it is due and the other waits, and where the other is of a plan that nobody has agreed
    to: what a guard detained of that is for the guards to judge again, with the rest of it.
    """
    names = {"run": staging.run, "connection": staging.connection}
    others = "o.connection = :connection AND o.state IN ('detained','failed','waiting') AND o.run <> :run"
    if not staging.conn.execute(
        f"SELECT 1 FROM operations o INDEXED BY operations_open WHERE {others} LIMIT 1", names
    ).fetchone():
        return 0
    rows = staging.conn.execute(
        "SELECT o.id, n.id, n.state IN ('planned','waiting') AND r.state IN ('planned','held')"
        "   OR n.state = 'planned' AND o.state = 'waiting'"
        " FROM operations n CROSS JOIN operations o INDEXED BY operations_open ON o.anchor = n.anchor"
        f" CROSS JOIN runs r ON r.id = o.run WHERE n.run = :run AND o.digest = n.digest AND {others}",
        names,
    ).fetchall()
    kept = 0
    for old, new, ours in rows:
        if ours:
            continue
        drop(staging, [new])
        staging.conn.execute("INSERT INTO temp.kept VALUES (?)", (old,))
        kept += 1
    return kept


def drop(staging: Staging, operations: Iterable[int]) -> None:
    """Take staged operations back, and the keys that they asked for."""
    for operation in operations:
        staging.conn.execute("DELETE FROM temp.claims WHERE operation = ?", (operation,))
        staging.conn.execute("DELETE FROM operations WHERE id = ?", (operation,))


def supersede_outdated(staging: Staging, now: str, *, complete: bool) -> None:
    """End the open operations that this read has overtaken; an undo is, only by another proposal."""
    conn = staging.conn
    rows = conn.execute(
        "SELECT o.id, o.anchor, o.link_action, l.id, l.gone_at, o.undoes IS NULL,"
        " o.anchor IN (SELECT anchor FROM operations WHERE run = :run)"
        " OR l.id IN (SELECT link FROM operations WHERE run = :run AND link_action = 'move')"
        " FROM operations o INDEXED BY operations_open"
        " LEFT JOIN links l ON l.connection = o.connection AND l.anchor = o.anchor"
        " WHERE o.connection = :connection AND o.state IN ('detained','failed','waiting') AND o.run <> :run"
        " AND NOT EXISTS (SELECT 1 FROM temp.kept k WHERE k.operation = o.id)",
        {"run": staging.run, "connection": staging.connection},
    ).fetchall()
    for operation, anchor, link_action, link, gone_at, proposed, replaced in rows:
        gone = gone_at is not None
        if replaced or (
            proposed and _overtaken(staging, anchor, link_action, link, gone=gone, complete=complete)
        ):
            conn.execute(
                "UPDATE operations SET state = 'superseded', changed_at = ? WHERE id = ?", (now, operation)
            )


def _overtaken(
    staging: Staging, anchor: str, link_action: str, link: int | None, *, gone: bool, complete: bool
) -> bool:
    conn = staging.conn
    if link is None:
        told = conn.execute("SELECT 1 FROM temp.told WHERE anchor = ?", (anchor,)).fetchone()
        removed = conn.execute("SELECT 1 FROM temp.removed WHERE anchor = ?", (anchor,)).fetchone()
        return removed is not None or (complete and told is None)
    if link_action == "end":
        return staging.sightings.has(link) or gone
    touched = conn.execute("SELECT 1 FROM temp.touched WHERE link = ?", (link,)).fetchone()
    return link in staging.sightings.same or touched is not None
