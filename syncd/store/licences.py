"""Who has licences, and what a plan needs of them: one pass over accounts and plan, and only where any are counted."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ..model import Change, Licences, Need
from .database import OPEN, Database

_PROFILE = "json_extract({}, '$.feature_profile')"
_HAS_PROFILE = """kind = 'user' AND disabled_by IS NULL AND deleted_at IS NULL
  AND instr(attributes, '"feature_profile":')"""
_INDEX = f"CREATE INDEX IF NOT EXISTS accounts_profile ON accounts({_PROFILE.format('attributes')}) WHERE {_HAS_PROFILE}"
_SAYS = "json_type(o.after, '$.{}') IS NOT NULL"
_TABLES = """
  CREATE TEMP TABLE IF NOT EXISTS demand (operation INTEGER PRIMARY KEY, was TEXT, will TEXT, leaves INTEGER);
  DELETE FROM temp.demand;
  CREATE TEMP TABLE IF NOT EXISTS licensed (profile TEXT, feature TEXT);
  DELETE FROM temp.licensed
"""
# A user takes the licences of a feature profile while the account is neither disabled nor deleted.
_DEMAND = f"""
  WITH changes (operation, was, will, leaves) AS MATERIALIZED (
    SELECT o.id,
      CASE WHEN a.disabled_by IS NULL AND a.deleted_at IS NULL THEN {_PROFILE.format("a.attributes")} END,
      CASE WHEN CASE WHEN {_SAYS.format("disabled_by")} THEN json_extract(o.after, '$.disabled_by')
          ELSE a.disabled_by END IS NULL
        AND NOT CASE WHEN {_SAYS.format("deleted")} THEN COALESCE(json_extract(o.after, '$.deleted'), 0)
          ELSE a.deleted_at IS NOT NULL END
        THEN CASE WHEN {_SAYS.format("feature_profile")} THEN {_PROFILE.format("o.after")}
          ELSE {_PROFILE.format("a.attributes")} END END,
      o.kind IN ('disable','delete')
    FROM operations o LEFT JOIN accounts a ON a.id = o.account
    WHERE o.run = ? AND o.state = 'planned' AND o.account_kind = 'user' AND (o.kind <> 'update'
      OR {_SAYS.format("feature_profile")} OR {_SAYS.format("disabled_by")} OR {_SAYS.format("deleted")}))
  INSERT INTO temp.demand SELECT * FROM changes WHERE was IS NOT will
"""
# Links and states that others have changed since: such an operation may be stale, and then does nothing.
_DOUBTFUL = """
  UPDATE temp.demand SET was = NULL WHERE was IS NOT NULL AND EXISTS (
    SELECT 1 FROM operations o JOIN operations x ON x.account = o.account
    WHERE o.id = demand.operation AND x.state = 'applied' AND x.run <> :run
      AND (x.id > o.id OR x.changed_at > :planned)
      AND (x.link_action NOT IN ('none','local','policy') OR json_type(x.after, '$.feature_profile') IS NOT NULL
        OR json_type(x.after, '$.disabled_by') IS NOT NULL OR json_type(x.after, '$.deleted') IS NOT NULL))
"""
OF_FEATURE = """id IN (SELECT d.operation FROM temp.demand d JOIN temp.licensed l ON l.profile = d.will
  WHERE l.feature = ? AND NOT EXISTS
    (SELECT 1 FROM temp.licensed x WHERE x.profile = d.was AND x.feature = l.feature))"""
"""True of an operation that needs a licence of a feature; to be asked after ``demand``."""


class Stand(NamedTuple):
    """What of an account says whether it takes licences, and which."""

    disabled_by: str | None = None
    deleted: bool = True
    profile: str | None = None

    @property
    def active(self) -> bool:
        """Whether it takes any."""
        return not (self.disabled_by or self.deleted)


class Unlicensed(NamedTuple):
    """A user who is not active for want of a licence and for nothing else."""

    account: int
    enterprise: str
    profile: str | None
    revision: int


def users_by_profile(database: Database) -> dict[str, int]:
    """Count the active users of each feature profile, those of all enterprises together."""
    profile = _PROFILE.format("attributes")
    query = f"SELECT {profile}, COUNT(*) FROM accounts WHERE {_HAS_PROFILE} GROUP BY {profile}"
    return dict(database.conn.execute(query).fetchall())


def demand(database: Database, run: int, licences: Licences) -> list[Change]:
    """Return how the planned operations of a run change who takes what; which does stands in ``temp.demand``.

    It makes the index that users are counted by: whoever counts no licences does not pay for it.
    """
    conn = database.conn
    conn.execute(_INDEX)
    for statement in _TABLES.split(";"):
        conn.execute(statement)
    conn.executemany(
        "INSERT INTO temp.licensed VALUES (?,?)",
        [(one.name, feature) for one in licences.profiles.values() for feature in one.features],
    )
    conn.execute(_DEMAND, (run,))
    return _counted(conn)


def short_of(database: Database, run: int, planned_at: str | None, licences: Licences) -> dict[int, Need]:
    """Return the planned operations of a run that need a licence which is not free, and of what.

    Who was changed since the run was planned may turn out not to give back what he was to give back.
    """
    if not licences.counts:
        return {}
    conn = database.conn
    demand(database, run, licences)
    conn.execute(_DOUBTFUL, {"run": run, "planned": planned_at})
    changes = _counted(conn)
    needs = licences.short(users_by_profile(database), changes) if changes else []
    query = f"SELECT id FROM operations WHERE {OF_FEATURE}"
    return {operation: need for need in needs for (operation,) in conn.execute(query, (need.feature,))}


def _counted(conn: sqlite3.Connection) -> list[Change]:
    rows = conn.execute(
        "SELECT was, will, leaves, COUNT(*) FROM temp.demand WHERE was IS NOT will GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return [Change(was, will, bool(leaves), count) for was, will, leaves, count in rows]


def unlicensed(database: Database) -> list[Unlicensed]:
    """Return the users who wait for a licence, in the order of their accounts; without those whose state is in the queue."""
    rows = database.conn.execute(
        f"SELECT id, enterprise, {_PROFILE.format('attributes')}, revision FROM accounts a"
        " WHERE disabled_by = 'licence' AND deleted_at IS NULL AND NOT EXISTS"
        f" (SELECT 1 FROM operations WHERE account = a.id AND {OPEN} AND instr(after, '\"disabled_by\":')) ORDER BY id"
    )
    return [Unlicensed(*row) for row in rows]


def queued(database: Database) -> Counter[str]:
    """Count the operations that are detained for want of a licence, by the code of the objection."""
    rows = database.conn.execute(
        "SELECT json_extract(j.value, '$[0]'), COUNT(*) FROM operations o INDEXED BY operations_open, json_each(o.reasons) j"
        f" WHERE o.{OPEN} AND o.state = 'detained' AND o.reasons IS NOT NULL GROUP BY 1"
    )
    return Counter(dict(rows.fetchall()))


def stands(database: Database, accounts: Iterable[int]) -> dict[int, Stand]:
    """Return how accounts stand, by their numbers."""
    rows = database.conn.execute(
        f"SELECT id, disabled_by, deleted_at IS NOT NULL, {_PROFILE.format('attributes')} FROM accounts"
        " WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(accounts)),),
    )
    return {account: Stand(by, bool(deleted), profile) for account, by, deleted, profile in rows}
