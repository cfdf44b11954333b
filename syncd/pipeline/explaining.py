"""Why an account says what it says, attribute by attribute."""

from __future__ import annotations

import json
from collections.abc import Iterator
from shlex import quote
from typing import Any, NamedTuple

from ..model import Layer, Value, speaking
from ..store import queue as stored
from ..store.layers import STATE
from ..store.queue import Decision, Stored
from ..store.standings import texts
from .installation import Installation
from .people import standing_of


class Voice(NamedTuple):
    """What one layer says of one attribute: ``layer`` is ``template``, a connection's name or ``a person``.

    ``value`` is what counts of it. Where a ``decision`` keeps away what a source says by now, or a person has
    ``edited`` it in that operation, ``says`` is what the source says; else it is the same.
    """

    layer: str
    value: Any
    mapping: str | None
    won: bool
    says: Any
    decision: int | None
    edited: int | None


class _Word(NamedTuple):
    """What a source says where that is not what counts of it, and why not."""

    says: dict[str, Value]
    decision: int | None = None
    edited: int | None = None


class KeptAway(NamedTuple):
    """What a source proposes, and a standing ``decision`` keeps away.

    ``kind`` is that of the operation. ``says`` is what the source says of the account: None if it says
    nothing, as of an entry that is gone, or if that is no longer kept. ``end`` are the commands that end
    the decision, each by itself.
    """

    decision: Decision
    kind: str
    says: dict[str, Value] | None
    end: tuple[str, ...]


class Explained(NamedTuple):
    """One attribute: its value, every layer that speaks of it, and the operation that set it last."""

    attribute: str
    value: Any
    voices: tuple[Voice, ...]
    operation: int | None
    run: int | None
    at: str | None


def explain(here: Installation, account: int) -> list[Explained]:
    """Return, for every attribute that anything is known of, who says what, who won, and since when."""
    standing, _ = standing_of(here, account)
    layers, anchors = _layers(here, account)
    heard = speaking(layers.values())
    order = [
        name for name in sorted(layers, key=lambda one: -layers[one].precedence) if layers[name] in heard
    ]
    said = [
        ("template", standing.template),
        *((name, layers[name].record) for name in order),
        ("a person", standing.local),
    ]
    away = _edited(here, account) | {
        name: _Word(one.says, decision=one.decision.id)
        for one in kept_away(here, account)
        for name in order
        if (name, anchors[name]) == (one.decision.connection, one.decision.anchor) and one.says is not None
    }
    names = {*standing.attributes, *(name for _, words in said for name in words)}
    names.update(*(one.says for name, one in away.items() if name in order))
    last = _last_operations(here, account)
    return [
        Explained(
            attribute,
            standing.attributes.get(attribute),
            tuple(_voices(here, attribute, said, away)),
            *last.get(attribute, (None, None, None)),
        )
        for attribute in sorted(names)
    ]


def _layers(here: Installation, account: int) -> tuple[dict[str, Layer], dict[str, str]]:
    """Return what each connection's link says of an account, and the anchor of each."""
    rows = here.database.conn.execute(
        "SELECT c.name, l.record, l.owner, l.gone_at, l.enabled, l.anchor FROM links l"
        " JOIN connections c ON c.id = l.connection WHERE l.account = ?",
        (account,),
    ).fetchall()
    layers = {
        name: Layer(_precedence(here, name), texts(record), bool(owner), gone_at, bool(enabled))
        for name, record, owner, gone_at, enabled, _ in rows
    }
    return layers, {row[0]: row[5] for row in rows}


def _voices(
    here: Installation, attribute: str, said: list[tuple[str, dict[str, Value]]], away: dict[str, _Word]
) -> Iterator[Voice]:
    winner = max((place for place, (_, words) in enumerate(said) if attribute in words), default=None)
    for place, (layer, words) in enumerate(said):
        value = words.get(attribute)
        word = away.get(layer, _Word(words))
        says = word.says.get(attribute)
        if attribute in words or says is not None:
            why = (None, None) if says == value else word[1:]
            yield Voice(layer, value, _mapping(here, layer, attribute), place == winner, says, *why)


