"""Undo: a run of inverses, previewed and guarded like any other, the newest first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import SyncdError
from ..guard import Limits
from ..model import Operation, Standing
from ..planning import claims_of, encode, kind_of, operation
from ..store import queue as stored
from ..store.keeping import BLANKED
from ..store.layers import STATE, changed, patch_of, patched, said_after, said_before
from ..store.queue import Stored
from ..store.runs import Run, run_of, supersede
from ..store.staging import FLUSH
from ..store.standings import Standings, texts
from .asking import ask
from .installation import Installation
from .licences import WHY
from .line import apply_run
from .people import standings_of


def plan_undo(here: Installation, number: int, *, why: str | None = None) -> Run:
    """Plan the undoing of everything that a run applied; what later runs touched will be detained as stale.

    Raises SyncdError if there is no such run, or nothing of it left to undo.
    """
    run = run_of(here.database, number)
    if run is None:
        raise SyncdError(f"there is no run {number}; see syncd runs")
    if run.state == "applying":
        run = apply_run(here, run)  # the rest of it would be done behind the undoing
    done = stored.standing(here.database, number)
    if not done:
        same = f": its plan was that of run {run.same_as}; to undo that: syncd undo {run.same_as}"
        raise SyncdError(f"run {number} applied nothing that could be undone{same if run.same_as else ''}")
    if run.kind == "policy" and run.why == WHY:
        raise SyncdError(
            f"run {number} has given licences to users who waited for one; to take one back: syncd accounts disable"
        )
    if run.kind == "policy":
        raise SyncdError(
            f"run {number} came of a change of the configuration; change that back, and what follows is "
            "planned as a run of its own"
        )
    if stored.standing(here.database, number, reasons=BLANKED):
        raise SyncdError(f"the values of run {number} are no longer kept, so it cannot be undone")
    undoing = ask(
        here,
        kind="undo",
        enterprise=run.enterprise,
        connection=run.connection,
        operations=_inverses(here, run.enterprise, done),
        undoes=done,
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


def _limits(here: Installation, done: list[int]) -> Limits | None:
    (newest,) = stored.by_ids(here.database, done[:1])
    source = here.settings.sources.get(newest.connection_name or "")
    return source.limits if source is not None else None


def _inverses(here: Installation, enterprise: str, done: list[int]) -> Iterator[Operation]:
    """Yield the inverses of operations in their order, which is newest first, looking up some thousand at a time."""
    seen_as: dict[int, Standings] = {}
    for start in range(0, len(done), FLUSH):
        some = stored.by_ids(here.database, done[start : start + FLUSH])[::-1]
        found: dict[int, dict[int, Standing]] = {}
        for connection in {one.connection or 0 for one in some}:
            if connection not in seen_as:
                seen_as[connection] = standings_of(here, connection, enterprise)
            accounts = [one.account for one in some if (one.connection or 0) == connection]
            found[connection] = seen_as[connection].by_account(accounts)
        for one in some:
            connection = one.connection or 0
            standing = found[connection].get(one.account) or _nobody(one)
            yield inverse(here, one, seen_as[connection], standing)


def inverse(here: Installation, one: Stored, standings: Standings, standing: Standing) -> Operation:
    """Return the operation that leads back; the inverse of an inverse is the operation.

    What it takes back is one layer's words: the account says then what its layers come to without them.
    """
    back = _way_back(one, standing)
    before, after = _touched(standings, standing, one, back)
    gains, frees = claims_of(
        before, after, standing.attributes, here.settings.vocabulary, deleted=standing.deleted
    )
    return operation(
        anchor=one.anchor,
        kind=kind_of(before, after),
        account=one.account,
        link=(standing.link or one.link or 0) if back.link_action in ("drop", "end", "restore") else None,
        link_action=back.link_action,
        record=back.record,
        replaced=back.replaced,
        before=before,
        after=after,
        enabled=bool(one.enabled),
        owner=bool(one.owner),
        fingerprint=one.fingerprint,
        gone_at=back.gone_at,
        gains=gains,
        frees=frees,
        account_kind=one.account_kind,
    )


def _touched(
    standings: Standings, standing: Standing, one: Stored, back: Stored
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what has to be as it was made, and what becomes of it now.

    That is what the operation touched, and what has come to depend on its layer since.
    """
    was, made = texts(one.before), texts(one.after)
    if one.kind == "add":  # whatever was touched since would be lost
        return {**dict.fromkeys([*standing.attributes, *STATE]), **made}, {"deleted": True}
    will = said_after(standings, standing, back)
    names = {*was, *made, *changed(said_before(standings, standing), will)}
    now = {**standing.attributes, "disabled_by": standing.disabled_by}
    before = {name: made.get(name) if name in made else now.get(name) for name in names}
    after = {name: will.get(name) for name in names - STATE}
    after.update((name, was.get(name) if name in made else now.get(name)) for name in names & STATE)
    return before, after


def _way_back(one: Stored, standing: Standing) -> Stored:
    """Return an operation with the link action of its inverse, and the words that this changes in the layer."""
    action = one.link_action
    if one.kind == "add" or action == "none":
        return one._replace(link_action="none", record=None, replaced=None, gone_at=None)
    if action in ("make", "drop"):
        kept = {name for name in texts(one.replaced) if (name in standing.local) == (action == "drop")}
        replaced = None if one.replaced is None else encode(dict.fromkeys(kept))
        if action == "drop":
            return one._replace(link_action="make", record=one.record or "{}", replaced=replaced)
        return one._replace(link_action="drop", replaced=replaced, after=one.before)
    words = standing.local if action == "local" else standing.record
    back = one._replace(record=encode(patched(words, texts(one.replaced))), replaced=encode(patch_of(one)))
    if action == "local":
        return back
    if action == "end":
        return back._replace(link_action="restore", gone_at=standing.leaving or one.changed_at)
    return back._replace(link_action="end" if one.gone_at else "restore")


def _nobody(one: Stored) -> Standing:
    """Return the account of an operation that is no more; nothing of that can be undone."""
    return Standing(
        one.account, one.account_kind, {}, None, False, {}, {}, None, None, {}, False, False, None, None, 0
    )  # fmt: skip
