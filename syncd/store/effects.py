"""What a plan means for each platform: who would appear there, change there, or vanish from there.

Who is there is what the platform has confirmed. It is one pass over the plan for each platform, in SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta

from ..guard import Effect, Limits
from ..services import Service
from .policies import NOT_WITHHELD
from .serving import SAID, Conditions
from .staging import Staging, stamp

_PLANNED = """
  INSERT INTO temp.effects SELECT :platform, o.id, CASE
    WHEN o.kind = 'add' THEN CASE WHEN {added} THEN 'appear' END
    WHEN NOT EXISTS (SELECT 1 FROM remotes r
        WHERE r.platform = :platform AND r.account = o.account AND r.remote_id IS NOT NULL)
      THEN CASE WHEN o.kind NOT IN ('disable','delete') AND ({decides}) AND {will}
        AND ({revived} OR (NOT {was} AND EXISTS
          (SELECT 1 FROM accounts a WHERE a.id = o.account AND a.deleted_at IS NULL))) THEN 'appear' END
    WHEN o.kind IN ('disable','delete') OR (({decides}) AND NOT {will}) THEN 'vanish'
    WHEN o.kind = 'enable' OR {told} THEN 'change' END
  FROM operations o WHERE o.run = :run
    AND (o.state = 'planned' OR (o.state = 'waiting' AND o.kind IN ('disable','delete')))
"""

# What was applied in a day: as it was delivered, or as it is about to be.
_APPLIED = f"""
  SELECT effect, COUNT(*) FROM (
    SELECT d.revision, CASE WHEN o.kind = 'add' OR d.action = 'add' THEN 'appear'
      WHEN d.action IN ('disable','delete') THEN 'vanish' ELSE 'change' END AS effect
    FROM deliveries d CROSS JOIN operations o ON o.id = d.revision
    WHERE d.platform = :platform AND d.result = 'confirmed' AND d.at >= :since
      AND o.changed_at >= :since AND o.undone_by IS NULL
    UNION
    SELECT r.wanted, CASE WHEN o.kind IN ('disable','delete') OR a.deleted_at IS NOT NULL OR NOT {{served}}
        THEN CASE WHEN r.remote_id IS NOT NULL AND {NOT_WITHHELD} THEN 'vanish' END
      WHEN o.kind = 'add' OR r.remote_id IS NULL THEN 'appear' ELSE 'change' END
    FROM remotes r CROSS JOIN operations o ON o.id = r.wanted CROSS JOIN accounts a ON a.id = r.account
    WHERE r.platform = :platform AND r.state <> 'done' AND o.changed_at >= :since AND o.undone_by IS NULL
  ) GROUP BY effect
"""


def planned_effect(staging: Staging, service: Service, limits: Limits, now: datetime) -> Effect:
    """Return what a staged plan would do on one platform; each operation's part stands in ``temp.effects``."""
    conn, terms = staging.conn, Conditions(service)
    query = _PLANNED.format(
        added=terms.served("o.account_kind", lambda _: "o.after"),
        will=terms.served("o.account_kind", terms.planned),
        was=terms.served("o.account_kind", lambda _: SAID),
        revived=terms.touched(["deleted"]),
        decides=terms.touched(["deleted", *terms.deciding]),
        told=terms.touched(sorted(service.told)),
    )
    conn.execute(query, {**terms.values, "platform": service.name, "run": staging.run})
    counted = conn.execute(
        "SELECT effect, COUNT(*) FROM temp.effects WHERE platform = ? GROUP BY effect", (service.name,)
    )
    return effect_of(conn, service, limits, dict(counted.fetchall()), now)


def effect_of(
    conn: sqlite3.Connection, service: Service, limits: Limits, counted: Mapping[str, int], now: datetime
) -> Effect:
    """Return an effect of which it is ``counted`` how many would ``appear``, ``change`` and ``vanish``."""
    there = conn.execute(
        "SELECT COUNT(*) FROM remotes WHERE platform = ? AND remote_id IS NOT NULL", (service.name,)
    ).fetchone()[0]
    judged = {"appear": limits.add, "change": limits.update, "vanish": limits.remove}
    daily = any(counted.get(name) and limit.per_day is not None for name, limit in judged.items())
    today = _done_since(conn, service, stamp(now - timedelta(hours=24))) if daily else {}
    return Effect(
        platform=service.name,
        there=there,
        appear=counted.get("appear", 0),
        change=counted.get("change", 0),
        vanish=counted.get("vanish", 0),
        appeared_today=today.get("appear", 0),
        changed_today=today.get("change", 0),
        vanished_today=today.get("vanish", 0),
        limits=limits,
    )


def _done_since(conn: sqlite3.Connection, service: Service, since: str) -> dict[str, int]:
    terms = Conditions(service)
    query = _APPLIED.format(served=terms.served("a.kind", lambda _: "a.attributes", "a.enterprise"))
    rows = conn.execute(query, {**terms.values, "platform": service.name, "since": since})
    return dict(rows.fetchall())
