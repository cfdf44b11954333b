"""Compiles a map of the configuration into the rules of the mapping stage, and into their text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..mapping import AttributeMapping, Rule, Transform
from ..model import Attribute, Vocabulary
from .catalog import Catalog
from .checking import checked
from .document import Document
from .lines import KeyPath
from .models import RowTable
from .words import nearest

SECRET = "is secret: a source's map or a template's generate fills it, and nothing can be compared with it"  # noqa: S105
KEY_NEEDED = 'needs secrets_key, such as secrets_key = "credential:syncd-key"'

_KEYS = frozenset(field.alias or name for name, field in RowTable.model_fields.items())


class Shape(NamedTuple):
    """What a row is to fill. What is ``secret`` has ``policy`` unless its row says another."""

    many: bool = False
    limit: int | None = None
    secret: bool = False
    policy: str = "always"


class Side(NamedTuple):
    """What may stand on the two sides of a row.

    ``shape`` returns what a name on the left is, or None once it has noted that this cannot be there.
    ``source`` notes what is wrong with a name under ``from``. ``policies``: a row may have one.
    """

    shape: Callable[[KeyPath, str], Shape | None]
    source: Callable[[KeyPath, str], None]
    policies: bool


def of_source(document: Document, vocabulary: Vocabulary) -> Side:
    """Return the sides of ``[source.NAME.map]``: attributes are filled from the source's own names."""

    def shape(path: KeyPath, name: str) -> Shape | None:
        word = known_attribute(document, vocabulary, path, name)
        if word is None:
            return None
        if not word.secret:
            return Shape(word.many, word.limit)
        if word.many or word.key:
            document.object_to(path, "is secret, and holds several texts or is a key: no source can fill it")
        elif "secrets_key" not in document.tree:
            document.object_to(path, KEY_NEEDED)
        return Shape(word.many, word.limit, secret=True, policy="create-only")

    return Side(shape, lambda _path, _name: None, policies=True)


def of_platform(document: Document, vocabulary: Vocabulary, fields: Mapping[str, Any] | None) -> Side:
    """Return the sides of ``[platform.NAME.map]``: fields are filled from account attributes.

    How long a field may be is judged with the finished account, not here. ``fields`` is None where they cannot be known, as the platform's options are wrong.
    """

    def shape(path: KeyPath, name: str) -> Shape | None:
        if fields is None:
            return Shape()
        if name not in fields:
            document.object_to_name(path, "field", name, fields)
            return None
        return Shape(fields[name].many, secret=fields[name].secret)

    def source(path: KeyPath, name: str) -> None:
        word, filled = known_attribute(document, vocabulary, path, name), str(path[-3])
        field = (fields or {}).get(filled)
        if word is not None and word.secret and field is not None and not field.secret:
            document.object_to(path, f"{name} is secret, and the field {filled} is not")

    return Side(shape, source, policies=False)


def known_attribute(document: Document, vocabulary: Vocabulary, path: KeyPath, name: str) -> Attribute | None:
    """Return the word of the vocabulary; None once the problem that there is none is noted."""
    word = vocabulary.get(name)
    if word is None:
        document.object_to_name(path, "attribute", name, vocabulary)
    return word


def compile_map(
    document: Document, catalog: Catalog, path: KeyPath, rows: Mapping[str, Any], side: Side
) -> AttributeMapping:
    """Return the rules of a map, sorted, and a text that is the same for every order of its keys."""
    rules: list[Rule] = []
    texts: dict[str, dict[str, Any]] = {}
    for name in sorted(rows):
        here, before = (*path, name), len(document.problems)
        shape = side.shape(here, name)
        row = _row(document, here, rows[name])
        if row is None:
            continue
        if isinstance(rows[name], dict):
            _judge_together(document, here, rows[name], side)
        for place, source in _texts(rows[name], "from", row.from_):
            side.source((*here, "from", place), source)
        transforms = _transforms(document, catalog, here, _texts(rows[name], "via", row.via))
        if shape is None:
            continue
        _judge_values(document, here, row, shape)
        _judge_said(document, here, row, shape)
        if len(document.problems) == before:
            rules.append(_rule(name, row, shape, transforms))
            said = row.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            texts[name] = {**said, "many": shape.many, "limit": shape.limit}
            if side.policies and shape.secret:
                texts[name]["policy"] = rules[-1].policy
    return AttributeMapping(
        tuple(rules), json.dumps(texts, sort_keys=True, ensure_ascii=False) if texts else ""
    )


