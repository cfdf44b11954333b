"""Requests as bytes (RFC 4511, sections 4.5 to 4.9).

Values of accounts become BER elements, never text inside a filter or a request, so none of them can mean
anything but itself. (ldap3's own encoder makes several objects of every value and takes a millisecond.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .adapter import search_request
from .wire import children, element

ADD, DELETE, REPLACE = 0, 1, 2
BASE, CHILDREN, SUBTREE = 0, 1, 2
NO_ATTRIBUTES = "1.1"
"""Asks for the names of entries alone (RFC 4511, section 4.5.1.8)."""

_NEVER_DEREFERENCE = b"\x0a\x01\x00"
_NO_TIME_LIMIT = b"\x02\x01\x00"
_FALSE, _TRUE = b"\x01\x01\x00", b"\x01\x01\xff"


class Change(NamedTuple):
    """What is to become of one attribute: ``kind`` is ADD, DELETE or REPLACE."""

    kind: int
    name: str
    values: Sequence[bytes]


def replaced(name: str, values: Sequence[bytes]) -> Change:
    """Return the change after which an attribute has exactly these values; without any, it is gone."""
    return Change(REPLACE, name, values)


def adding(dn: str, attributes: Mapping[str, Sequence[bytes]]) -> bytes:
    """Return an addRequest; an attribute without values is left out."""
    pairs = [_pair(name, values) for name, values in attributes.items() if values]
    return element(0x68, _text(dn), element(0x30, *pairs))


def modifying(dn: str, changes: Iterable[Change]) -> bytes:
    """Return a modifyRequest."""
    parts = [element(0x30, bytes((0x0A, 1, one.kind)), _pair(one.name, one.values)) for one in changes]
    return element(0x66, _text(dn), element(0x30, *parts))


def deleting(dn: str) -> bytes:
    """Return a delRequest."""
    return element(0x4A, dn.encode())


def renaming(dn: str, rdn: str, parent: str | None) -> bytes:
    """Return a modifyDNRequest; values that the old name has and the new one has not are taken away.

    ``parent`` is the new superior entry, None for the one that it has.
    """
    superior = b"" if parent is None else element(0x80, parent.encode())
    return element(0x6C, _text(dn), _text(rdn), _TRUE, superior)


def searching(base: str, scope: int, filter_: bytes, attributes: Iterable[str], most: int = 0) -> bytes:
    """Return a searchRequest that follows no alias; ``most`` entries are wanted, 0 for all."""
    limit = bytes((0x02, 1, most))
    return element(
        0x63,
        _text(base),
        bytes((0x0A, 1, scope)),
        _NEVER_DEREFERENCE,
        limit,
        _NO_TIME_LIMIT,
        _FALSE,
        filter_,
        element(0x30, *map(_text, attributes)),
    )


def anything() -> bytes:
    """Return the filter ``(objectClass=*)``."""
    return element(0x87, b"objectClass")


def equal(name: str, value: bytes) -> bytes:
    """Return the filter ``(name=value)``."""
    return element(0xA3, _text(name), element(0x04, value))


def all_of(*filters: bytes) -> bytes:
    """Return the filter ``(&...)``."""
    return element(0xA0, *filters)


def any_of(*filters: bytes) -> bytes:
    """Return the filter ``(|...)``, or the only one."""
    return filters[0] if len(filters) == 1 else element(0xA1, *filters)


def compiled(text: str) -> bytes:
    """Return a filter of the configuration (RFC 4515) as bytes."""
    ((_, search),) = children(search_request("", text, "subtree", []))
    tag, contents = children(search)[6]
    return element(tag, contents)


def _text(text: str) -> bytes:
    return element(0x04, text.encode())


def _pair(name: str, values: Sequence[bytes]) -> bytes:
    return element(0x30, _text(name), element(0x31, *[element(0x04, value) for value in values]))
