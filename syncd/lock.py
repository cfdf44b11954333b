"""Floor 4: one owner of the state directory at a time.

The owner holds ``flock`` on ``<state directory>/lock`` for as long as it lives; the kernel lets go of it
however the owner ends, so there is nothing to clean up after a crash. What stands in the file is for
people. Locks of a network file system are not to be relied upon: the directory belongs on a local disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
import time
from contextlib import suppress
from os.path import samestat
from pathlib import Path
from types import TracebackType
from typing import ClassVar, NamedTuple, Self

from .errors import Busy, StoreError, SyncdError

_PRIVATE = 0o077
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Forbidden(SyncdError):
    """The state directory is not ours alone, or may not be entered: a person must change its rights."""

    exit_code: ClassVar[int] = 77


class Owner(NamedTuple):
    """Who owns a state directory: a process, what it does, and since when (seconds of the epoch)."""

    pid: int
    verb: str
    since: float


def owner_of(directory: Path) -> Owner | None:
    """Return who owns a state directory, as its lock file tells; None if nobody does, or nobody may know.

    Only looks: an owner that begins meanwhile is not kept from it. A file that a killed owner left is
    known by its process, or its boot, being over.
    """
    path = directory / "lock"
    try:
        text, since = path.read_text("utf-8", "replace"), path.stat().st_mtime
    except OSError:
        return None
    lines = _lines(text)
    pid = lines.get("pid", "")
    if "verb" not in lines or lines.get("boot") != _boot_id() or not _is_alive(pid):
        return None
    return Owner(int(pid), lines["verb"], since)


class Lock:
    """Ownership of a state directory, as a context manager; ``verb`` tells others what its owner does.

    Entering makes the directory if it is missing (0700), and sets the umask to 077, so that nothing
    in it is ever readable by others, not even for a moment; leaving puts the umask back. Raises Busy at
    once while another process owns the directory, Forbidden if its rights are too wide or it belongs to
    another user, StoreError if it cannot be made or written.
    """

    def __init__(self, directory: Path, verb: str = "command") -> None:
        self.directory = directory
        self.verb = verb
        self._file: int | None = None
        self._umask = 0

    def __enter__(self) -> Self:
        self._umask = os.umask(_PRIVATE)
        try:
            self._file = self._take()
        except OSError as error:
            os.umask(self._umask)
            raise _explained(self.directory, error) from error
        except SyncdError:
            os.umask(self._umask)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with suppress(OSError):  # what stands in the file is only for people; the kernel keeps the lock
                os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None
            os.umask(self._umask)

    def holds(self) -> bool:
        """Say whether others still find this lock: somebody may have taken the directory away."""
        try:
            return self._file is not None and samestat(os.fstat(self._file), (self.directory / "lock").stat())
        except OSError:
            return False

    def _take(self) -> int:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _require_private(self.directory, os.fstat(directory))
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            file = os.open("lock", flags, 0o600, dir_fd=directory)
        finally:
            os.close(directory)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(file, 0o600)
            os.ftruncate(file, 0)
            os.pwrite(file, f"pid {os.getpid()}\nboot {_boot_id()}\nverb {self.verb}\n".encode(), 0)
        except BlockingIOError:
            holder = _holder(file)
            os.close(file)
            raise Busy(holder) from None
        except OSError:
            os.close(file)
            raise
        return file


def _require_private(directory: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        owner = _user(status.st_uid)
        raise Forbidden(
            f"the state directory {directory} belongs to {owner}, and this is {_user(os.geteuid())}: "
            f"run the command as {owner}, for example with 'runuser -u {owner} -- syncd ...'"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & _PRIVATE:
        raise Forbidden(
            f"the state directory {directory} can be entered by other users (mode {mode:04o}): "
            f"run 'chmod 700 {directory}'"
        )


def _holder(file: int) -> str:
    """Return who owns the directory; waits a moment for one that has not written it down yet."""
    for _ in range(20):
        text = os.pread(file, 4096, 0).decode("utf-8", "replace")
        lines = _lines(text)
        if "verb" in lines and _is_alive(lines.get("pid", "")):
            return f"process {lines['pid']} (syncd {lines['verb']})"
        time.sleep(0.005)
    return "another process"


def _lines(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False  # left by an owner that was killed
    except PermissionError:
        return True
    return True


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return "unknown"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _explained(directory: Path, error: OSError) -> SyncdError:
    text = f"the state directory {directory} cannot be used: {error.strerror or error}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Forbidden(
            f"{text}; run the command as the user that the service runs as, or give it the rights"
        )
    if error.errno == errno.ELOOP:
        return Forbidden(f"{text}; its file 'lock' is a symbolic link: remove it")
    return StoreError(f"{text}; set state_directory to a folder on a local disk that can be written")
