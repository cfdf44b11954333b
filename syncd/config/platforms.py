"""Compiles ``[platform.NAME]``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .checking import checked
from .compiling import Draft
from .connections import Parts, check_former_names, limits_of, options_of, tables_of, type_of
from .lines import KeyPath
from .mappings import SECRET, compile_map, of_platform
from .models import PlatformTable
from .settings import PlatformSettings

PLATFORM_KEYS = frozenset(PlatformTable.model_fields)
"""The engine's keys of a platform; no plugin may have an option of such a name."""


def compile_platforms(draft: Draft) -> dict[str, PlatformSettings]:
    """Return every platform."""
    found = {
        name: _platform(draft, ("platform", name), parts)
        for name, parts in tables_of(draft, "platform", PLATFORM_KEYS)
    }
    check_former_names(draft, "platform", found.values())
    return found


def _platform(draft: Draft, path: KeyPath, parts: Parts) -> PlatformSettings:
    kind = type_of(draft, path, parts, "platform", draft.catalog.platforms, PLATFORM_KEYS)
    table = checked(draft.document, PlatformTable, parts.engine, path)
    draft.effective.note(path, parts.engine, table)
    options = options_of(draft, path, parts, kind, PLATFORM_KEYS)
    fields = getattr(kind, "fields", None)
    declared = fields if isinstance(fields, Mapping) and fields else None
    side = of_platform(draft.document, draft.vocabulary, declared)
    for place, enterprise in enumerate(table.enterprises or ()):
        if enterprise not in draft.enterprises:
            here = (*path, "enterprises", place)
            draft.document.object_to_name(here, "enterprise", enterprise, draft.enterprises)
    return PlatformSettings(
        name=str(path[1]),
        type=table.type or "",
        enterprises=frozenset(table.enterprises) if table.enterprises is not None else None,
        options=options,
        accept=_accept(draft, (*path, "accept"), table.accept),
        mapping=compile_map(draft.document, draft.catalog, (*path, "map"), table.map, side),
        limits=limits_of(table.limits),
        formerly=table.formerly,
    )


def _accept(draft: Draft, path: KeyPath, written: Mapping[str, tuple[str, ...]]) -> dict[str, frozenset[str]]:
    """Return the values that are let in; a location lets in every word that the sources use for it."""
    places = [text for texts in draft.locations.values() for text in texts]
    closed: dict[str, Iterable[str]] = {
        "location": [*draft.locations, *places],
        "department": draft.departments,
        "role": draft.roles,
    }
    accept = {}
    for name, values in written.items():
        word = draft.attribute((*path, name), name)
        if word is not None and word.secret:
            draft.objection((*path, name), SECRET)
        known = closed.get(name)
        for value in values:
            if known and value not in known:
                draft.document.object_to_name((*path, name), name, value, known)
        more = [text for value in values for text in draft.locations.get(value, ())]
        accept[name] = frozenset([*values, *more] if name == "location" else values)
    return accept
