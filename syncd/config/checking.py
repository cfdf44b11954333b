"""Checks a table against its pydantic model, and says what is wrong in words for a person."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from .document import Document
from .lines import KeyPath
from .words import suggestion

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_Model = TypeVar("_Model", bound=BaseModel)

_PLAIN_WORDS = {
    "missing": "is missing",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}


def checked(
    document: Document, model: type[_Model], data: Any, path: KeyPath, *, known: Iterable[str] = ()
) -> _Model:
    """Return ``data`` as an instance of ``model``, whose fields all need defaults.

    Every problem is noted in the document. What has a problem is then left out, so that the rest can
    still be judged. ``known`` are further words to suggest for an unknown key.
    """
    if not isinstance(data, dict):
        document.object_to(path, "must be a table")
        return model()
    bad = object_to_all(document, model, data, path, known=known)
    return model.model_validate(_without(data, filter(None, bad)) if bad else data)


def _without(table: Mapping[str, Any], bad: Iterable[KeyPath]) -> dict[str, Any]:
    """Return ``table`` without the keys at the ends of the ``bad`` paths; of a list, all or nothing."""
    deeper: dict[str | int, list[KeyPath]] = {}
    for first, *rest in bad:
        deeper.setdefault(first, []).append(tuple(rest))
    kept = {}
    for key, value in table.items():
        paths = deeper.get(key)
        if paths is None:
            kept[key] = value
        elif isinstance(value, Mapping) and all(paths):
            kept[key] = _without(value, paths)
    return kept


def object_to_all(
    document: Document,
    model: type[BaseModel],
    data: Mapping[str, Any],
    path: KeyPath,
    *,
    known: Iterable[str] = (),
) -> list[KeyPath]:
    """Note every problem that ``model`` has with ``data``; returns the paths within it that are bad.

    The empty path among them is for what is wrong with the whole; a model's own validators judge that even
    where there are unknown keys, which keep pydantic from asking them.
    """
    found = _faults(model, data, known)
    strange = [inner for inner, (_, unknown) in found.items() if unknown and _is_of_tables(inner)]
    if strange:
        found = {**_faults(model, _without(data, strange), known), **found}
    for inner, (message, _) in found.items():
        document.object_to((*path, *inner), message)
    return list(found)


def _is_of_tables(path: KeyPath) -> bool:
    """Tell whether no list is on the path, which would have to go as a whole."""
    return all(isinstance(key, str) for key in path)


def _faults(
    model: type[BaseModel], data: Mapping[str, Any], known: Iterable[str]
) -> dict[KeyPath, tuple[str, bool]]:
    """Return what is wrong at which path within ``data``, and whether it is that the key is not known."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        found: dict[KeyPath, list[str]] = {}
        strange = set()
        for details in error.errors(include_url=False):
            inner, owner = _place(model, data, details)
            words = [*_keys(owner), *(known if len(inner) == 1 else ())]
            found.setdefault(inner, []).append(_message(details, inner, words))
            if details["type"] == "extra_forbidden":
                strange.add(inner)
        return {
            inner: (", or ".join(dict.fromkeys(messages)), inner in strange)
            for inner, messages in found.items()
        }
    return {}


def _message(details: ErrorDetails, path: KeyPath, known: list[str]) -> str:
    kind = details["type"]
    if kind == "extra_forbidden":
        return f"unknown key{suggestion(str(path[-1]), known)}"
    if kind in _PLAIN_WORDS:
        return _PLAIN_WORDS[kind]
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if kind in {"literal_error", "enum"}:
        expected = str(details["ctx"]["expected"])
        near = suggestion(str(details["input"]), expected.replace(" or ", ", ").strip("'").split("', '"))
        return f"must be {expected}{near}"
    text = details["msg"].replace("Input should be", "must be").replace("Input should", "must")
    return text[:1].lower() + text[1:]


def _place(
    model: type[BaseModel], data: Any, details: ErrorDetails
) -> tuple[KeyPath, type[BaseModel] | None]:
    """Return the path in ``data`` that pydantic means, and the model of the table it stands in.

    Pydantic's own marks of unions and validators are no keys of the data, and are left out. A key that is
    missing, or not known, is the last one.
    """
    path: KeyPath = ()
    node, annotation, owner = data, model, None
    absent = len(details["loc"]) - 1 if details["type"] in {"missing", "extra_forbidden"} else None
    for place, key in enumerate(details["loc"]):
        if isinstance(node, Mapping) and (key in node or place == absent):
            owner = _model_in(annotation)
            annotation, node = _inner(annotation, key), node.get(key)
        elif isinstance(node, list) and isinstance(key, int) and key < len(node):
            annotation, node = _inner(annotation, key), node[key]
        else:
            continue
        path = (*path, key)
    return path, owner


def _keys(model: type[BaseModel] | None) -> list[str]:
    fields = model.model_fields if model is not None else {}
    return [field.alias or name for name, field in fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that an annotation such as ``Bind | None`` or ``list[Bind]`` is about."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in {typing.Union, types.UnionType, typing.Annotated}:
        return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
    return None


def _inner(annotation: Any, key: str | int) -> Any:
    """Return the annotation of what stands under ``key``."""
    model = _model_in(annotation)
    if model is not None:
        fields = model.model_fields
        field = fields.get(str(key)) or next((f for f in fields.values() if f.alias == key), None)
        return field.annotation if field is not None else None
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in {typing.Union, types.UnionType, typing.Annotated}:
        return next((found for part in arguments if (found := _inner(part, key)) is not None), None)
    return next((part for part in reversed(arguments) if part is not ...), None)
