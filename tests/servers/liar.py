"""An LDAP server that says what a test tells it to, for faults that no real server can be brought to.

    with Liar(lambda number, page: [entry(number, "uid=a"), done(number, cookie=b"again")]) as liar:
        ...

Binds succeed and the root DSE is that of a server which does not name its maker.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from syncd_ldap.wire import children, element, integer

from .spoilers import Listener

PAGED = b"1.2.840.113556.1.4.319"
Script = Callable[[int, int], Iterable[bytes]]
"""From the number of the message and of the page (0, 1, ...) to the messages to send."""


def text(value: str | bytes) -> bytes:
    return element(0x04, value.encode() if isinstance(value, str) else value)


def message(number: int, operation: bytes, controls: bytes = b"") -> bytes:
    return element(0x30, integer(number), operation, *([element(0xA0, controls)] if controls else []))


def entry(number: int, name: str, attributes: Mapping[str, Sequence[str | bytes]]) -> bytes:
    pairs = [
        element(0x30, text(kind), element(0x31, *map(text, values))) for kind, values in attributes.items()
    ]
    return message(number, element(0x64, text(name), element(0x30, *pairs)))


def ended(code: int = 0, diagnostic: str = "", tag: int = 0x65) -> bytes:
    return element(tag, element(0x0A, bytes((code,))), text(""), text(diagnostic))


def done(number: int, code: int = 0, cookie: bytes | None = b"", diagnostic: str = "") -> bytes:
    """Return a searchResultDone; ``cookie=None`` leaves the paging control out."""
    if cookie is None:
        return message(number, ended(code, diagnostic))
    value = element(0x30, integer(0), text(cookie))
    return message(number, ended(code, diagnostic), element(0x30, text(PAGED), text(value)))


class Liar(Listener):
    """Answers every search but that of the root DSE by the script."""

    def __init__(self, script: Script, root: Mapping[str, Sequence[str]] | None = None) -> None:
        self.script = script
        self.root = root or {"objectClass": ["top"]}
        super().__init__()

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        """Answer one client."""
        page = 0
        with suppress(OSError), client.makefile("rb") as stream:
            while head := stream.read(2):
                size = head[1]
                if size >= 0x80:
                    size = int.from_bytes(stream.read(size & 0x7F), "big")
                (_, identifier), (kind, operation), *_ = children(stream.read(size))
                number = int.from_bytes(identifier, "big")
                if kind == 0x60:
                    client.sendall(message(number, ended(tag=0x61)))
                elif kind == 0x63 and children(operation)[1][1] == b"\x00":
                    client.sendall(entry(number, "", self.root) + done(number, cookie=None))
                elif kind == 0x63:
                    client.sendall(b"".join(self.script(number, page)))
                    page += 1
