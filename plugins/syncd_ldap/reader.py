"""Cuts the answers to a search out of what the socket brings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from .wire import (
    DONE,
    ENTRY,
    EXTENDED,
    INTERMEDIATE,
    REFERENCE,
    Malformed,
    Result,
    children,
    integer,
    length,
    result,
)

CHUNK = 65536
"""What is asked of the socket at once; TLS reserves this much for every record, so more costs more."""
MESSAGE_LIMIT = 64 * 1024 * 1024
"""The largest message that is believed, bytes: its length is the server's word."""
PAGE_LIMIT = 16 * 1024 * 1024
"""A page larger than this, bytes, is handed on in parts."""
SMALLEST = 8
"""No answer of a server is shorter, bytes."""


class Page(NamedTuple):
    """Entries and references in the order of the server; ``result`` is None if more of the page follows."""

    entries: list[bytes]
    references: list[str]
    result: Result | None


def cut(data: bytes, wanted: bytes, entries: list[bytes]) -> tuple[int, int]:
    """Append the entries that ``data`` begins with to ``entries``, as long as they are numbered ``wanted``.

    Returns where the first message begins that is something else, or not all there, and where it ends.
    """
    at = 0
    available = len(data)
    prefix = len(wanted)
    while available - at >= SMALLEST:
        size = data[at + 1]
        if size < 0x80:
            begin = at + 2
            end = begin + size
        elif size == 0x82:
            begin = at + 4
            end = begin + (data[at + 2] << 8 | data[at + 3])
        else:
            size, begin = length(data, at + 1)
            end = begin + size
        if data[at] != 0x30 or end - at > MESSAGE_LIMIT:
            raise Malformed("something else than an LDAP message, or one beyond all measure")
        if end > available:
            return at, end
        begin += prefix
        if data[begin] != ENTRY or not data.startswith(wanted, begin - prefix):
            return at, end
        entries.append(data[begin:end])
        at = end
    return at, at + SMALLEST


class Reader:
    """Takes the answers to searches from a connected socket (plain or TLS).

    ``deadline`` is a reading of the monotonic clock. Raises TimeoutError, other OSErrors, EOFError when the
    server hangs up, and Malformed.
    """

    def __init__(self, socket: Any, deadline: float) -> None:
        self.socket = socket
        self.deadline = deadline
        self.data = b""

    def page(self, number: int) -> Page:
        """Read the answers to message ``number`` up to its result, or up to PAGE_LIMIT."""
        wanted = integer(number)
        entries: list[bytes] = []
        references: list[str] = []
        held = 0
        while held < PAGE_LIMIT:
            begin, end = cut(self.data, wanted, entries)
            if end > len(self.data):
                held += self._receive(begin, end)
                continue
            operation = _operation(self.data[begin:end], number)
            self.data = self.data[end:]
            if operation[0] == DONE:
                return Page(entries, references, result(operation))
            if operation[0] == ENTRY:
                entries.append(operation)
            elif operation[0] == REFERENCE:
                uris = children(children(operation)[0][1])
                references += [uri.decode("utf-8", "replace") for _, uri in uris]
            elif operation[0] != INTERMEDIATE:
                raise Malformed(f"an answer of kind {operation[0]:#x} to a search")
        return Page(entries, references, None)

    def messages(self, number: int) -> Iterator[bytes]:
        """Yield the answers to message ``number`` one by one, from the tag of the operation on, its result last."""
        while True:
            begin, end = cut(self.data, b"", [])
            if end > len(self.data):
                self._receive(begin, end)
                continue
            operation = _operation(self.data[begin:end], number)
            self.data = self.data[end:]
            yield operation
            if operation[0] == DONE:
                return

    def _receive(self, begin: int, end: int) -> int:
        """Keep what stands behind ``begin``, receive until it reaches ``end``; returns how much came."""
        parts = [self.data[begin:]]
        missing = end - begin - len(parts[0])
        came = 0
        while came < missing:
            if time.monotonic() > self.deadline:
                raise TimeoutError("the deadline has passed")
            parts.append(self.socket.recv(CHUNK))
            if not parts[-1]:
                raise EOFError("the server closed the connection")
            came += len(parts[-1])
        self.data = b"".join(parts)
        return came


def _operation(message: bytes, number: int) -> bytes:
    """Return a message from the tag of its operation on; its number has to be ``number``."""
    _, at = length(message, 1)
    size, begin = length(message, at + 1)
    found = int.from_bytes(message[begin : begin + size], "big")
    operation = message[begin + size :]
    if message[at] != 0x02 or len(operation) < 2:
        raise Malformed("a message without a number or an operation")
    if found == 0 and operation[0] == EXTENDED:
        notice = result(operation)
        raise EOFError(f"the server ended the connection: {notice.message or 'no reason given'}")
    if found != number:
        raise Malformed(f"an answer to message {found}, where {number} was asked")
    return operation
