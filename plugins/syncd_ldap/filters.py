"""Filters as text (RFC 4515): a value inside one, and whether it is one, by ldap3's parser."""

from __future__ import annotations

from ldap3.core.exceptions import LDAPInvalidFilterError
from ldap3.operation.search import FilterNode, parse_filter

from .options import ATTRIBUTE


def escape_filter(value: str) -> str:
    """Return a value as it is written inside a filter (RFC 4515, section 3).

    White space is escaped too: ldap3 would take it away at both ends.
    """
    return "".join(
        "".join(f"\\{octet:02x}" for octet in character.encode())
        if character in "*()\\\x00" or character.isspace()
        else character
        for character in value
    )


def _parsed(text: str) -> FilterNode:
    return parse_filter(text, None, auto_escape=False, auto_encode=False, validator=None, check_names=False)


def attributes_in(text: str) -> set[str]:
    """Return the names of the attributes that a filter asks for, as it writes them."""
    names, nodes = set[str](), [_parsed(text)]
    while nodes:
        node = nodes.pop()
        nodes += node.elements
        name = (node.assertion or {}).get("attr")
        if name:
            names.add(name)
    return names


def check_filter(text: str) -> None:
    """Raise ValueError if ``text`` is no filter; needs no server."""
    try:
        root = _parsed(text)
    except LDAPInvalidFilterError as error:
        example = "(&(objectClass=person)(mail=*))"
        raise ValueError(f"{text!r} is no LDAP filter ({error}); it looks like {example}") from error
    _check_nodes(root, text)


def _check_nodes(node: FilterNode, text: str) -> None:
    assertion = node.assertion or {}
    name = assertion.get("attr")
    if name is not False and name is not None and not ATTRIBUTE.fullmatch(name):
        raise ValueError(f"{text!r} is no LDAP filter: {name!r} is no name of an attribute")
    for part in ("value", "initial", "final", "any"):
        values = assertion.get(part) or []
        for value in values if isinstance(values, list) else [values]:
            for escaped in value.split(b"\\")[1:]:
                if len(escaped) < 2 or any(octet not in b"0123456789abcdefABCDEF" for octet in escaped[:2]):
                    raise ValueError(f"{text!r} is no LDAP filter: write a backslash as \\5c")
    for inner in node.elements:
        _check_nodes(inner, text)
