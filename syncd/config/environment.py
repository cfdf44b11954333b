"""Environment variables that override the files: ``SYNCD_SOURCE__HQ__PAGE_SIZE=500``."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from typing import Any

from .document import Document, Problem
from .lines import KeyPath
from .settings import Origin
from .words import REFERENCE_KINDS, dotted, reference_kind, unknown

_PREFIX = "SYNCD_"


def override(document: Document, environ: Mapping[str, str], keys: Collection[str]) -> None:
    """Put into the tree what variables say of a top-level key in ``keys``.

    Two underscores go one table down. Letters are matched without their case, and ``_`` matches ``-``. A
    value is read as TOML if it is that, else as text. Variables without ``__`` that name no top-level key
    belong to somebody else.
    """
    for variable in sorted(environ):
        parts = variable.removeprefix(_PREFIX).split("__")
        if not variable.startswith(_PREFIX) or (len(parts) == 1 and parts[0].lower() not in keys):
            continue
        origin = Origin(f"environment {variable}")
        problem = _set(document, parts, environ[variable], origin, keys)
        if problem is not None:
            document.problems.append(Problem(origin, problem))


def _set(
    document: Document, parts: list[str], text: str, origin: Origin, keys: Collection[str]
) -> str | None:
    """Set one value; returns what is wrong instead, if anything."""
    top = parts[0].lower()
    if top not in keys:
        return unknown("table", top, keys)
    path: KeyPath = (top,)
    table: Any = document.tree
    for part in parts[1:]:
        if path[-1] not in table:
            table[path[-1]] = {}
            document.origins[path] = origin
        table = table[path[-1]]
        if not isinstance(table, dict):
            return f"{dotted(path)} is no table"
        key = next((key for key in table if _folded(key) == _folded(part)), None)
        if key is None and len(path) == 1 and len(parts) > 2:
            return unknown(top, part.lower(), table)
        path = (*path, key or part.lower())
    before = table.get(path[-1])
    if isinstance(before, str) and reference_kind(before) in REFERENCE_KINDS:
        return f"{dotted(path)} refers to a secret; write that in {document.where(path)} only"
    if isinstance(before, dict):
        return f"{dotted(path)} is a table; override its values one by one"
    table[path[-1]] = _value(text)
    for inner in [inner for inner in document.origins if inner[: len(path)] == path]:
        del document.origins[inner]
    document.origins[path] = origin
    return None


def _folded(key: str) -> str:
    return key.replace("-", "_").casefold()


def _value(text: str) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return values["value"] if values.keys() == {"value"} else text
