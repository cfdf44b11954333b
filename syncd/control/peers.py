"""Who asks: what the kernel says of the other end of a Unix socket."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

_CREDENTIALS = struct.Struct("3i")
_PEERGROUPS = 59
"""SO_PEERGROUPS of socket(7), for which Python has no name."""

_MOST_BYTES = 1024
"""What Python's ``getsockopt`` can hold: 256 groups."""


class Rights(NamedTuple):
    """The groups whose members may have the service do something, and those that may only look."""

    operators: tuple[str, ...]
    readers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """A process at the other end, as it was when it connected."""

    pid: int
    uid: int
    groups: frozenset[int]

    @property
    def name(self) -> str:
        """The user's name, else the number."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    def changes(self, rights: Rights) -> bool:
        """Say whether it may have the service do something; root and the service's own user always may."""
        return self.uid in {0, os.geteuid()} or self._is_of(rights.operators)

    def looks(self, rights: Rights) -> bool:
        """Say whether it may see what the service knows."""
        return self.changes(rights) or self._is_of(rights.readers)

    def _is_of(self, names: Iterable[str]) -> bool:
        return not self.groups.isdisjoint(_numbers(names))


def peer_of(connection: socket.socket) -> Peer:
    """Return who has connected. Raises OSError where the kernel does not know."""
    known = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(known)
    return Peer(pid, uid, frozenset({gid, *_groups(connection, uid, gid)}))


def _groups(connection: socket.socket, uid: int, gid: int) -> Iterable[int]:
    """Return the groups that the process itself has; for one of more than 256, those of its user."""
    try:
        found = connection.getsockopt(socket.SOL_SOCKET, _PEERGROUPS, _MOST_BYTES)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    return struct.unpack(f"{len(found) // 4}I", found)


def _numbers(names: Iterable[str]) -> set[int]:
    """Return the numbers of groups; one that does not exist has no members."""
    found = set()
    for name in names:
        try:
            found.add(grp.getgrnam(name).gr_gid)
        except KeyError:
            continue
    return found
