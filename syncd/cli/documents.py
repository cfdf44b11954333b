"""Runs and their operations as documents: what ``--json`` writes, and what the printed text is made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..model.naming import label

if TYPE_CHECKING:
    from ..pipeline.installation import Installation
    from ..store.queue import Stored
    from ..store.runs import Run

KINDS = ("add", "update", "enable", "disable", "delete")

UNAPPROVABLE = frozenset({"plugin-missing", "reviewer-failed"})
"""Objections that no person can set aside."""

_SHORT_HASH = 12


def run_document(here: Installation, run: Run) -> dict[str, Any]:
    """Return everything that is known of a run, but for its operations."""
    counts = {name: count for name, count in run.counts.items() if ":" not in name}
    return {
        "run": run.id,
        "kind": run.kind,
        "connection": name_of(here, run.connection),
        "enterprise": run.enterprise,
        "mode": run.mode,
        "state": run.state,
        "actor": run.actor,
        "why": run.why,
        "started_at": run.started_at,
        "planned_at": run.planned_at,
        "ended_at": run.ended_at,
        "plan_hash": run.plan_hash,
        "entries": run.entries,
        "unchanged": run.unchanged,
        "counts": counts,
        "platforms": _platforms(run),
        "objections": [one._asdict() for one in run.objections],
        "approved": run.approved,
        "undoes": run.undoes,
        "same_as": run.same_as,
        "error": run.error,
        "next": next_command(run),
    }


def _platforms(run: Run) -> list[dict[str, Any]]:
    names = {
        name.partition(":")[2] for name in run.counts if name.startswith(("appear:", "vanish:", "change:"))
    }
    return [
        {
            "platform": name,
            "appear": run.counts.get(f"appear:{name}", 0),
            "vanish": run.counts.get(f"vanish:{name}", 0),
            "change": run.counts.get(f"change:{name}", 0),
        }
        for name in sorted(names)
    ]


def next_command(run: Run) -> str | None:
    """Return the very command that lets a run go on; None if none would."""
    if run.state == "planned":
        return f"syncd apply {run.id}"
    if run.state != "held" or closed(run):
        return None
    return f"syncd apply {run.id} --plan {(run.plan_hash or '')[:_SHORT_HASH]}"


def closed(run: Run) -> list[str]:
    """Return the objections to a run that nobody can set aside."""
    return sorted(UNAPPROVABLE.intersection(one.code for one in run.objections))


def name_of(here: Installation, connection: int | None) -> str | None:
    """Return the name of a connection by its number."""
    row = here.database.conn.execute("SELECT name FROM connections WHERE id = ?", (connection,)).fetchone()
    return row[0] if row else None


def plan_document(
    here: Installation, run: Run, *, kinds: Sequence[str] = (), most: int | None = None
) -> dict[str, Any]:
    """Return a run with its operations: of these ``kinds`` (all if empty), at most ``most`` of them."""
    from ..store import queue as stored

    conn, where, values = here.database.conn, "o.run = ?", [run.id]
    totals: dict[str, dict[str, int]] = {}
    for kind, state, count in conn.execute(
        "SELECT kind, state, COUNT(*) FROM operations WHERE run = ? GROUP BY kind, state", (run.id,)
    ):
        totals.setdefault(kind, {})[state] = count
    marks = json.dumps(list(kinds or KINDS))
    found = stored.operations(
        here.database,
        f"{where} AND o.kind IN (SELECT value FROM json_each(?))",
        [*values, marks],
        limit=-1 if most is None else most,
    )
    return {
        **run_document(here, run),
        "totals": totals,
        "operations": operation_documents(here, found),
    }


def operation_documents(here: Installation, found: Iterable[Stored]) -> list[dict[str, Any]]:
    """Return operations as documents, secrets masked."""
    every = list(found)
    known = attributes_of(here, {one.account for one in every if one.kind != "add"})
    return [_operation(here, one, known.get(one.account, {})) for one in every]


def _operation(here: Installation, one: Stored, known: Mapping[str, Any]) -> dict[str, Any]:
    before, after = json.loads(one.before), json.loads(one.after)
    reasons = [
        dict(zip(("code", "attribute", "message", "state"), fault, strict=True)) for fault in one.faults
    ]
    return {
        "operation": one.id,
        "run": one.run,
        "connection": one.connection_name,
        "enterprise": one.enterprise,
        "kind": one.kind,
        "state": "held" if one.state == "planned" and one.run_state == "held" else one.state,
        "anchor": one.anchor,
        "account": one.account,
        "account_kind": one.account_kind,
        "who": label({**known, **after} if one.kind == "add" else known),
        "link_action": one.link_action,
        "changes": changes(here, before, after),
        "effect": json.loads(one.record) if one.link_action == "policy" and one.record else None,
        "reasons": reasons,
        "warnings": [
            {"code": code, "attribute": attribute, "message": message}
            for code, attribute, message, _ in one.warnings
        ],
        "attempts": one.attempts,
        "next_try": one.next_try,
        "origin": one.origin,
        "undoes": one.undoes,
        "undone_by": one.undone_by,
        "changed_at": one.changed_at,
    }


def changes(here: Installation, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what an operation changes, by attribute; of a secret only that it changes.

    What stands in ``before`` beyond that only has to be as it was.
    """
    secrets = here.settings.vocabulary.secrets
    return [
        {
            "attribute": name,
            "before": masked(name, before.get(name), secrets),
            "after": masked(name, after.get(name), secrets),
        }
        for name in sorted(after)
        if before.get(name) != after[name]
    ]


def masked(name: str, value: Any, secrets: frozenset[str]) -> Any:
    """Return a value as it may be shown."""
    return "***" if name in secrets and value not in (None, "") else value


def attributes_of(here: Installation, accounts: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return what accounts say, by their numbers; one that does not exist is left out."""
    marks = json.dumps(sorted(accounts))
    rows = here.database.conn.execute(
        "SELECT id, attributes FROM accounts WHERE id IN (SELECT value FROM json_each(?))", (marks,)
    )
    return {number: json.loads(attributes) for number, attributes in rows}
