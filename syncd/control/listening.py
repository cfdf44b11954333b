"""The listening socket: systemd's, or one of our own."""

from __future__ import annotations

import grp
import os
import socket
import stat
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import Busy, ConfigError, SyncdError
from ..logs import get_log
from ..places import LONGEST_SOCKET

log = get_log("syncd.control")

GROUP = "syncd-admin"
"""Whose members can connect to a socket that the service opens itself."""

_FIRST = 3
"""The first descriptor that is handed over (sd_listen_fds(3))."""

_BACKLOG = 64


@contextmanager
def open_socket(path: Path, environ: MutableMapping[str, str]) -> Iterator[socket.socket]:
    """Yield the listening socket: the one that systemd hands over, else one at ``path``, which goes with the block.

    The caller owns the state directory: what is left at ``path`` of a service that was killed is replaced.
    Raises Busy if somebody answers there, ConfigError for a path that cannot be used.
    """
    given = _given(environ)
    listener, placed = _placed(path) if given is None else (given, None)
    log.info("control_opened", **_rights(listener.getsockname()))
    try:
        yield listener
    finally:
        listener.close()
        if placed is not None:
            with suppress(OSError):  # somebody has taken it away, or put another one there
                if _identity(path) == placed:
                    path.unlink()


def _given(environ: MutableMapping[str, str]) -> socket.socket | None:
    """Take over what systemd has opened for this very process; children must not believe it is theirs."""
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return None
    for number in range(_FIRST, _FIRST + int(count)):
        try:
            os.set_inheritable(number, False)
        except (OSError, OverflowError):  # there are not so many
            return None
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            found = socket.socket(fileno=number)
            if found.family == socket.AF_UNIX and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return found
            found.detach()
    return None


def _placed(path: Path) -> tuple[socket.socket, tuple[int, int]]:
    """Listen at a path that nobody listens at; returns which file that has made."""
    if len(os.fsencode(path)) > LONGEST_SOCKET:
        raise ConfigError(
            f"socket: {path} has more than {LONGEST_SOCKET} bytes, and no Unix socket can have such a path: "
            "set socket to a shorter one"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_room(path)
        listener.bind(os.fspath(path))
        placed = _identity(path)
        _let_in(path)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"socket: {path}: {error.strerror or error}; set socket to another path") from error
    except SyncdError:
        listener.close()
        raise
    return listener, placed


def _make_room(path: Path) -> None:
    """Make the folder if it is missing, and take away what a killed service has left."""
    if not path.parent.exists():
        path.parent.mkdir()
        path.parent.chmod(0o755)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"socket: {path} is there already, and is no socket; set socket to another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1)
        try:
            asking.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except (TimeoutError, BlockingIOError):
            pass  # somebody is there, and has much to do
    raise Busy(f"a process that listens at {path}")


def _let_in(path: Path) -> None:
    """Let the group connect, if there is one and we may give it the socket; else our own group.

    Called before anybody can be answered there.
    """
    with suppress(KeyError, PermissionError):
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    path.chmod(0o660)


def _rights(name: str | bytes) -> dict[str, str]:
    """Return where a socket is and who can connect; of one that is no file (any more) only its name."""
    try:
        status = Path(os.fsdecode(name)).stat()
        group = grp.getgrgid(status.st_gid).gr_name
    except (OSError, ValueError, KeyError):
        return {"path": str(name)}
    return {"path": str(name), "mode": f"{status.st_mode & 0o777:04o}", "group": group}


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