def _edited(here: Installation, account: int) -> dict[str, _Word]:
    """Return, of each connection whose last proposal a person had edited, what the source proposed."""
    latest = {
        one.connection_name: one
        for one in stored.operations(
            here.database,
            "o.account = ? AND o.state = 'applied' AND (o.link_action IN ('make','keep','move','restore')"
            " OR o.link_action = 'end' AND o.undoes IS NOT NULL)",
            (account,),
        )
    }
    found = {}
    for name, one in latest.items():
        first, edited = _first(here, one)
        if name is not None and edited is not None and first is not None and first.record is not None:
            found[name] = _Word(texts(first.record), edited=edited)
    return found


def _first(here: Installation, one: Stored) -> tuple[Stored | None, int | None]:
    """Return what a source proposed in the first place, and the operation in which a person edited that.

    That is None of what undoes a proposal: there is a decision for that.
    """
    edited = None
    while True:
        if one.origin is not None:
            if edited is None and any(fault.code == "edited" for fault in one.faults):
                edited = one.id
            (one,) = stored.by_ids(here.database, [one.origin])
        elif one.undoes is None:
            return one, edited
        else:
            (undone,) = stored.by_ids(here.database, [one.undoes])
            if undone.undoes is None:
                return None, None
            (one,) = stored.by_ids(here.database, [undone.undoes])


def kept_away(here: Installation, account: int) -> list[KeptAway]:
    """Return what standing decisions keep away from an account, or from the entries that it is linked to."""
    found = stored.decisions(
        here.database,
        f"{stored.KEPT_AWAY} AND (d.operation IN (SELECT id FROM operations WHERE account = ?) OR EXISTS"
        " (SELECT 1 FROM links l WHERE l.account = ? AND l.connection = d.connection AND l.anchor = d.anchor))",
        (account, account),
    )
    latest: dict[tuple[str | None, str | None], Decision] = {}
    for one in found:
        latest.setdefault((one.connection, one.anchor), one)
    return [_kept_away(here, one) for one in latest.values()]


def _kept_away(here: Installation, decision: Decision) -> KeptAway:
    (proposal,) = stored.by_ids(here.database, [decision.operation or 0])
    while proposal.origin is not None:  # what was edited by hand is not what the source says
        (proposal,) = stored.by_ids(here.database, [proposal.origin])
    end = f"syncd queue unignore {decision.connection} {quote(decision.anchor or '')}"
    return KeptAway(
        decision,
        proposal.kind,
        None if proposal.record is None else texts(proposal.record),
        (end, f"syncd undo {decision.run}") if decision.verb == "undo" else (end,),
    )


def _precedence(here: Installation, name: str) -> int:
    settings = here.settings.sources.get(name)
    return settings.precedence if settings is not None else 1_000_000


def _mapping(here: Installation, layer: str, attribute: str) -> str | None:
    path = f"source.{layer}.map.{attribute}"
    rows = {
        key: value for key, value in here.settings.plain.items() if key == path or key.startswith(path + ".")
    }
    if not rows:
        return None
    if set(rows) == {path}:
        value = rows[path]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return ", ".join(
        f"{key[len(path) + 1 :]} = {json.dumps(value, ensure_ascii=False)}" for key, value in rows.items()
    )


def _last_operations(here: Installation, account: int) -> dict[str, tuple[int, int, str | None]]:
    last: dict[str, tuple[int, int, str | None]] = {}
    for one in stored.operations(here.database, "o.account = ? AND o.state = 'applied'", (account,)):
        for attribute in texts(one.after):
            last[attribute] = (one.id, one.run, one.changed_at)
    return last


def state_set_by(here: Installation, account: int) -> dict[str, Any] | None:
    """Return the ``operation``, ``run`` and time (``at``) that last disabled, enabled, deleted or brought back an account."""
    found = [one for name, one in _last_operations(here, account).items() if name in STATE]
    if not found:
        return None
    operation, run, at = max(found)
    return {"operation": operation, "run": run, "at": at}
