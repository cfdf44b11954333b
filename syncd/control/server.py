"""Serves the control socket: a thread for each of a bounded number of peers, for a bounded time."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock, Thread, current_thread

from ..logs import get_log
from .frames import LARGEST, BadFrame, Frames, Outbox, encoded
from .peers import Peer, peer_of
from .service import BUSY, Service, refused

log = get_log("syncd.control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much one peer may ask of the service; times in seconds."""

    peers: int = 16
    largest: int = LARGEST
    """Bytes of a call."""

    idle: float = 60.0
    """Between two calls."""

    whole: float = 5.0
    """From the first byte of a call to its last."""

    lag: int = LARGEST
    """Bytes of replies that may wait for a peer to read them."""

    grace: float = 10.0
    """For which a peer may be slower than it must be, in all."""

    rate: int = 1024 * 1024
    """Bytes a second that a peer must be able to read."""

    drain: float = 10.0
    """For which the end waits for calls that are under way."""


class Server:
    """Answers whoever connects, in threads of its own, from ``start`` to ``end``."""

    def __init__(self, listener: socket.socket, service: Service, bounds: Bounds | None = None) -> None:
        self._listener = listener
        self._service = service
        self._bounds = bounds or Bounds()
        self._wake, self._woken = socket.socketpair()
        self._threads: dict[Thread, socket.socket] = {}
        self._lock = Lock()
        self._ending = False
        self._thread = Thread(target=self._accept, name="control", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._service.described  # noqa: B018 - an interface that cannot be read is found here, not by a peer
        self._listener.setblocking(False)
        self._thread.start()

    def end(self) -> None:
        """Take no more calls, and let those under way end; the last are left alone after a while."""
        with self._lock:
            self._ending = True
            waiting = dict(self._threads)
        self._wake.send(b"\0")
        self._thread.join()
        for connection in waiting.values():
            with suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RD)
        until = time.monotonic() + self._bounds.drain
        for thread in waiting:
            thread.join(max(0.0, until - time.monotonic()))
        self._wake.close()
        self._woken.close()

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while not self._ending:
            poll.poll()
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}:
                    time.sleep(0.2)  # it can be accepted once there is room again
                continue
            self._welcome(connection)

    def _welcome(self, connection: socket.socket) -> None:
        thread = Thread(target=self._serve, args=(connection,), name="control peer", daemon=True)
        with self._lock:
            room = len(self._threads) < self._bounds.peers and not self._ending
            if room:
                self._threads[thread] = connection
        try:
            if room:
                thread.start()
                return
        except RuntimeError:  # the system has no more threads
            with self._lock:
                del self._threads[thread]
        told = "the running syncd serves as many as it can; ask again later"
        answer = encoded(refused("Busy", told, BUSY).reply)
        with suppress(OSError), connection:  # whoever is gone need not know
            connection.send(answer, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._converse(connection, peer_of(connection))
        except Exception as error:
            log.exception("control_failed", error=str(error))
        finally:
            with self._lock:
                del self._threads[current_thread()]

    def _converse(self, connection: socket.socket, peer: Peer) -> None:
        bounds = self._bounds

        def told(why: str) -> None:
            log.info("control_cut", actor=peer.name, pid=peer.pid, reason=why)

        ear = Outbox(connection, most=bounds.lag, grace=bounds.grace, rate=bounds.rate, told=told)
        frames = Frames(connection, bounds.largest)
        stranger = self._service.stranger(peer)
        if stranger is not None:  # takes no room from those who may ask
            ear.hint(stranger)
            return
        while not ear.over and not self._ending:
            try:
                message = frames.next(bounds.idle, bounds.whole)
            except BadFrame as error:
                told(str(error))
                return
            if message is None:
                return
            self._service.answer(message, peer, ear)
            ear.flush()


@contextmanager
def serving(listener: socket.socket, service: Service, bounds: Bounds | None = None) -> Iterator[Server]:
    """Serve for as long as the block lasts."""
    server = Server(listener, service, bounds)
    server.start()
    try:
        yield server
    finally:
        server.end()
