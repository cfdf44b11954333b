"""What a plan means for each platform: who would appear there, change there, or vanish from there.

Who is there is what the platform has confirmed. It is one pass over the plan for each platform, in SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ..guard import Effect, Limits
from ..services import Service
from .policies import NOT_WITHHELD
from .staging import Staging, stamp

_SAID = "(SELECT a.attributes FROM accounts a WHERE a.id = o.account)"

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
    conn, terms = staging.conn, _Terms(service)
    query = _PLANNED.format(
        added=terms.served("o.account_kind", lambda _: "o.after"),
        will=terms.served("o.account_kind", terms.planned),
        was=terms.served("o.account_kind", lambda _: _SAID),
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
    terms = _Terms(service)
    query = _APPLIED.format(served=terms.served("a.kind", lambda _: "a.attributes", "a.enterprise"))
    rows = conn.execute(query, {**terms.values, "platform": service.name, "since": since})
    return dict(rows.fetchall())


class _Terms:
    """The terms of a service as conditions in SQL, and the ``values`` to bind to them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.values: dict[str, Any] = {}
        self.elsewhere = service.elsewhere
        self.deciding = (*service.accept, *(["role"] if self.elsewhere else []))
        """The attributes that have a say in whether an account is served."""

    def served(self, kind: str, document: Callable[[str], str], enterprise: str = "") -> str:
        """Return what ``services.serves`` says; ``document`` is where to look for an attribute."""
        service = self.service
        terms = [f"{kind} IN ({self._bound(sorted(service.kinds))})"]
        if enterprise and service.enterprises is not None:
            terms.append(f"{enterprise} IN ({self._bound(sorted(service.enterprises))})")
        for name, allowed in service.accept.items():
            place = f"{document(name)}, {self._path(name)}"
            terms.append(
                f"EXISTS (SELECT 1 FROM json_each({place}) WHERE value IN ({self._bound(sorted(allowed))}))"
            )
        if self.elsewhere:
            place = f"{document('role')}, {self._path('role')}"
            terms.append(f"(json_extract({place}) IN ({self._bound(self.elsewhere)})) IS NOT TRUE")
        return f"({' AND '.join(terms)})"

    def touched(self, names: Iterable[str]) -> str:
        """Return whether ``o.after`` has any of these; in JSON nothing but a name is followed by a colon."""
        texts = (self._bound([f'"{name}":']) for name in names)
        return f"({' OR '.join(f'instr(o.after, {text})' for text in texts) or '0'})"

    def planned(self, name: str) -> str:
        """Return the document that says what an attribute will be."""
        return f"CASE WHEN {self.touched([name])} THEN o.after ELSE {_SAID} END"

    def _path(self, name: str) -> str:
        return self._bound([f'$."{name}"'])

    def _bound(self, values: Iterable[Any]) -> str:
        names = []
        for value in values:
            names.append(f":v{len(self.values)}")
            self.values[f"v{len(self.values)}"] = value
        return ", ".join(names)
