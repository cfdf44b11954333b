"""A service that listens, as far as the control socket goes: real sockets, real threads, real peers."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import cli_world
import pytest

from syncd.cli import session
from syncd.cli.serving import execute
from syncd.control.calls import Call
from syncd.control.listening import open_socket
from syncd.control.peers import Rights
from syncd.control.server import Bounds, serving
from syncd.control.service import Service
from syncd.errors import Busy
from syncd.pipeline.installation import Installation, resolver
from syncd.pipeline.opening import plugins_for, settings_for
from syncd.places import DATABASE
from syncd.store.database import open_database, open_reading


class House:
    """What a service owns, of which one verb at a time may change something."""

    patience = 20.0
    refused: str | None = None
    trouble: str | None = None

    def __init__(self, config: Path) -> None:
        self.plugins = plugins_for((config,), {})
        self.settings = settings_for((config,), {}, self.plugins)
        self.turn = threading.Lock()
        self.holder = ""

    def writing(self, verb: str, actor: str, opened: ExitStack, _waits: object) -> Installation:
        if not self.turn.acquire(timeout=self.patience):
            raise Busy(self.holder)
        opened.callback(self.turn.release)
        self.holder = f"syncd {verb} of {actor}"
        return self._installation(open_database, actor, opened)

    def reading(self, actor: str, opened: ExitStack) -> Installation:
        return self._installation(open_reading, actor, opened)

    def _installation(self, opening: Callable[..., Any], actor: str, opened: ExitStack) -> Installation:
        database = opening(self.settings.state_directory / DATABASE)
        opened.callback(database.close)
        return Installation(
            settings=self.settings,
            plugins=self.plugins,
            database=database,
            actor=actor,
            secret=resolver(self.plugins, {}, self.settings),
            clock=lambda: session.now(),  # noqa: PLW0108 - looked up at each call
        )


class Door:
    """A listening service; ``carry_out`` is what it does with a verb."""

    def __init__(self, place: Path, carry_out: Callable[[Call], int]) -> None:
        self.place = place
        self.carry_out = carry_out
        self.calls: list[Call] = []
        self.rights = Rights(("nobody-of-these",))
        self.refusal: str | None = None
        self.reloads = 0

    def execute(self, call: Call) -> int:
        self.calls.append(call)
        return self.carry_out(call)

    def reload(self) -> str | None:
        self.reloads += 1
        return self.refusal

    @contextmanager
    def open(self, **bounds: Any) -> Iterator[Door]:
        service = Service(self.execute, lambda: {"state": "idle"}, self.reload, lambda: self.rights)
        with open_socket(self.place, {}) as listener, serving(listener, service, Bounds(**bounds)) as server:
            self.server = server
            yield self

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(20)
        try:
            connection.connect(os.fspath(self.place))
        except OSError:
            connection.close()
            raise
        return connection

    def ask(self, method: str, more: bool = False, **parameters: Any) -> list[dict[str, Any]]:
        """Call a method over a connection of its own, and return the replies."""
        with closing(self.connect()) as connection:
            return asked(connection, {"method": method, "parameters": parameters, "more": more})


def send(connection: socket.socket, document: Any) -> None:
    with suppress(BrokenPipeError):  # it may have said why
        connection.sendall(json.dumps(document).encode() + b"\0")


def replies(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """Yield what comes until the other side closes."""
    data = b""
    while piece := connection.recv(65536):
        *frames, data = (data + piece).split(b"\0")
        yield from map(json.loads, frames)


def asked(connection: socket.socket, document: Any) -> list[dict[str, Any]]:
    """Send a call, and return its replies."""
    send(connection, document)
    found = []
    for reply in replies(connection):
        found.append(reply)
        if not reply.get("continues"):
            return found
    return found


@pytest.fixture
def door(tmp_path):
    """A service whose verbs do nothing; ``carry_out`` can be replaced."""
    with Door(tmp_path / "control.sock", lambda _call: 0).open() as made:
        yield made


@pytest.fixture
def served(office):
    """An office with a service; the command line finds its socket by the configuration."""
    (office.folder / "state").mkdir(mode=0o700, exist_ok=True)
    house = House(office.config)
    office.house = house
    with Door(office.folder / "state" / "control.sock", partial(execute, house=house)).open() as door:
        office.door = door
        yield office


office = cli_world.office
