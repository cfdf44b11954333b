"""Compiles ``[platform.NAME]``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from ..connector import Connector, Context, Platform
from .checking import checked
from .compiling import Draft
from .connections import Parts, check_former_names, limits_of, options_of, tables_of, type_of
from .lines import KeyPath
from .mappings import SECRET, compile_map, of_platform
from .models import PlatformTable
from .settings import PlatformSettings
from .words import unknown

PLATFORM_KEYS = frozenset(PlatformTable.model_fields)
"""The engine's keys of a platform; no plugin may have an option of such a name."""


def compile_platforms(draft: Draft) -> dict[str, PlatformSettings]:
    """Return every platform."""
    found = {
        name: _platform(draft, ("platform", name), parts)
        for name, parts in tables_of(draft, "platform", PLATFORM_KEYS)
    }
    check_former_names(draft, "platform", found.values())
    _check_paths(draft)
    return found


def _check_paths(draft: Draft) -> None:
    """No platform writes where another one writes, or where a source reads; a type tells by an option ``path``."""
    owner: dict[str, str] = {}
    for kind, name, place in (
        *_paths_of(draft, "source", draft.catalog.sources),
        *_paths_of(draft, "platform", draft.catalog.platforms),
    ):
        other = owner.setdefault(place, f"{kind} {name!r}")
        if kind == "platform" and other != f"platform {name!r}":
            message = f"{place!r} is the path of the {other} as well; give each its own"
            draft.objection(("platform", name, "path"), message)


def _paths_of(
    draft: Draft, what: str, kinds: Mapping[str, type[Connector]]
) -> Iterator[tuple[str, str, str]]:
    for name, written in draft.document.tables(what).items():
        word, path = (written.get("type"), written.get("path")) if isinstance(written, dict) else (None, None)
        kind = kinds.get(word) if isinstance(word, str) else None
        model = getattr(kind, "Options", None)
        if model is None or "path" not in model.model_fields or not isinstance(path, str):
            continue
        if PurePath(path).is_absolute() and "\0" not in path:
            yield what, name, os.path.realpath(path)


def _platform(draft: Draft, path: KeyPath, parts: Parts) -> PlatformSettings:
    kind = type_of(draft, path, parts, "platform", draft.catalog.platforms, PLATFORM_KEYS)
    table = checked(draft.document, PlatformTable, parts.engine, path)
    draft.effective.note(path, parts.engine, table)
    options = options_of(draft, path, parts, kind, PLATFORM_KEYS)
    fields = _fields_of(kind, str(path[1]), options)
    side = of_platform(draft.document, draft.vocabulary, fields or None)
    for name, field in fields.items():
        if (
            name not in table.map
            and field.attribute not in draft.vocabulary
            and not draft.document.incomplete
        ):
            message = unknown("attribute", field.attribute, draft.vocabulary)
            draft.objection(path, f"field {name!r}: {message}")
        elif name not in table.map and not field.secret and field.attribute in draft.vocabulary.secrets:
            draft.objection(path, f"field {name!r}: {field.attribute} is secret, and the field is not")
    for place, enterprise in enumerate(table.enterprises or ()):
        if enterprise not in draft.enterprises:
            here = (*path, "enterprises", place)
            draft.document.object_to_name(here, "enterprise", enterprise, draft.enterprises)
    mapping = compile_map(draft.document, draft.catalog, (*path, "map"), table.map, side)
    for rule in mapping.rules:
        if (rule.transforms or len(rule.sources) > 1) and not draft.vocabulary.secrets.isdisjoint(
            rule.sources
        ):
            draft.objection(
                (*path, "map", rule.attribute), "is filled from a secret, which is copied as it is"
            )
    return PlatformSettings(
        name=str(path[1]),
        type=table.type or "",
        enterprises=frozenset(table.enterprises) if table.enterprises is not None else None,
        options=options,
        accept=_accept(draft, (*path, "accept"), table.accept),
        mapping=mapping,
        limits=limits_of(table.limits),
        formerly=table.formerly,
    )


class _Unheard:
    """The log of a platform that is made only to be asked for its fields."""

    def __getattr__(self, _name: str) -> Callable[..., _Unheard]:
        return lambda *_given, **_named: self


def _fields_of(kind: type[Connector] | None, name: str, options: Any) -> Mapping[str, Any]:
    """Return the fields of a platform, which it may know only once it has its options."""
    if kind is None:
        return {}
    declared: Any = getattr(kind, "fields", None)
    if options is not None:
        try:
            made = kind(options, Context(name, _Unheard(), lambda _reference: ""))
            declared = made.fields if isinstance(made, Platform) else declared
        except Exception:  # noqa: BLE001 - a plugin's fault, or a secret that it wants: told when it is opened
            return declared if isinstance(declared, Mapping) else {}
    return declared if isinstance(declared, Mapping) else {}


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
