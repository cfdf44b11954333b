"""Ways to spoil a connection: proxies that cut it at a byte or falsify a result, a listener that nobody should talk to."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from contextlib import suppress
from typing import Literal, Self

from syncd_ldap.wire import DONE, length

from .certificates import Certificate

How = Literal["pass", "fin", "rst", "hang"]


class Listener:
    """Accepts connections on a loopback port, says nothing, and counts what it is told."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.server.getsockname()[1])
        self.connections = 0
        self.received = b""
        self._sockets: list[socket.socket] = [self.server]
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection and wait for the threads."""
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(5)

    def _run(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.server.accept()
                self.connections += 1
                self._sockets.append(client)
                self._run(self.serve, client)

    def serve(self, client: socket.socket) -> None:
        """Take what one client says."""
        with suppress(OSError):
            while data := client.recv(65536):
                self.received += data


class Proxy(Listener):
    """Passes a connection on to a port of ``host``, until the server has sent ``after`` bytes on it.

    Then the client sees the end of the stream (``fin``), a reset (``rst``), or nothing any more (``hang``).
    ``received`` is what clients sent, ``sent`` counts what they were sent; both over all connections.
    """

    def __init__(self, port: int, how: How = "pass", after: int = 0, host: str = "127.0.0.1") -> None:
        self.target = (host, port)
        self.how = how
        self.after = after
        self.sent = 0
        super().__init__()

    def serve(self, client: socket.socket) -> None:
        """Connect one client with the target; where nobody listens there any more, hang up."""
        try:
            server = socket.create_connection(self.target)
        except OSError:
            client.close()
            return
        self._sockets.append(server)
        self._run(self._answers, server, client)
        with suppress(OSError):
            while data := client.recv(65536):
                self.received += data
                server.sendall(data)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        left = None if self.how == "pass" else self.after
        with suppress(OSError):
            while left != 0 and (data := server.recv(65536 if left is None else min(left, 65536))):
                client.sendall(data)
                self.sent += len(data)
                if left is not None:
                    left -= len(data)
            if self.how == "hang":
                return
            if self.how == "rst":
                # The reset goes out with the last hold on the socket, and the other thread is reading it.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.shutdown(socket.SHUT_RD)
                client.close()
            else:
                client.shutdown(socket.SHUT_RDWR)
            server.close()


class Falsifier(Listener):
    """Passes ldaps on, and gives the result of a search another ``code``: the one of that ``number``, counted from 0.

    ``results`` counts them, over all connections.
    """

    def __init__(self, host: str, certificate: Certificate, code: int = 0, number: int = -1) -> None:
        self.target = (host, 636)
        self.code = code
        self.number = number
        self.results = 0
        self.here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.here.load_cert_chain(certificate.certificate, certificate.key)
        self.there = ssl.create_default_context(cafile=certificate.authority)
        super().__init__()

    def serve(self, client: socket.socket) -> None:
        """Pass on what the two say, message by message; by one thread, for such sockets are not for two."""
        # A socket that is closed meanwhile is no number any more.
        with suppress(OSError, ValueError):
            inner = socket.create_connection(self.target)
            for one in (inner, client):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = self.there.wrap_socket(inner, server_hostname=self.target[0])
            outer = self.here.wrap_socket(client, server_side=True)
            with server, outer:
                self._sockets.append(outer)
                held = b""
                while True:
                    for ready in select.select([server, outer], [], [], 30)[0]:
                        data = ready.recv(65536)
                        while ready.pending():
                            data += ready.recv(65536)
                        if not data:
                            return
                        if ready is outer:
                            server.sendall(data)
                        else:
                            held = self._answers(held + data, outer)

    def _answers(self, data: bytes, outer: ssl.SSLSocket) -> bytes:
        """Pass on the messages that are whole; return what is left."""
        while len(data) > 6:
            size, begin = length(data, 1)
            if len(data) < begin + size:
                break
            message, data = data[: begin + size], data[begin + size :]
            operation = begin + 2 + message[begin + 1]
            if message[operation] == DONE:
                at = length(message, operation + 1)[1] + 2
                if self.results == self.number:
                    message = message[:at] + bytes([self.code]) + message[at + 1 :]
                self.results += 1
            outer.sendall(message)
        return data
