"""Varlink on the wire: JSON objects that end with a NUL byte, of bounded size, in bounded time."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from ..errors import SyncdError

LARGEST = 1024 * 1024
"""Bytes that a call may have."""

_PIECE = 65536


class BadFrame(SyncdError):
    """What came is no Varlink: too long, too slow, or no JSON object."""


def encoded(document: Mapping[str, Any]) -> bytes:
    """Return a frame; all of it is ASCII, so that no text can be spoilt, or spoil it."""
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\0"


def decoded(frame: bytes) -> dict[str, Any]:
    """Read what stands before the NUL byte. Raises BadFrame."""
    try:
        document = json.loads(frame.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"what was sent is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadFrame("what was sent is not a JSON object")
    return document


class Frames:
    """The frames that come over a socket. ``largest`` None: however long they are."""

    def __init__(self, connection: socket.socket, largest: int | None = LARGEST) -> None:
        self._socket = connection
        self._largest = largest
        self._data = bytearray()
        self._searched = 0

    def next(self, idle: float | None = None, whole: float | None = None) -> dict[str, Any] | None:
        """Return the next one; None at the end, or if none begins for ``idle`` seconds.

        Raises BadFrame for one that is too long, is not complete after ``whole`` seconds, or is no JSON.
        """
        until = None if whole is None or not self._data else time.monotonic() + whole
        while (end := self._data.find(0, self._searched)) < 0:
            self._searched = len(self._data)
            if self._largest is not None and self._searched > self._largest:
                raise BadFrame(f"what was sent has more than {self._largest} bytes")
            try:
                self._socket.settimeout(idle if until is None else max(0.001, until - time.monotonic()))
                piece = self._socket.recv(_PIECE)
            except TimeoutError:
                if until is None:
                    return None
                raise BadFrame(f"what was sent was not complete after {whole} s") from None
            except ConnectionError:
                return None
            if not piece:
                return None
            if until is None and whole is not None:
                until = time.monotonic() + whole
            self._data += piece
        frame = bytes(self._data[:end])
        del self._data[: end + 1]
        self._searched = 0
        if self._largest is not None and len(frame) > self._largest:
            raise BadFrame(f"what was sent has more than {self._largest} bytes")
        return decoded(frame)


class Outbox:
    """What is sent to a peer: it may lag behind, but nobody waits for one who does not read.

    What is not taken at once is kept, up to ``most`` bytes; then the sender waits, ``grace`` seconds in all
    and one more for every ``rate`` bytes that were taken, and after that the peer is ``cut``.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        most: int = LARGEST,
        grace: float = 10.0,
        rate: int = 1024 * 1024,
        told: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self.over = False
        """Whether the peer was cut."""
        self._socket = connection
        self._most = most
        self._patience = grace
        self._rate = rate
        self._told = told
        self._data = bytearray()
        self._lock = Lock()

    @property
    def cut(self) -> bool:
        """Whether nobody listens any more: the peer was cut, or has closed its end."""
        return self.over or _is_gone(self._socket)

    def put(self, document: Mapping[str, Any]) -> None:
        """Send a frame, now or later; waits only when there is too much that was not taken."""
        with self._lock:
            if not self.over:
                self._data += encoded(document)
                self._send(self._most)

    def hint(self, document: Mapping[str, Any]) -> None:
        """Send a frame that may as well be lost; never waits."""
        if self._lock.acquire(blocking=False):
            try:
                if not self._data:
                    self._data += encoded(document)
                    self._send(None)
            finally:
                self._lock.release()

    def flush(self) -> None:
        """Wait until everything was taken, or the peer is cut."""
        with self._lock:
            self._send(0)

    def _send(self, most: int | None) -> None:
        """Send until no more than ``most`` bytes are left; None: what can be sent without waiting."""
        while self._data and not self.over:
            try:
                self._socket.setblocking(False)
                taken = self._socket.send(self._data[:_PIECE], socket.MSG_NOSIGNAL)
            except BlockingIOError:
                if most is None or len(self._data) <= most:
                    return
                self._wait()
            except OSError as error:
                self._cut(error.strerror or "gone")
            else:
                self._patience += taken / self._rate
                del self._data[:taken]
        if self.over:
            self._data.clear()

    def _wait(self) -> None:
        began = time.monotonic()
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        if self._patience <= 0 or not poll.poll(self._patience * 1000):
            self._cut("it does not read what it asked for")
        self._patience -= time.monotonic() - began

    def _cut(self, why: str) -> None:
        self.over = True
        self._told(why)
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is gone already


def _is_gone(connection: socket.socket) -> bool:
    """Tell whether the other end is closed; one that only sends no more still listens."""
    if connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection, 0)  # an end that is closed is told in any case
    return bool(poll.poll(0))
