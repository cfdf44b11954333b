"""The counts of a staged plan that the guards look at, and the read-only view that plugins get."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ..guard import Limits, Summary
from ..model import Licences
from ..services import Service
from .database import Database
from .effects import planned_effect
from .licences import demand, users_by_profile
from .settling import Settled
from .staging import Staging, stamp
from .standings import texts

_APPLIED = "applied_"
_REMOVES = "kind IN ('disable','delete') AND state IN ('planned','waiting')"


class PlannedOperation(NamedTuple):
    """One operation of a plan, as ``review_plan`` sees it."""

    id: int
    kind: str
    account: int
    anchor: str | None
    state: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class PlanView:
    """A whole plan, read-only: ``summary`` holds its counts, iterating yields its operations one by one."""

    def __init__(self, database: Database, run: int, summary: Summary) -> None:
        self._database = database
        self.run = run
        self.summary = summary

    def __iter__(self) -> Iterator[PlannedOperation]:
        rows = self._database.conn.execute(
            "SELECT id, kind, account, anchor, state, before, after FROM operations WHERE run = ? ORDER BY id",
            (self.run,),
        )
        for number, kind, account, anchor, state, before, after in rows:
            yield PlannedOperation(number, kind, account, anchor, state, texts(before), texts(after))


def summarise(
    staging: Staging,
    *,
    kind: str,
    detain: str,
    settled: Settled | None,
    services: Sequence[tuple[Service, Limits]],
    broken_plugins: Sequence[str],
    licences: Licences,
    now: datetime,
) -> Summary:
    """Count what a staged plan would do, and what is known of its source."""
    conn, run, connection = staging.conn, staging.run, staging.connection
    counted = dict(conn.execute(
        "SELECT kind, COUNT(*) FROM operations WHERE run = ? AND state = 'planned' GROUP BY kind", (run,)
    ).fetchall())  # fmt: skip
    removals = conn.execute(
        f"SELECT COUNT(*) FROM operations WHERE run = ? AND {_REMOVES}", (run,)
    ).fetchone()[0]
    moves = conn.execute(
        "SELECT COUNT(*) FROM operations WHERE run = ? AND link_action = 'move'", (run,)
    ).fetchone()[0]
    sizes, trusted = (), None
    if connection is not None:
        row = conn.execute(
            "SELECT sizes, trusted_since FROM connections WHERE id = ?", (connection,)
        ).fetchone()
        sizes, trusted = tuple(json.loads(row[0])), row[1]
    owned, linked = managed(staging)
    planned = any(counted.values()) or removals
    today = _done_since(staging, stamp(now - timedelta(hours=24))) if planned else {}
    changes = demand(staging.database, run, licences) if planned and licences.counts else ()
    return Summary(
        kind=kind,
        adds=counted.get("add", 0),
        updates=counted.get("update", 0) + counted.get("enable", 0),
        removals=removals,
        moves=moves,
        managed=owned,
        linked=linked,
        removed_today=today.get("disable", 0) + today.get("delete", 0),
        added_today=today.get("add", 0),
        updated_today=today.get("update", 0) + today.get("enable", 0),
        size=entries_told(staging) if settled is not None and _is_whole(staging) else None,
        sizes=sizes,
        first=connection is not None and trusted is None,
        detain=detain,
        containers=_containers(staging) if removals else {},
        effects=[planned_effect(staging, service, limits, now) for service, limits in services],
        broken_plugins=broken_plugins,
        licences=licences,
        users=users_by_profile(staging.database) if changes else {},
        changes=changes,
    )


def managed(staging: Staging) -> tuple[int, int]:
    """Return how many accounts the connection owns, and how many it is linked to, whose entries are there.

    Without a connection both are the accounts of the enterprise.
    """
    conn, connection = staging.conn, staging.connection
    if connection is None:
        query = "SELECT COUNT(*) FROM accounts WHERE enterprise = ? AND deleted_at IS NULL"
        count = int(conn.execute(query, (staging.enterprise,)).fetchone()[0])
        return count, count
    total = conn.execute(
        "SELECT COUNT(*) FROM links INDEXED BY links_fingerprint WHERE connection = ?", (connection,)
    ).fetchone()[0]
    not_owned = conn.execute(
        "SELECT COUNT(*) FROM links WHERE connection = ? AND owner = 0", (connection,)
    ).fetchone()[0]
    gone, gone_owned = conn.execute(
        "SELECT COUNT(*), COALESCE(SUM(owner), 0) FROM links"
        " WHERE connection = ? AND missing_since IS NOT NULL AND gone_at IS NOT NULL",
        (connection,),
    ).fetchone()
    return int(total - not_owned - gone_owned), int(total - gone)


def _is_whole(staging: Staging) -> bool:
    """Say whether everybody was read; also where absence means nothing because the source was switched."""
    return staging.checkpoint is not None and staging.checkpoint.full and not staging.blind


def counts_of(staging: Staging, settled: Settled, summary: Summary) -> dict[str, int]:
    """Return the numbers that the journal keeps of a run that was planned."""
    counts = {
        "entries": entries_told(staging),
        "add": summary.adds,
        "update": summary.updates,
        "remove": summary.removals,
        "kept": settled.kept,
        "ignored": settled.ignored,
        "kept_away": settled.kept_away,
        "missing": len(settled.missing),
        "problems": staging.problems,
        "warnings": staging.warnings,
    }
    if summary.size is not None:
        counts["size"] = summary.size
    refused = dict(staging.refused)
    counts["unmatched"] = refused.pop("unmatched", 0)
    counts.update({f"refused_{kind}": count for kind, count in refused.items()})
    for one in summary.effects:
        counts[f"appear:{one.platform}"], counts[f"vanish:{one.platform}"] = one.appear, one.vanish
        counts[f"change:{one.platform}"] = one.change
    return counts


def entries_told(staging: Staging) -> int:
    """Count the entries of a read: those known, those staged, in the queue, refused or ignored, those with a problem."""
    conn = staging.conn
    staged, moved = conn.execute(
        "SELECT TOTAL(link IS NULL AND anchor IS NOT NULL), TOTAL(link_action = 'move') FROM operations"
        " WHERE run = :run OR id IN (SELECT operation FROM temp.kept)",
        {"run": staging.run},
    ).fetchone()
    told = conn.execute(
        "SELECT COUNT(*) FROM temp.told t WHERE NOT EXISTS"
        " (SELECT 1 FROM links l WHERE l.connection = ? AND l.anchor = t.anchor)",
        (staging.connection,),
    ).fetchone()[0]
    heeded = conn.execute("SELECT COUNT(*) FROM temp.heeded WHERE link IS NULL").fetchone()[0]
    refused = staging.refused.get("add", 0) + staging.refused.get("unmatched", 0)
    return int(staging.sightings.count + staged + moved + told + heeded + refused)


def _done_since(staging: Staging, since: str) -> dict[str, int]:
    """Count what was applied since then, and not undone, by the kind of operation.

    Each run knows what it has applied; what was undone of that was undone later, and so since then as well.
    """
    conn = staging.conn
    about = {"connection": staging.connection, "enterprise": staging.enterprise, "since": since}
    done: Counter[str] = Counter()
    for (counts,) in conn.execute(
        "SELECT counts FROM runs WHERE connection IS :connection AND enterprise = :enterprise AND ended_at >= :since",
        about,
    ):
        done.update(
            {
                name.removeprefix(_APPLIED): n
                for name, n in json.loads(counts).items()
                if name.startswith(_APPLIED)
            }
        )
    undone = conn.execute(
        "SELECT o.kind, COUNT(DISTINCT o.id) FROM runs u CROSS JOIN operations i ON i.run = u.id"
        " CROSS JOIN operations o ON o.id = i.undoes CROSS JOIN runs r ON r.id = o.run"
        " WHERE u.undoes IS NOT NULL AND u.ended_at >= :since AND o.state = 'applied' AND o.undone_by IS NOT NULL"
        " AND r.connection IS :connection AND r.enterprise = :enterprise AND r.ended_at >= :since GROUP BY o.kind",
        about,
    )
    done.subtract(dict(undone.fetchall()))
    return done


def _containers(staging: Staging) -> dict[str, tuple[int, int]]:
    """Count, for each container that somebody would leave, who is in it and who would go."""
    conn = staging.conn
    leaving: dict[str, int] = {}
    rows = conn.execute(
        "SELECT json_extract(l.record, '$.distinguished_name') FROM operations o JOIN links l ON l.id = o.link"
        f" WHERE o.run = ? AND o.{_REMOVES.replace('state', 'o.state')}",
        (staging.run,),
    )
    for (name,) in rows:
        if name:
            container = _parent(name)
            leaving[container] = leaving.get(container, 0) + 1
    if not leaving:
        return {}
    whole = dict.fromkeys(leaving, 0)
    rows = conn.execute(
        "SELECT json_extract(record, '$.distinguished_name') FROM links WHERE connection = ? AND gone_at IS NULL",
        (staging.connection,),
    )
    for (name,) in rows:
        container = _parent(name) if name else ""
        if container in whole:
            whole[container] += 1
    return {container: (max(whole[container], count), count) for container, count in leaving.items()}


def _parent(name: str) -> str:
    """Return a distinguished name without its first part; an escaped comma does not end a part."""
    at = 0
    while True:
        at = name.find(",", at)
        if at < 0:
            return ""
        if name[at - 1] != "\\":
            return name[at + 1 :].strip()
        at += 1