def _row(document: Document, path: KeyPath, written: Any) -> RowTable | None:
    """Return what a row says, without what is wrong; None for one that is to fill nothing (``from = []``)."""
    if isinstance(written, str) and written.strip():
        return RowTable.model_validate({"from": written})
    if not isinstance(written, dict):
        document.object_to(path, "must be the name to copy from, or a table with from or constant")
        return None
    row = checked(document, RowTable, written, path)
    return None if {key: value for key, value in written.items() if key in _KEYS} == {"from": []} else row


def _judge_together(document: Document, path: KeyPath, written: Mapping[str, Any], side: Side) -> None:
    """Note which keys cannot stand together; what an unknown key was meant to be is not missed."""
    keys = _KEYS.intersection(written)
    if not side.policies and "policy" in keys:
        document.object_to((*path, "policy"), "belongs to the map of a source")
    others = keys - {"constant", "illegal", "policy"}
    meant = {nearest(key, _KEYS) for key in written}
    if "constant" in keys and others:
        message = f"has a constant, so it cannot have {', '.join(sorted(others))} as well"
        document.object_to(path, message)
    elif "constant" not in meant and ("from" not in meant or written.get("from") == []):
        document.object_to(path, "needs from or constant")


def _judge_values(document: Document, path: KeyPath, row: RowTable, shape: Shape) -> None:
    """Note a default or constant of many texts where one text is held."""
    for key, value in (("default", row.default), ("constant", row.constant)):
        if isinstance(value, tuple) and not shape.many:
            document.object_to((*path, key), "must be one text, as only one is held")


def _judge_said(document: Document, path: KeyPath, row: RowTable, shape: Shape) -> None:
    """Note where a row says a secret itself."""
    places: list[KeyPath] = [
        (*path, key) for key in ("default", "constant") if getattr(row, key) and shape.secret
    ]
    for number, item in enumerate(row.via if shape.secret else ()):
        if item.partition(":")[0] in ("default", "constant"):
            places.append((*path, "via", number))
    for place in places:
        cure = "fill it with from, or with generate in a template"
        document.object_to(place, f"is a secret, and this file is no place for one; {cure}")


def _texts(written: Any, key: str, taken: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the texts of a row's list with their places; one that is wrong hides none of the others."""
    listed = written.get(key) if isinstance(written, dict) else None
    for place, one in enumerate(listed if isinstance(listed, list) else taken):
        if isinstance(one, str) and one.strip():
            yield place, one


def _transforms(
    document: Document, catalog: Catalog, path: KeyPath, via: Iterable[tuple[int, str]]
) -> tuple[Transform, ...]:
    found: list[Transform] = []
    for place, item in via:
        name, colon, argument = item.partition(":")
        factory = catalog.transforms.get(name)
        here = (*path, "via", place)
        if factory is None:
            document.object_to_name(here, "transform", name, catalog.transforms)
            continue
        try:
            found.append(factory(argument if colon else None))
        except ValueError as error:
            document.object_to(here, str(error))
    return tuple(found)


def _rule(name: str, row: RowTable, shape: Shape, transforms: tuple[Transform, ...]) -> Rule:
    def value(written: Any) -> Any:
        return (written,) if shape.many and isinstance(written, str) else written

    return Rule(
        attribute=name,
        many=shape.many,
        sources=row.from_,
        transforms=transforms,
        default=value(row.default),
        constant=value(row.constant),
        policy=row.policy if "policy" in row.model_fields_set else shape.policy,
        illegal=row.illegal,
        limit=shape.limit,
    )
