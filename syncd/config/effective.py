"""Every effective value of the configuration by its dotted path, and where it comes from.

Secrets never get here: only their references do, and only those of the kinds that hold none themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import PurePath
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretBytes, SecretStr

from .document import Document
from .lines import KeyPath
from .settings import Origin
from .words import dotted, duration_text, is_secret_key, reference_kind, shown_reference

_DEFAULT = Origin("default")


class Leaf(NamedTuple):
    """One effective value: as it was written, or the default (``written`` False)."""

    path: KeyPath
    value: Any
    written: bool
    secret: bool = False


class Effective:
    """The effective values so far; ``lent`` has the origin of values that a preset gave."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.plain: dict[str, Any] = {}
        self.origins: dict[str, Origin] = {}
        self.lent: dict[KeyPath, Origin] = {}

    def note(self, path: KeyPath, written: Any, model: BaseModel | None = None) -> None:
        """Note the values of an engine's table, and the defaults of its ``model``."""
        for leaf in leaves(path, written, model):
            self._put(leaf)

    def note_options(self, path: KeyPath, written: Mapping[str, Any], options: BaseModel | None) -> None:
        """Note a plugin's options. A secret that is not a reference is a problem."""
        for leaf in leaves(path, written, options):
            secret = leaf.secret or is_secret_key(_last_word(leaf.path))
            if secret and leaf.written:
                self._judge_secret(leaf)
            self._put(leaf._replace(value=_shown(leaf.value)) if secret else leaf)

    def put(self, path: KeyPath, value: Any, origin: Origin) -> None:
        """Note one value that has an origin of its own."""
        self.plain[dotted(path)] = value
        self.origins[dotted(path)] = origin

    def _put(self, leaf: Leaf) -> None:
        origin = _DEFAULT
        if leaf.written:
            lent = (self.lent.get(leaf.path[:length]) for length in range(len(leaf.path), 0, -1))
            origin = next(filter(None, lent), None) or self.document.where(leaf.path)
        self.put(leaf.path, leaf.value, origin)

    def _judge_secret(self, leaf: Leaf) -> None:
        texts = leaf.value if isinstance(leaf.value, list) else [leaf.value]
        cure = 'where it is to be found: "credential:NAME" or "file:/PATH"'
        if self.document.where(leaf.path).file.startswith("environment "):
            self.document.object_to(leaf.path, f"is a secret; write into a file of the configuration {cure}")
        elif any(isinstance(text, str) and reference_kind(text) is None for text in texts):
            message = f"is a secret, and this file is no place for one; write {cure}"
            self.document.object_to(leaf.path, message)


def leaves(path: KeyPath, written: Any, value: Any) -> Iterator[Leaf]:
    """Yield what was written, with the defaults of ``value``, the model that it was made into."""
    if isinstance(written, Mapping):
        inner = _members(value)
        for key, part in written.items():
            yield from leaves((*path, key), part, inner.get(key))
        for key, part in inner.items() if isinstance(value, BaseModel) else ():
            if key not in written:
                yield from _defaults((*path, key), part)
    elif isinstance(written, list) and any(isinstance(part, Mapping | list) for part in written):
        inner_list = value if isinstance(value, list | tuple) else ()
        for place, part in enumerate(written):
            yield from leaves((*path, place), part, inner_list[place] if place < len(inner_list) else None)
    else:
        yield Leaf(path, written, written=True, secret=_is_secret(value))


def _defaults(path: KeyPath, value: Any) -> Iterator[Leaf]:
    if isinstance(value, BaseModel):
        for key, part in _members(value).items():
            yield from _defaults((*path, key), part)
    else:
        yield Leaf(path, plain_value(value), written=False, secret=_is_secret(value))


def _shown(secret: Any) -> Any:
    if isinstance(secret, str):
        return shown_reference(secret)
    if isinstance(secret, list):
        return [_shown(part) for part in secret]
    return secret if secret is None or isinstance(secret, bool) else "***"


def plain_value(value: Any) -> Any:
    """Return a compiled value as it would be written in the file."""
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, SecretStr):
        return shown_reference(value.get_secret_value())
    if isinstance(value, Mapping):
        return {key: plain_value(part) for key, part in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain_value(part) for part in value)
    if isinstance(value, list | tuple):
        return [plain_value(part) for part in value]
    if isinstance(value, BaseModel):
        return {key: plain_value(part) for key, part in _members(value).items()}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value) if isinstance(value, PurePath) else str(getattr(value, "value", value))


def _members(value: Any) -> dict[str, Any]:
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {field.alias or name: getattr(value, name) for name, field in fields.items()}
    return dict(value) if isinstance(value, Mapping) else {}


def _is_secret(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_is_secret, value))
    return isinstance(value, SecretStr | SecretBytes)


def _last_word(path: KeyPath) -> str:
    return next((key for key in reversed(path) if isinstance(key, str)), "")
