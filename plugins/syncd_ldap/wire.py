"""LDAP messages as bytes, while a search runs (RFC 4511; of BER only what LDAP allows of it).

The general decoder of ldap3 makes several objects of every value. Here a message is cut out of the stream,
its number is checked, and an entry stays one piece of bytes until somebody asks for what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

PAGED = b"1.2.840.113556.1.4.319"

ENTRY, DONE, REFERENCE, INTERMEDIATE, EXTENDED = 0x64, 0x65, 0x73, 0x79, 0x78


class Malformed(ValueError):
    """What came is no LDAP, or not what was asked for."""


class Result(NamedTuple):
    """How an operation ended. ``controls``: OID -> value."""

    code: int
    matched: str
    message: str
    referrals: tuple[str, ...]
    controls: Mapping[bytes, bytes]


def element(tag: int, *parts: bytes) -> bytes:
    """Return one BER element."""
    contents = b"".join(parts)
    size = len(contents)
    if size < 0x80:
        return bytes((tag, size)) + contents
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + contents


def integer(number: int) -> bytes:
    """Return a whole number, not negative, as a BER element."""
    return element(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def length(data: bytes, at: int) -> tuple[int, int]:
    """Read a length at ``at``; returns it, and where the contents begin."""
    size = data[at]
    if size < 0x80:
        return size, at + 1
    end = at + 1 + (size & 0x7F)
    if size == 0x80 or size > 0x84:
        raise Malformed(f"a length of {size & 0x7F} bytes")
    return int.from_bytes(data[at + 1 : end], "big"), end


def children(data: bytes) -> list[tuple[int, bytes]]:
    """Return the (tag, contents) of every element that ``data`` is a sequence of."""
    found = []
    at = 0
    try:
        while at < len(data):
            size, begin = length(data, at + 1)
            found.append((data[at], data[begin : begin + size]))
            at = begin + size
    except IndexError:
        at = -1
    if at != len(data):
        raise Malformed("an element that is cut off")
    return found


def control(oid: bytes, value: bytes | None = None) -> bytes:
    """Return a control that the server must heed or refuse the request (RFC 4511, section 4.1.11)."""
    behind = () if value is None else (element(0x04, value),)
    return element(0x30, element(0x04, oid), b"\x01\x01\xff", *behind)


def paged_control(size: int, cookie: bytes) -> bytes:
    """Return the control that asks for a page of ``size`` entries (RFC 2696)."""
    return control(PAGED, element(0x30, integer(size), element(0x04, cookie)))


def search_message(number: int, search: bytes, controls: Sequence[bytes] = ()) -> bytes:
    """Return the message of a search; ``search`` is an encoded searchRequest."""
    behind = (element(0xA0, *controls),) if controls else ()
    return element(0x30, integer(number), search, *behind)


def controls_of(behind: list[tuple[int, bytes]]) -> dict[bytes, bytes]:
    """Return OID -> value of the controls in what stands ``behind`` an operation."""
    controls = {}
    for one in children(next((contents for tag, contents in behind if tag == 0xA0), b"")):
        fields = children(one[1])
        controls[fields[0][1]] = fields[-1][1] if len(fields) > 1 and fields[-1][0] == 0x04 else b""
    return controls


def result(data: bytes) -> Result:
    """Read an LDAPResult and the controls behind it; ``data`` begins with the operation's tag."""
    operation, *behind = children(data)
    parts = children(operation[1])
    if [tag for tag, _ in parts[:3]] != [0x0A, 0x04, 0x04]:
        raise Malformed("a result without its three parts")
    referrals = next((contents for tag, contents in parts[3:] if tag == 0xA3), b"")
    return Result(
        code=int.from_bytes(parts[0][1], "big"),
        matched=parts[1][1].decode("utf-8", "replace"),
        message=parts[2][1].decode("utf-8", "replace").rstrip("\x00"),
        referrals=tuple(uri.decode("utf-8", "replace") for _, uri in children(referrals)),
        controls=controls_of(behind),
    )


def paged_value(value: bytes) -> tuple[int, bytes]:
    """Read the value of a paged results control: (the server's estimate of all entries, cookie)."""
    parts = children(children(value)[0][1]) if value else []
    if [tag for tag, _ in parts] != [0x02, 0x04]:
        raise Malformed("a paged results control without its two parts")
    return int.from_bytes(parts[0][1], "big"), parts[1][1]


def contents_of(entry: bytes) -> tuple[bytes, int, int]:
    """Return the name of an entry, and where its list of attributes begins and ends.

    ``entry`` begins with the tag of the searchResultEntry; controls may stand behind it.
    """
    size = entry[1]
    at = 3 if size < 0x80 else 3 + (size & 0x7F)
    size = entry[at]
    at += 1
    if size >= 0x80:
        size, at = length(entry, at - 1)
    name = entry[at : at + size]
    at += size + 1
    size = entry[at]
    if size < 0x80:
        return name, at + 1, at + 1 + size
    size, begin = length(entry, at)
    return name, begin, begin + size


def name_of(entry: bytes) -> bytes:
    """Return the name of an entry; all its bytes where it has none."""
    try:
        return contents_of(entry)[0]
    except (Malformed, IndexError):
        return entry


def attributes_of(
    entry: bytes, begin: int, end: int, names: Mapping[bytes, str]
) -> tuple[dict[str, tuple[str, ...]], list[tuple[bytes, list[bytes]]]]:
    """Read a list of attributes: those in ``names`` as texts under that name, all others as they are.

    Raises Malformed, IndexError where the bytes end too early, and UnicodeDecodeError for a value of
    ``names`` that is no UTF-8. A first synchronization runs through here for every value.
    """
    texts: dict[str, tuple[str, ...]] = {}
    others: list[tuple[bytes, list[bytes]]] = []
    at = begin
    while at < end:
        size = entry[at + 1]
        if size < 0x80:
            # So nearly every pair looks: one short value. All its lengths are one byte long.
            stop = at + 2 + size
            mark = at + 4 + entry[at + 3]
            name = names.get(entry[at + 4 : mark])
            if name is not None and stop > mark + 3 and entry[mark + 3] + mark + 4 == stop:
                texts[name] = (entry[mark + 4 : stop].decode(),)
                at = stop
                continue
        kind, values, at = _pair(entry, at)
        name = names.get(kind)
        if name is None:
            others.append((kind, values))
        else:
            texts[name] = tuple([value.decode() for value in values])
    if at != end:
        raise Malformed("an attribute that is longer than its entry")
    return texts, others


def _pair(entry: bytes, at: int) -> tuple[bytes, list[bytes], int]:
    """Read an attribute with all its values; returns where it ends too."""
    size, begin = length(entry, at + 1)
    end = begin + size
    size, mark = length(entry, begin + 1)
    kind = entry[mark : mark + size]
    mark += size
    size, at = length(entry, mark + 1)
    if entry[begin] != 0x04 or entry[mark] != 0x31 or at + size != end:
        raise Malformed("an attribute without a name or values")
    values = []
    while at < end:
        if entry[at] != 0x04:
            raise Malformed("a value that is no string of bytes")
        size = entry[at + 1]
        at += 2
        if size >= 0x80:
            size, at = length(entry, at - 1)
        values.append(entry[at : at + size])
        at += size
    if at != end:
        raise Malformed("a value that is longer than its list")
    return kind, values, end
