"""A strict reader of LDIF content (RFC 2849): entries one by one, in linear time and flat memory.

Every entry is first tried by a short path that knows nothing but ``name: value`` and ``name:: base64``;
whatever it does not understand goes to the careful path, which names what is wrong and where. Both
return the same for what both understand.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple
from uuid import UUID

from .rows import BadFile, Caps, Fault, check_encoding

_CHUNK = 1 << 20
_MOST_NAMES = 10_000
_MOST_FAULTS = 20
_NAME = re.compile(r"(?:[A-Za-z][A-Za-z0-9_-]*|[0-9]+(?:\.[0-9]+)*)(?:;[A-Za-z0-9_-]+)*")
_GUIDS = frozenset({"objectguid", "ms-ds-consistencyguid"})
_CHANGES = (
    "this is a file of changes, and a source reads content: export the entries themselves (ldapsearch, "
    "slapcat), one whole entry per person; of an ldifde export, take the lines 'changetype: add' out"
)


class LdifEntry(NamedTuple):
    """One entry: where it begins, its bytes (line ends as LF), its values by lower-case attribute name.

    The name ``dn`` holds the distinguished name. With faults, ``values`` has what could be read.
    """

    line: int
    raw: bytes
    values: dict[str, list[str]]
    faults: tuple[Fault, ...] = ()


def blocks(file: BinaryIO, caps: Caps = Caps()) -> Iterator[tuple[int, bytes]]:  # noqa: B008 - frozen
    """Yield (line, bytes) of every run of lines between empty lines; line ends become LF.

    Raises BadFile for NUL, UTF-16, or a run longer than ``caps.entry``.
    """
    line = 1
    for block in _pieces(file, caps.entry):
        if line == 1:
            block = check_encoding(block)
        if len(block) > caps.entry:
            raise BadFile(line, None, f"an entry is longer than {caps.entry} bytes; export less of it")
        if b"\0" in block:
            place = line + block.count(b"\n", 0, block.index(b"\0"))
            raise BadFile(place, None, "the line holds a NUL; write such a value as base64 (::)")
        if text := block.strip(b"\n"):
            yield line + len(block) - len(block.lstrip(b"\n")), text
        line += block.count(b"\n") + 2


def _pieces(file: BinaryIO, most: int) -> Iterator[bytes]:
    """Yield what stands between two line feeds and the next two; reads grow, so that a long piece stays linear."""
    tail = b""
    while len(tail) <= most and (chunk := file.read(max(_CHUNK, len(tail)))):
        if chunk.endswith(b"\r"):
            chunk += file.read(1)
        *whole, tail = (tail + chunk.replace(b"\r\n", b"\n")).split(b"\n\n")
        yield from whole
    yield tail


def decode_base64(text: str | bytes, name: str) -> str:
    """Return the text behind strict base64; a GUID of Active Directory becomes its usual spelling.

    Raises ValueError with the reason.
    """
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise ValueError("the value is not base64 (RFC 4648); export the file anew") from None
    if len(data) == 16 and name in _GUIDS:
        return str(UUID(bytes_le=data))
    try:
        value = data.decode()
    except UnicodeDecodeError:
        raise ValueError("the value is binary, not UTF-8 text; do not map this attribute") from None
    if "\0" in value:
        raise ValueError("the value holds a NUL; correct it in the directory")
    return value


class LdifFile:
    """The entries of a binary file object; ``names`` are the attributes seen so far (lower case -> a spelling).

    ``wanted`` are the attributes to keep (None: all); what is not wanted is checked for its form only.
    """

    def __init__(
        self,
        file: BinaryIO,
        wanted: Iterable[str] | None = None,
        caps: Caps = Caps(),  # noqa: B008 - frozen
    ) -> None:
        self._file = file
        self._caps = caps
        self._wanted = None if wanted is None else frozenset(name.lower() for name in wanted)
        self._plain: dict[str, str] = {}
        self._encoded: dict[str, str] = {}
        self._shortest = min(caps.value, caps.line)
        self._begun = False

    @property
    def names(self) -> dict[str, str]:
        return {name.lower(): name for name in reversed(self._plain)}

    def __iter__(self) -> Iterator[LdifEntry]:
        """Yield the entries, those with faults too. Raises BadFile where the file itself is no good."""
        count = 0
        for line, block in blocks(self._file, self._caps):
            values = self._quick(block)
            entry = self._careful(line, block) if values is None else LdifEntry(line, block, values)
            if entry is None:
                continue
            self._begun = True
            count += 1
            if count > self._caps.entries:
                most = self._caps.entries
                raise BadFile(line, None, f"more than {most} entries; raise max_entries if that is right")
            yield entry

    def _quick(self, block: bytes) -> dict[str, list[str]] | None:  # noqa: C901, PLR0912 - the hot loop is one
        """Return the values of a plain entry; None sends it to the careful path."""
        if len(block) > self._shortest:
            return None
        try:
            text = (block.replace(b"\n ", b"") if b"\n " in block else block).decode()
        except UnicodeDecodeError:
            return None
        if "\r" in text or ":  " in text:
            return None
        lines = iter(text.split("\n"))
        for line in lines:
            if line[:1] != "#":
                break
        if line[:4] != "dn: " or len(line) == 4:
            return None
        values = {"dn": [line[4:]]}
        plain, encoded = self._plain.get, self._encoded.get
        for line in lines:
            name, _, value = line.partition(": ")
            slot = plain(name)
            if slot is None:
                slot = encoded(name)
                if slot is None:
                    return None
                if slot and value:
                    try:
                        value = decode_base64(value, slot)
                    except ValueError:
                        return None
            if not value:
                return None
            if slot:
                if slot in values:
                    values[slot].append(value)
                else:
                    values[slot] = [value]
        return None if line[:4] == "dn: " else values

    def _careful(self, line: int, block: bytes) -> LdifEntry | None:
        """Return the entry with its faults (up to a limit), or None if the block holds but comments."""
        faults: list[Fault] = []
        values: dict[str, list[str]] = {}
        lines = _unfold(line, block, self._caps, faults)
        first = self._after_version(lines)
        if first is None:
            return LdifEntry(line, block, values, tuple(faults)) if faults else None
        begun, text = first
        if text[:3].lower() == "dn:":
            self._take(begun, "dn", text[3:], values, faults)
            if not values and not faults:
                faults.append(Fault(begun, "dn", "the name is empty; leave the root entry out of the export"))
        else:
            faults.append(
                Fault(begun, None, "an entry begins with 'dn:'; export the file anew (ldapsearch: with -LLL)")
            )
        last = begun
        for last, text in lines:
            self._attribute(last, text, values, faults)
            if len(faults) > _MOST_FAULTS:
                break
        if last == begun:
            faults.append(Fault(begun, None, "the entry has no attributes; may the export read them?"))
        return LdifEntry(line, block, values, tuple(faults))

    def _after_version(self, lines: Iterator[tuple[int, str]]) -> tuple[int, str] | None:
        """Return the first line of the entry; the first of the file may be its version."""
        first = next(lines, None)
        if self._begun or first is None:
            return first
        self._begun = True
        name, _, value = first[1].partition(":")
        if name.lower() != "version":
            return first
        if value.strip(" ") != "1":
            raise BadFile(first[0], None, f"LDIF version {value.strip()!r} is not known; write version 1")
        return next(lines, None)

    def _attribute(self, line: int, text: str, values: dict[str, list[str]], faults: list[Fault]) -> None:
        name, colon, value = text.partition(":")
        slot = name.lower()
        if not colon or not _NAME.fullmatch(name):
            faults.append(
                Fault(line, None, "not 'name: value', nor the folded end of one; export the file anew")
            )
        elif slot in ("changetype", "control"):
            raise BadFile(line, name, _CHANGES)
        elif slot == "dn":
            faults.append(Fault(line, None, "a second 'dn:' in one entry; put an empty line before it"))
        elif value.startswith("<"):
            faults.append(
                Fault(
                    line,
                    name,
                    "a value by URL (:<) is never fetched; write the value itself, or its base64 (::)",
                )
            )
        elif self._register(name, slot):
            self._take(line, name, value, values, faults)

    def _register(self, name: str, slot: str) -> bool:
        """Remember the spelling for the short path; return whether the attribute is wanted."""
        wanted = self._wanted is None or slot in self._wanted
        if name not in self._plain and len(self._plain) < _MOST_NAMES:
            self._plain[name] = self._encoded[name + ":"] = slot if wanted else ""
        return wanted

    def _take(
        self, line: int, name: str, text: str, values: dict[str, list[str]], faults: list[Fault]
    ) -> None:
        """Add what stands behind ``name:`` to the values; an empty value is none."""
        try:
            value = self._value(name.lower(), text)
        except ValueError as error:
            faults.append(Fault(line, name, str(error)))
        else:
            if value:
                values.setdefault(name.lower(), []).append(value)

    def _value(self, slot: str, text: str) -> str:
        """Return the value behind the first colon. Raises ValueError with the reason."""
        plain = not text.startswith(":")
        value = text.lstrip(" ") if plain else decode_base64(text[1:].lstrip(" "), slot)
        if plain and "\r" in value:
            raise ValueError("a carriage return inside of the value; write it as base64 (::)")
        if len(value.encode()) > self._caps.value:
            raise ValueError(f"the value is longer than {self._caps.value} bytes; see max_value_kib")
        return value


def _unfold(line: int, block: bytes, caps: Caps, faults: list[Fault]) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of the logical lines that are no comments; each is joined once."""
    begun, parts = line, list[bytes]()
    for number, physical in enumerate([*block.split(b"\n"), b"end"], line):
        if len(physical) > caps.line:
            faults.append(
                Fault(number, None, f"the line is longer than {caps.line} bytes; export the file folded")
            )
            physical = physical[:1]
        if physical[:1] == b" ":
            if not parts:
                faults.append(
                    Fault(number, None, "a folded line that continues nothing; take the space away")
                )
            parts.append(physical[1:])
            continue
        if parts and not parts[0].startswith(b"#"):
            try:
                yield begun, b"".join(parts).decode()
            except UnicodeDecodeError:
                faults.append(Fault(begun, None, "the line is not UTF-8; save the file as UTF-8"))
        begun, parts = number, [physical]
