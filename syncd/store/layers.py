"""What an account says once an operation is done: its layers with that one changed, folded.

The same words as in ``statements``, where the operation is applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..model import Layer, Standing, Value, fold_layers
from .database import Database
from .queue import by_ids
from .runs import Run
from .standings import Standings, precedence_of, texts

STATE = frozenset({"disabled_by", "deleted"})
"""What stands in ``before`` and ``after`` beside the attributes."""

CHUNK = 500
"""How many accounts are looked at together."""

_LAST = "9999"
"""Behind every time that is stored."""


class Step(Protocol):
    """What is asked of an operation, stored or not."""

    @property
    def link_action(self) -> str: ...
    @property
    def record(self) -> str | None: ...
    @property
    def replaced(self) -> str | None: ...
    @property
    def after(self) -> str: ...
    @property
    def owner(self) -> Any: ...
    @property
    def enabled(self) -> Any: ...
    @property
    def gone_at(self) -> str | None: ...


def said_before(standings: Standings, standing: Standing) -> dict[str, Value]:
    """Return what an account says by its layers as they are."""
    return _folded(standing, _own(standings, standing), standing.local)


def said_after(standings: Standings, standing: Standing, step: Step) -> dict[str, Value]:
    """Return what an account says by its layers once an operation of the connection is done."""
    own, local = _own(standings, standing), standing.local
    if step.link_action == "local":
        local = patched(local, patch_of(step))
    elif step.link_action in ("make", "keep", "move"):
        gone = step.gone_at if step.link_action == "make" else None
        place = standings.precedence_of(standings.connection)
        own = Layer(place, texts(step.record), bool(step.owner), gone, bool(step.enabled))
        if step.link_action == "make" and step.replaced is not None:
            local = patched(local, texts(step.replaced))
    elif step.link_action in ("restore", "end") and own is not None:
        gone = step.gone_at or _LAST if step.link_action == "end" else None
        own = own._replace(record=patched(own.record, patch_of(step)), gone=gone)
    elif step.link_action == "drop":
        own, after = None, texts(step.after)
        local = patched(local, {name: after.get(name) for name in texts(step.replaced)})
    return _folded(standing, own, local)


def patch_of(step: Step) -> dict[str, Any]:
    """Return the words that an operation changes in its layer, as they will be; None is no word."""
    record = texts(step.record)
    return {name: record.get(name) for name in texts(step.replaced)}


def patched(words: Mapping[str, Value], patch: Mapping[str, Any]) -> dict[str, Value]:
    """Return a layer with a merge patch applied (RFC 7396)."""
    return {name: value for name, value in {**words, **patch}.items() if value is not None}


def changed(was: Mapping[str, Value], will: Mapping[str, Value]) -> set[str]:
    """Return the names that two layers, or accounts, say differently."""
    return {name for name in {*was, *will} if was.get(name) != will.get(name)}


def outdated(standings: Standings, standing: Standing, step: Step) -> str | None:
    """Say of which attributes other layers say something else than when an operation was planned, if of any."""
    after = {name: value for name, value in texts(step.after).items() if name not in STATE}
    promised = patched(said_before(standings, standing), after)
    names = changed(promised, said_after(standings, standing, step))
    return f"of {', '.join(sorted(names))} others say something else by now" if names else None


def outdated_since(database: Database, run: Run, sources: Sequence[str]) -> dict[int, str]:
    """Return the operations of a run whose account has changed since the plan, so that its layers fold otherwise.

    ``sources`` are those of the enterprise, in the order of their precedence.
    """
    rows = database.conn.execute(
        "SELECT id, account FROM operations o WHERE run = ? AND state = 'planned' AND kind <> 'add' AND EXISTS"
        " (SELECT 1 FROM operations x WHERE x.account = o.account AND x.state = 'applied' AND x.run <> o.run"
        "  AND (x.id > o.id OR x.changed_at > ?))",
        (run.id, run.planned_at),
    ).fetchall()
    standings = Standings(database, run.connection or 0, run.enterprise)
    standings.rank(precedence_of(database.conn, sources))
    found: dict[int, str] = {}
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        known = standings.by_account(account for _, account in chunk)
        for one in by_ids(database, (operation for operation, _ in chunk)):
            message = outdated(standings, known[one.account], one) if one.account in known else None
            if message is not None:
                found[one.id] = message
    return found


def _own(standings: Standings, standing: Standing) -> Layer | None:
    if standing.link is None:
        return None
    place = standings.precedence_of(standings.connection)
    return Layer(place, standing.record, standing.owner, standing.leaving, standing.enabled)


def _folded(standing: Standing, own: Layer | None, local: Mapping[str, Value]) -> dict[str, Value]:
    layers = standing.others if own is None else (*standing.others, own)
    return fold_layers(standing.template, layers, local)
