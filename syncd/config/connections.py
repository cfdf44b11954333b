"""What ``[source.NAME]`` and ``[platform.NAME]`` share: the engine's keys and the plugin's own options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from ..connector import Connector
from ..guard import Limit, Limits
from .checking import object_to_all
from .compiling import Draft
from .lines import KeyPath
from .models import LimitsTable, PlatformLimitsTable
from .settings import PlatformSettings, SourceSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Parts(NamedTuple):
    """A table of a connection, taken apart."""

    engine: dict[str, Any]
    options: dict[str, Any]


def tables_of(draft: Draft, what: str, keys: frozenset[str]) -> Iterator[tuple[str, Parts]]:
    """Yield each table's name and its parts: what is the engine's, by ``keys``, and what is the plugin's."""
    for name, written in draft.document.tables(what).items():
        if not _NAME.fullmatch(name):
            message = "must be named with 1 to 64 letters, digits, - and _, and no - or _ first"
            draft.objection((what, name), message)
        if not isinstance(written, dict):
            draft.objection((what, name), "must be a table")
            continue
        yield (
            name,
            Parts(
                {key: value for key, value in written.items() if key in keys},
                {key: value for key, value in written.items() if key not in keys},
            ),
        )


def type_of(
    draft: Draft,
    path: KeyPath,
    parts: Parts,
    what: str,
    known: Mapping[str, type[Connector]],
    keys: frozenset[str],
) -> type[Connector] | None:
    """Return the class that the plugin registered for the table's type."""
    here = (*path, "type")
    word = parts.engine.get("type")
    if word is None:
        draft.objection(here, "is missing")
    if not isinstance(word, str) or not word.strip():
        return None
    kind = known.get(word)
    if kind is None and draft.catalog.why_unknown is not None and not draft.document.incomplete:
        draft.objection(here, draft.catalog.why_unknown(what, word))
    elif kind is None:
        draft.document.object_to_name(here, f"{what} type", word, known)
    shadowed = sorted(_option_names(kind) & keys)
    if shadowed:
        message = f"the plugin of {word!r} has options that are keys of syncd's own: {', '.join(shadowed)}"
        draft.objection(here, message)
    return kind


def _option_names(kind: type[Connector] | None) -> frozenset[str]:
    model = getattr(kind, "Options", None)
    fields = model.model_fields if model is not None else {}
    return frozenset(fields) | frozenset(field.alias for field in fields.values() if field.alias)


def options_of(
    draft: Draft, path: KeyPath, parts: Parts, kind: type[Connector] | None, keys: frozenset[str]
) -> Any:
    """Return the plugin's Options made of the table; None where that cannot be."""
    model: type[BaseModel] | None = getattr(kind, "Options", None)
    options: BaseModel | None = None
    if model is not None and not object_to_all(draft.document, model, parts.options, path, known=keys):
        options = model.model_validate(parts.options)
    draft.effective.note_options(path, parts.options, options)
    return options


def limits_of(table: PlatformLimitsTable) -> Limits:
    """Return the limits that a table says."""
    remove, add, update = (Limit(**dict(kind)) for kind in (table.remove, table.add, table.update))
    if isinstance(table, LimitsTable):
        container, shrink = table.container, table.shrink
        return Limits(remove=remove, add=add, update=update, container=container, shrink=shrink)
    return Limits(remove=remove, add=add, update=update)


def check_former_names(
    draft: Draft, what: str, found: Iterable[SourceSettings] | Iterable[PlatformSettings]
) -> None:
    """A former name belongs to nothing that exists, and to one thing only."""
    names = draft.document.tables(what)
    owner: dict[str, str] = {}
    for settings in found:
        former = settings.formerly
        if former is None:
            continue
        path = (what, settings.name, "formerly")
        if former in names:
            draft.objection(path, f"{former!r} is still the name of a {what}")
        elif owner.setdefault(former, settings.name) != settings.name:
            draft.objection(path, f"{former!r} is claimed by the {what} {owner[former]!r} already")
