"""A verb that the running service carries out: it is asked over the control socket, and its words are relayed.

Nothing heavy is imported on this way, and the state directory is not touched.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from ..control.client import call, connect
from ..control.verbs import verb_of
from ..errors import Unavailable
from ..places import SOCKET, socket_of, state_directory_of
from .asking import DECLINED, agrees
from .options import HELP
from .output import say

if TYPE_CHECKING:
    import socket

_USUAL_FILE = Path("/etc/syncd/syncd.toml")


def forwarded(options: Mapping[str, Any], arguments: Sequence[str]) -> int | None:
    """Have the running service carry out a verb; returns its exit code, or None if it is to be done here.

    ``options`` are those of ``syncd`` itself. Raises SyncdError if the service refuses.
    """
    if verb_of(arguments) is None or not set(HELP).isdisjoint(arguments):
        return None
    connection = reached(options)
    if connection is None:
        return None
    try:
        return _relayed(options, connection, arguments)
    except KeyboardInterrupt:
        say("syncd: left; what the running syncd has begun it finishes: syncd runs tells")
        return DECLINED


def ask(options: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Call a method of the service and return its reply. Raises Unavailable if there is no service."""
    with closing(_required(options)) as connection:
        return next(call(connection, method))


def _required(options: Mapping[str, Any]) -> socket.socket:
    connection = reached(options)
    if connection is None:
        raise Unavailable(
            "syncd is not running as a service, or listens elsewhere: start it with 'systemctl start syncd', "
            "or name its socket by $SYNCD_SOCKET"
        )
    return connection


def reached(options: Mapping[str, Any]) -> socket.socket | None:
    """Return a connection to the service, or None if nobody listens. Raises NotAllowed."""
    files, told = options.get("files") or (), options.get("state_directory")
    usual = not files and not told and not os.environ.get("SYNCD_CONFIG")
    named = os.environ.get("SYNCD_SOCKET")
    if named or usual:
        connection = connect(Path(named) if named else SOCKET)
        if connection is not None or named:
            return connection
    place = socket_of(told.absolute()) if told else _configured(files)
    return None if place is None else connect(place)


def _configured(files: tuple[Path, ...]) -> Path | None:
    """Return where the service of a configuration listens; None if that cannot be read."""
    from ..config.environment import override
    from ..config.files import read

    document = read(files or None, os.environ)
    if document.incomplete:
        only = [*files] or [Path(os.environ.get("SYNCD_CONFIG") or _USUAL_FILE)]
        return SOCKET if only == [_USUAL_FILE] else None
    override(document, os.environ, ("socket", "state_directory"))
    written, place = (document.tree.get(key) for key in ("socket", "state_directory"))
    if isinstance(written, str):
        return Path(written)
    return socket_of(state_directory_of(place, os.environ))


def _relayed(options: Mapping[str, Any], connection: socket.socket, arguments: Sequence[str]) -> int:
    """Ask, and if the person has to agree, once more: nobody holds a connection while they think."""
    with closing(connection):
        code, question = _called(connection, arguments, agreed=False)
    while question is not None:
        if not agrees(question["text"]):
            return DECLINED
        with closing(_required(options)) as anew:
            code, question = _called(anew, question["arguments"], agreed=True)
    return code


def _called(
    connection: socket.socket, arguments: Sequence[str], *, agreed: bool
) -> tuple[int, dict[str, Any] | None]:
    """Ask once; returns the exit code, and the question if there is one."""
    asked: dict[str, Any] = {"arguments": list(arguments), "terminal": _terminal(), "agreed": agreed}
    if os.environ.get("SUDO_USER"):
        asked["asked_by"] = os.environ["SUDO_USER"]
    reply: dict[str, Any] = {}
    words = Words(connection, live=sys.stderr.isatty() and "--json" not in arguments)
    try:
        for reply in call(connection, "Command", **asked):
            words.put(reply)
    finally:
        words.end()
    return int(reply.get("exit_code", 70)), reply.get("question")


def _terminal() -> dict[str, Any]:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in {"dumb", "unknown"}
    return {
        "columns": shutil.get_terminal_size().columns,
        "encoding": getattr(sys.stdout, "encoding", None) or "utf-8",
        "output": sys.stdout.isatty(),
        "messages": sys.stderr.isatty(),
        "asks": sys.stdin.isatty(),
        "colour": not plain,
    }


class Words:
    """Writes what comes while the connection is read: the service never waits for a pager."""

    def __init__(self, connection: socket.socket, *, live: bool) -> None:
        self._connection = connection
        self._live = live
        self._replies: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._failure: Exception | None = None
        self._thread = Thread(target=self._print, daemon=True)
        self._thread.start()

    def put(self, reply: dict[str, Any]) -> None:
        """Write what a reply has to say, soon."""
        self._replies.put(reply)

    def end(self) -> None:
        """Wait until all is written. Raises what kept it from being written."""
        self._replies.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _print(self) -> None:
        import socket as sockets

        try:
            with ExitStack() as shown:
                self._print_all(shown)
        except Exception as error:  # noqa: BLE001 - whoever waits for this thread raises it
            self._failure = error
            self._connection.shutdown(sockets.SHUT_RDWR)

    def _print_all(self, shown: ExitStack) -> None:
        show = None
        while (reply := self._replies.get()) is not None:
            if "progress" in reply and self._live:
                if show is None:
                    from .progress import live

                    show = shown.enter_context(live())
                one = reply["progress"]
                show(one["about"], one["stage"], one["count"], one.get("total"))
            if "output" in reply:
                shown.close()
                show = None
                stream = sys.stdout if reply["output"]["stream"] == "stdout" else sys.stderr
                stream.write(reply["output"]["text"])
                stream.flush()
