"""The other side: asks the running service. Imports little, as every verb begins here."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import SyncdError, Unavailable
from ..places import LONGEST_SOCKET
from .frames import BadFrame, Frames, encoded

_INTERFACE = "org.syncd"


class Answered(SyncdError):
    """The service answered with an error; ``exit_code`` is the one that it said."""

    def __init__(self, message: str, exit_code: int) -> None:
        self.exit_code = exit_code  # type: ignore[misc]  # each has its own
        super().__init__(message)


class NotAllowed(SyncdError):
    """The socket is there, and this user may not connect to it."""

    exit_code = 77


def connect(path: Path) -> socket.socket | None:
    """Return a connection to the service, or None if nobody listens there. Raises NotAllowed."""
    if len(os.fsencode(path)) > LONGEST_SOCKET:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(os.fspath(path))
    except PermissionError as error:
        connection.close()
        raise NotAllowed(
            f"the running syncd listens at {path}, and this user may not connect there: "
            "become a member of the group of that socket (syncd-admin), or ask as root"
        ) from error
    except OSError:
        connection.close()
        return None
    return connection


def call(connection: socket.socket, method: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    """Call a method and yield its replies as they come.

    Raises Answered for an error, Unavailable if the service goes away before its last reply.
    """
    asked = {"method": f"{_INTERFACE}.{method}", "parameters": parameters, "more": True}
    with suppress(BrokenPipeError, ConnectionResetError):  # it may have said why
        connection.sendall(encoded(asked))
    frames = Frames(connection, largest=None)
    while True:
        try:
            reply = frames.next()
        except BadFrame as error:
            raise Unavailable(f"what listens at the control socket is not syncd: {error}") from error
        if reply is None:
            raise Unavailable(
                "the running syncd has ended, or has cut the connection: syncd runs tells what was done"
            )
        if "error" in reply:
            raise _error(str(reply["error"]), reply.get("parameters") or {})
        yield reply.get("parameters") or {}
        if not reply.get("continues"):
            return


def _error(name: str, parameters: Mapping[str, Any]) -> Answered:
    if name.startswith(f"{_INTERFACE}."):
        return Answered(str(parameters.get("message", name)), int(parameters.get("exit_code", 70)))
    about = ", ".join(f"{key} {value}" for key, value in parameters.items())
    return Answered(
        f"the running syncd is another version than this command ({name}: {about}): restart it", 70
    )
