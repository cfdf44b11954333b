"""Writing LDIF (RFC 2849): entries, change records, and the escaping of names (RFC 4514)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence

_WIDTH = 76
_SAFE = re.compile(r"[!-9;=-~](?:[ -~]*[!-~])?")
_SPECIAL = re.compile(r'[,+"\\<>;=#]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FIRST_NAME = re.compile(r"((?:[^\\,]|\\.)*),(.*)", re.DOTALL)

Attributes = Mapping[str, Sequence[str]]


def line(name: str, value: str) -> bytes:
    """Return ``name: value`` (base64 where RFC 2849 wants it), folded so that no line is longer than 76 bytes.

    Base64 is also taken for control characters, which the grammar allows and many readers do not.
    """
    if not value:
        text = f"{name}:"
    elif _SAFE.fullmatch(value):
        text = f"{name}: {value}"
    else:
        text = f"{name}:: {b64encode(value.encode()).decode()}"
    if len(text) <= _WIDTH:
        return text.encode() + b"\n"
    folded = [text[:_WIDTH]]
    folded += [" " + text[at : at + _WIDTH - 1] for at in range(_WIDTH, len(text), _WIDTH - 1)]
    return "\n".join(folded).encode() + b"\n"


def lines(attributes: Attributes) -> bytes:
    """Return a line for each value of each attribute."""
    return b"".join(line(name, value) for name, values in attributes.items() for value in values)


def entry(dn: str, attributes: Attributes) -> bytes:
    """Return a whole entry, without the empty line behind it."""
    return line("dn", dn) + lines(attributes)


def adding(dn: str, attributes: Attributes) -> bytes:
    """Return the record that adds a whole entry."""
    return line("dn", dn) + b"changetype: add\n" + lines(attributes)


def deleting(dn: str) -> bytes:
    """Return the record that deletes an entry."""
    return line("dn", dn) + b"changetype: delete\n"


def renaming(dn: str, new: str) -> bytes:
    """Return the record that renames ``dn``, and moves it where the new name has another parent."""
    name, parent = split(new)
    record = line("dn", dn) + b"changetype: modrdn\n" + line("newrdn", name) + b"deleteoldrdn: 1\n"
    return record if split(dn)[1] == parent else record + line("newsuperior", parent)


def modifying(dn: str, changes: Attributes) -> bytes:
    """Return the record that replaces the values of each attribute; no values take it away (RFC 4511 4.6)."""
    parts = [line("replace", name) + lines({name: values}) + b"-\n" for name, values in changes.items()]
    return line("dn", dn) + b"changetype: modify\n" + b"".join(parts)


def escape(value: str) -> str:
    """Return the value as it stands in a name (RFC 4514 2.4).

    ``=`` and ``#`` are escaped wherever they stand, which the RFC allows and importers ask for.
    """
    text = _SPECIAL.sub(r"\\\g<0>", value)
    text = _CONTROL.sub(lambda found: f"\\{ord(found[0]):02x}", text)
    if text.startswith(" "):
        text = "\\" + text
    if text.endswith(" ") and len(value) > 1:
        text = text[:-1] + "\\ "
    return text


def split(dn: str) -> tuple[str, str]:
    """Return the first name of ``dn`` and its parent (empty if there is none)."""
    found = _FIRST_NAME.fullmatch(dn)
    return (found[1], found[2].lstrip(" ")) if found else (dn, "")


def differences(before: Attributes, after: Attributes) -> dict[str, tuple[str, ...]]:
    """Return the values after, of every attribute whose values are not the same (in any order)."""
    names: Iterable[str] = dict.fromkeys((*after, *before))
    return {
        name: tuple(after.get(name, ()))
        for name in names
        if sorted(before.get(name, ())) != sorted(after.get(name, ()))
    }
