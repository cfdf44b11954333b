"""Why an account says what it says, attribute by attribute."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..model import Layer, speaking
from ..store import queue as stored
from ..store.standings import texts
from .installation import Installation
from .people import standing_of


class Voice(NamedTuple):
    """What one layer says of one attribute: ``layer`` is ``template``, a connection's name or ``a person``."""

    layer: str
    value: Any
    mapping: str | None
    won: bool


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
    rows = here.database.conn.execute(
        "SELECT c.name, l.record, l.owner, l.gone_at, l.enabled FROM links l"
        " JOIN connections c ON c.id = l.connection WHERE l.account = ?",
        (account,),
    ).fetchall()
    layers = {
        name: Layer(_precedence(here, name), texts(record), bool(owner), gone_at is not None, bool(enabled))
        for name, record, owner, gone_at, enabled in rows
    }
    heard = speaking(layers.values())
    order = [
        name for name in sorted(layers, key=lambda one: -layers[one].precedence) if layers[name] in heard
    ]
    names = {
        *standing.attributes,
        *standing.template,
        *standing.local,
        *(name for layer in layers.values() for name in layer.record),
    }
    last = _last_operations(here, account)
    explained = []
    for attribute in sorted(names):
        said: list[tuple[str, Any]] = []
        if attribute in standing.template:
            said.append(("template", standing.template[attribute]))
        said += [(name, layers[name].record[attribute]) for name in order if attribute in layers[name].record]
        if attribute in standing.local:
            said.append(("a person", standing.local[attribute]))
        voices = tuple(
            Voice(layer, value, _mapping(here, layer, attribute), number == len(said) - 1)
            for number, (layer, value) in enumerate(said)
        )
        explained.append(
            Explained(
                attribute,
                standing.attributes.get(attribute),
                voices,
                *last.get(attribute, (None, None, None)),
            )
        )
    return explained


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
