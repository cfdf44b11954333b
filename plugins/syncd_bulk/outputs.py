"""A file that becomes another at once: whoever looks sees the old one or the new one, never a half.

The new one is written beside it under a hidden name, brought to the disk, renamed, and the folder's
entry is brought to the disk too. A process killed meanwhile leaves a hidden file that the next writes over.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from syncd import Denied, Unavailable

_PERSON_MUST_ACT = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what the system says into Denied (rights, not a file) or Unavailable (full, gone, broken)."""
    try:
        yield
    except OSError as error:
        message = f"{path}: {error.strerror}"
        if error.errno in _PERSON_MUST_ACT:
            raise Denied(f"{message}; let the service's user write to this folder") from error
        raise Unavailable(f"{message}; it is tried again by itself") from error


class Draft:
    """What is going to be ``path``: write to ``file``, then ``settle``, then ``publish``; or ``drop`` it."""

    def __init__(self, path: Path, mode: int) -> None:
        self.path = path
        self._hidden = hidden(path)
        self._gone = self._kept = False
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise _no_file(path)
        self._hidden.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._hidden, flags, 0o600)
        self.file: BinaryIO = os.fdopen(descriptor, "wb", buffering=1 << 20)
        os.fchmod(descriptor, mode)

    def settle(self) -> None:
        """Bring the bytes to the disk; the file is not seen by others yet."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()

    def publish(self) -> None:
        """Put it in place, unless it was dropped. Whatever stood there is replaced, a symbolic link too."""
        if not self._gone:
            self.keep()
            publish(self.path)

    def keep(self) -> None:
        """From now on an error leaves it beside ``path``, for somebody to publish later."""
        self._kept = True

    def drop(self) -> None:
        if self._kept:
            return
        self._gone = True
        with suppress(OSError):  # a full disk fails the last flush, of what nobody wants any more
            self.file.close()
        self._hidden.unlink(missing_ok=True)


def hidden(path: Path) -> Path:
    """Return the name under which the next ``path`` is written."""
    return path.with_name(f".{path.name}.tmp")


def publish(path: Path) -> None:
    """Put the settled draft of ``path`` in place."""
    hidden(path).rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def drafted(path: Path, mode: int) -> Iterator[Draft]:
    """Yield a draft that is dropped if anything goes wrong; the caller settles and publishes it."""
    draft = Draft(path, mode)
    try:
        yield draft
    except BaseException:
        draft.drop()
        raise


def open_own(path: Path) -> BinaryIO | None:
    """Open what an earlier run has written, or return None if it is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb", buffering=1 << 20)
    os.close(descriptor)
    raise _no_file(path)


def _no_file(path: Path) -> Denied:
    return Denied(f"{path}: not a regular file; move it away, or set another path")


def shape(path: Path) -> tuple[int, ...]:
    """Return what changes whenever the file does; empty if there is none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
