"""Distinguished names: read, compared, written (RFC 4514)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

Rdn: TypeAlias = frozenset[tuple[str, str]]
"""One step of a name: (type in lower case, value folded) pairs, more than one where joined by ``+``."""

_TYPE = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)\s*=[ ]*")
_VALUE = re.compile(r'((?:\\[0-9A-Fa-f]{2})+)|\\([ "#+,;<=>\\])|([^\\,+"<>;\x00])')
_FIRST = re.compile(r"(?:\\.|[^\\,])*", re.DOTALL)
_SPECIAL = frozenset('"+,;<=>\\')
"""What is escaped; ``=`` need not be (RFC 4514), but Samba takes a name with a bare one for none."""


def parse(name: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return the steps of a name, leaf first, each a tuple of (type, value) pairs; ``""`` is the root.

    Raises ValueError for what is no name of RFC 4514, quoted values of older standards among it.
    """
    steps: list[tuple[tuple[str, str], ...]] = []
    pairs: list[tuple[str, str]] = []
    at = 0
    while name.strip():
        match = _TYPE.match(name, at)
        if match is None:
            raise ValueError(f"{name!r} is no distinguished name: no attribute=value at character {at + 1}")
        value, at = _value(name, match.end())
        pairs.append((match[1], value))
        if at == len(name):
            return (*steps, tuple(pairs))
        if name[at] == ",":
            steps.append(tuple(pairs))
            pairs = []
        elif name[at] != "+":
            raise ValueError(f"{name!r} is no distinguished name: write {name[at]!r} as '\\{name[at]}'")
        at += 1
    return ()


def split(name: str) -> tuple[str, str]:
    """Return the first step of a name as it is written, and the name of the entry above it."""
    match = _FIRST.match(name)
    assert match is not None  # noqa: S101 - any text matches
    return match[0], name[match.end() + 1 :]


def rdn(argument: str | None) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """The transform ``rdn``: of each name, the value that its entry is called by, ``Phones`` of ``CN=Phones,DC=acme``."""
    if argument is not None:
        raise ValueError(f"rdn takes no argument: write rdn, not rdn:{argument}")
    return lambda names: tuple(pairs[0][1] for name in names for pairs in parse(name)[:1])


def step(pairs: Iterable[tuple[str, str]]) -> str:
    """Return one step of a name, of (type, value) pairs."""
    return "+".join(f"{kind}={escape(value)}" for kind, value in pairs)


def folded(name: str) -> str:
    """Return one text for all writings of a name."""
    return ",".join("+".join(sorted(f"{kind}={value}" for kind, value in step)) for step in normalise(name))


def _value(name: str, at: int) -> tuple[str, int]:
    """Return the value that begins at ``at``, and where it ends."""
    text: list[str] = []
    kept = 0
    while match := _VALUE.match(name, at):
        octets, special, plain = match.groups()
        if octets:
            text.append(bytes.fromhex(octets.replace("\\", "")).decode())
        else:
            text.append(special or plain)
        if plain != " ":
            kept = len(text)
        at = match.end()
    # Spaces before a comma belong to the writing, not to the value, unless they are escaped.
    return "".join(text[:kept]), at


def normalise(name: str) -> tuple[Rdn, ...]:
    """Return the name as something that is equal for two writings of it: case and spaces do not count."""
    return tuple(
        frozenset((kind.lower(), " ".join(value.casefold().split())) for kind, value in step)
        for step in parse(name)
    )


def within(inner: str, outer: str) -> bool:
    """Tell whether ``inner`` is ``outer`` or lies below it."""
    below, above = normalise(inner), normalise(outer)
    return below[len(below) - len(above) :] == above if len(below) >= len(above) else False


def same(one: str, other: str) -> bool:
    """Tell whether two names are writings of the same one."""
    return normalise(one) == normalise(other)


def escape(value: str) -> str:
    """Return a value as it is written inside a name (RFC 4514, section 2.4).

    Control characters are written as hexadecimal pairs too, so that a name stays on one line.
    """
    text = "".join(f"\\{character}" if character in _SPECIAL else _visible(character) for character in value)
    if text.startswith(("#", " ")):
        text = f"\\{text}"
    if value.endswith(" ") and len(value) > 1:
        text = f"{text[:-1]}\\ "
    return text


def _visible(character: str) -> str:
    return character if character >= " " and character != "\x7f" else f"\\{ord(character):02x}"
