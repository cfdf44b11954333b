"""Undo: a run of inverses, previewed and guarded like any other, the newest first."""

from __future__ import annotations

import json
from typing import Any

from ..errors import SyncdError
from ..guard import Limits
from ..model import Operation
from ..planning import claims_of, encode, kind_of, operation, way_back
from ..store import queue as stored
from ..store.keeping import BLANKED
from ..store.queue import Stored
from ..store.runs import Run, run_of, supersede
from ..store.standings import texts
from .asking import ask
from .installation import Installation


def plan_undo(here: Installation, number: int, *, why: str | None = None) -> Run:
    """Plan the undoing of everything that a run applied; what later runs touched will be detained as stale.

    Raises SyncdError if there is no such run, or nothing of it left to undo.
    """
    run = run_of(here.database, number)
    if run is None:
        raise SyncdError(f"there is no run {number}; see syncd runs")
    done = stored.operations(
        here.database, "o.run = ? AND o.state = 'applied' AND o.undone_by IS NULL", (number,), newest=True
    )
    if not done:
        raise SyncdError(f"run {number} applied nothing that could be undone")
    if run.kind == "policy":
        raise SyncdError(
            f"run {number} came of a change of the configuration; change that back, and what follows is "
            "planned as a run of its own"
        )
    if any(one.reasons == BLANKED for one in done):
        raise SyncdError(f"the values of run {number} are no longer kept, so it cannot be undone")
    undoing = ask(
        here,
        kind="undo",
        enterprise=run.enterprise,
        connection=run.connection,
        operations=[inverse(here, one) for one in done],
        undoes=[one.id for one in done],
        undone_run=number,
        why=why,
        limits=_limits(here, done),
    )
    _supersede_earlier(here, undoing)
    return undoing


def _supersede_earlier(here: Installation, undoing: Run) -> None:
    """End what an earlier undoing of the same run has left open: there is one proposal for each operation."""
    with here.database.transaction() as conn:
        for (number,) in conn.execute(
            "SELECT id FROM runs WHERE kind = 'undo' AND undoes = ? AND id <> ? AND state IN ('planned','held')",
            (undoing.undoes, undoing.id),
        ).fetchall():
            supersede(conn, number, here.now())
        conn.execute(
            "UPDATE operations SET state = 'superseded', changed_at = ? WHERE run <> ?"
            " AND state IN ('detained','failed','waiting')"
            " AND run IN (SELECT id FROM runs WHERE kind = 'undo' AND undoes = ?)",
            (here.now(), undoing.id, undoing.undoes),
        )


def _limits(here: Installation, done: list[Stored]) -> Limits | None:
    source = here.settings.sources.get(done[0].connection_name or "")
    return source.limits if source is not None else None


def inverse(here: Installation, one: Stored) -> Operation:
    """Return the operation that leads back; the inverse of an inverse is the operation."""
    conn = here.database.conn
    row = conn.execute(
        "SELECT attributes, local, deleted_at IS NOT NULL FROM accounts WHERE id = ?", (one.account,)
    ).fetchone()
    attributes, local, deleted = (texts(row[0]), texts(row[1]), bool(row[2])) if row else ({}, {}, False)
    before: dict[str, Any] = dict(texts(one.after))
    after: dict[str, Any] = dict(texts(one.before))
    if one.kind == "add":  # whatever was touched since would be lost
        before = {**dict.fromkeys([*attributes, "disabled_by", "deleted"]), **before}
        after = {"deleted": True}
    elif one.connection is not None and one.link_action != "none" and not _unlinks(one):
        theirs = {name for name, value in before.items() if name in local and local[name] == value}
        before, after = _without(before, theirs), _without(after, theirs)  # a person says so by now
    link = conn.execute(
        "SELECT id, record, owner, enabled, fingerprint FROM links WHERE connection = ? AND anchor = ?",
        (one.connection, one.anchor),
    ).fetchone()
    action, record, replaced = _link_way_back(one, link[1] if link else None, local)
    gains, frees = claims_of(before, after, attributes, here.settings.vocabulary, deleted=deleted)
    return operation(
        anchor=one.anchor,
        kind=kind_of(before, after),
        account=one.account,
        link=(link[0] if link else one.link or 0) if action in ("drop", "end", "restore") else None,
        link_action=action,
        record=record,
        replaced=replaced,
        before=before,
        after=after,
        enabled=bool(one.enabled),
        owner=bool(one.owner),
        fingerprint=one.fingerprint,
        gains=gains,
        frees=frees,
        account_kind=one.account_kind,
    )


def _unlinks(one: Stored) -> bool:
    """Say whether an operation makes a link's words a person's, or that undone."""
    return one.link_action in ("drop", "make") and one.replaced is not None


def _without(values: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _link_way_back(
    one: Stored, link_record: str | None, local: dict[str, Any]
) -> tuple[str, str | None, str | None]:
    """Return the link action of the inverse, its record, and the patch that leads back again."""
    if one.kind == "add" or one.link_action == "none":
        return "none", None, None
    if one.link_action == "local":
        old = _patched(local, one.replaced)
        return "local", encode(old), encode(way_back(old, local))
    if one.link_action == "make":
        return "drop", link_record, one.replaced
    if one.link_action == "drop":
        return "make", one.record or "{}", one.replaced
    if one.link_action == "end" or link_record is None:
        return "restore", None, None
    if one.link_action == "restore" and one.replaced is None:
        return "end", None, None
    current = texts(link_record)
    old = _patched(current, one.replaced)
    return "restore", encode(old), encode(way_back(old, current))


def _patched(values: dict[str, Any], patch: str | None) -> dict[str, Any]:
    changes = json.loads(patch or "{}")
    merged = {**values, **changes}
    return {name: value for name, value in merged.items() if value is not None}
