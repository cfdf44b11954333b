"""Operations one by one: what waits for somebody, what was done to an account, what people decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..model import Fault, Operation, Vocabulary
from ..planning import claims_of, encode
from .database import Database
from .standings import texts


class Stored(NamedTuple):
    """One row of ``operations``, with the names of its run's connection and enterprise."""

    id: int
    run: int
    connection: int | None
    anchor: str | None
    kind: str
    account: int
    account_kind: str
    link: int | None
    link_action: str
    record: str | None
    replaced: str | None
    before: str
    after: str
    template: str | None
    enabled: int
    owner: int
    fingerprint: bytes | None
    state: str
    reasons: str | None
    digest: bytes
    seen: int | None
    gone_at: str | None
    attempts: int
    next_try: str | None
    origin: int | None
    undoes: int | None
    undone_by: int | None
    changed_at: str | None
    connection_name: str | None
    enterprise: str
    run_state: str

    @property
    def faults(self) -> list[Fault]:
        """Why it is held."""
        return [one for one in self._reasons() if one.held != "warning"]

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What a person should know of it, whether it is held or not."""
        return tuple(one for one in self._reasons() if one.held == "warning")

    def _reasons(self) -> list[Fault]:
        return [Fault(*one) for one in json.loads(self.reasons or "[]")]


_COLUMNS = ", ".join(f"o.{name}" for name in Stored._fields[:-3])
_SELECT = f"""
  SELECT {_COLUMNS}, c.name, r.enterprise, r.state FROM operations o JOIN runs r ON r.id = o.run
  LEFT JOIN connections c ON c.id = o.connection
"""
WAITS = (
    "(o.state IN ('detained','failed','waiting') OR (o.state = 'planned' AND r.state IN ('planned','held')))"
)

KEPT_AWAY = "d.ended_at IS NULL AND d.verb IN ('discard','undo') AND d.digest IS NOT NULL"
"""Which decisions (d) keep one very proposal away, until the source's value changes or a person ends them."""


def operations(
    database: Database, where: str, values: Sequence[Any] = (), *, limit: int = -1
) -> list[Stored]:
    """Return operations in the order of their ids; a limit of -1 is none."""
    query = f"{_SELECT} WHERE {where} ORDER BY o.id LIMIT ?"
    return [Stored._make(row) for row in database.conn.execute(query, (*values, limit))]


def by_ids(database: Database, ids: Iterable[int]) -> list[Stored]:
    """Return these operations; one that does not exist is left out."""
    marks = json.dumps(sorted(set(ids)))
    return operations(database, "o.id IN (SELECT value FROM json_each(?))", (marks,))


def standing(database: Database, run: int, *, reasons: str | None = None) -> list[int]:
    """Return the ids of what a run applied (for these reasons) and nobody has undone since, the newest first."""
    rows = database.conn.execute(
        "SELECT id FROM operations WHERE run = :run AND state = 'applied' AND undone_by IS NULL"
        " AND (:reasons IS NULL OR reasons = :reasons) ORDER BY id DESC",
        {"run": run, "reasons": reasons},
    )
    return [number for (number,) in rows]


def again(database: Database, stored: Stored, vocabulary: Vocabulary, **changes: Any) -> Operation:
    """Return a stored operation as a new proposal, ``planned`` unless ``changes`` say otherwise."""
    row = database.conn.execute(
        "SELECT attributes, deleted_at IS NOT NULL FROM accounts WHERE id = ?", (stored.account,)
    ).fetchone()
    attributes, deleted = row if row is not None and stored.kind != "add" else (None, 0)
    before, after = texts(stored.before), texts(stored.after)
    gains, frees = claims_of(before, after, texts(attributes), vocabulary, deleted=bool(deleted))
    operation = Operation(
        anchor=stored.anchor,
        kind=stored.kind,
        account=None if stored.kind == "add" else stored.account,
        link=stored.link,
        link_action=stored.link_action,
        record=stored.record,
        replaced=stored.replaced,
        before=stored.before,
        after=stored.after,
        template=stored.template,
        enabled=bool(stored.enabled),
        owner=bool(stored.owner),
        fingerprint=stored.fingerprint,
        state="planned",
        reasons=encode(stored.warnings) if stored.warnings else None,
        digest=stored.digest,
        gains=gains,
        frees=frees,
        account_kind=stored.account_kind,
        allocate={},
        seen=stored.seen,
        gone_at=stored.gone_at,
    )
    return operation._replace(**changes) if changes else operation


def decide(
    database: Database,
    verb: str,
    *,
    who: str,
    at: str,
    connection: int | None,
    anchor: str | None,
    digest: bytes | None = None,
    why: str | None = None,
    run: int | None = None,
    operation: int | None = None,
) -> None:
    """Record a person's decision, within the transaction at hand."""
    database.conn.execute(
        "INSERT INTO decisions (connection, anchor, digest, verb, who, at, why, run, operation)"
        " VALUES (?,?,?,?,?,?,?,?,?)",
        (connection, anchor, digest, verb, who, at, why, run, operation),
    )


def leave_alone(
    database: Database,
    connection: int,
    anchor: str,
    *,
    who: str,
    at: str,
    why: str | None = None,
    run: int | None = None,
    operation: int | None = None,
) -> int:
    """Record that an entry is ignored, and discard its open proposals, within the transaction at hand.

    Returns how many those were. ``operation`` is the one that the entry is ignored with, if there is one; it stays.
    """
    found = operations(
        database,
        f"{WAITS} AND o.connection = ? AND o.anchor = ? AND o.id IS NOT ?",
        (connection, anchor, operation),
    )
    decide(
        database, "ignore", who=who, at=at, connection=connection, anchor=anchor, why=why, run=run,
        operation=operation,
    )  # fmt: skip
    database.conn.executemany(
        "UPDATE operations SET state = 'discarded', changed_at = ? WHERE id = ?",
        [(at, one.id) for one in found],
    )
    return len(found)


class Decision(NamedTuple):
    """One row of ``decisions``; ``secret`` is what was shown, and its version."""

    id: int
    connection: str | None
    anchor: str | None
    verb: str
    who: str
    at: str
    why: str | None
    run: int | None
    operation: int | None
    ended_at: str | None
    secret: str | None


def decisions(database: Database, where: str = "1", values: Sequence[Any] = ()) -> list[Decision]:
    """Return decisions, the newest first."""
    rows = database.conn.execute(
        "SELECT d.id, c.name, d.anchor, d.verb, d.who, d.at, d.why, d.run, d.operation, d.ended_at, d.secret"
        f" FROM decisions d LEFT JOIN connections c ON c.id = d.connection WHERE {where} ORDER BY d.id DESC",
        values,
    )
    return [Decision._make(row) for row in rows]
