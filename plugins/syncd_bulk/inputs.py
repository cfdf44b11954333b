"""A file of others, opened with care, copied, and known to be whole.

What is read is a private copy: whoever writes the file meanwhile cannot change a read that has begun.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Literal, NamedTuple

from syncd import Denied, Unavailable

_CHUNK = 1 << 20
_AGAIN = 60.0
_TRAILER = re.compile(rb"# ?end ([0-9]{1,9})")


class Terms(NamedTuple):
    """How a file shows that it is whole, and how large it may be (bytes)."""

    complete: Literal["stable", "trailer", "sidecar"] = "stable"
    stable_for: int = 60
    sidecar: str = ""
    max_bytes: int = 512 << 20


class Copy(NamedTuple):
    """The private copy, at its beginning, and the number of rows that its writer states, if any."""

    file: BinaryIO
    size: int
    rows: int | None


@contextmanager
def private_copy(path: str, terms: Terms, now: float) -> Iterator[Copy]:
    """Yield a copy of the file that nobody else can reach, gone afterwards.

    Raises Denied if the file must not be trusted (a symbolic link, not a regular file, writable by
    everybody, too large) and Unavailable if it is missing, being written, or not whole. ``now`` is the
    time in seconds since the epoch.
    """
    try:
        with _open(path) as original, tempfile.TemporaryFile(prefix="syncd-") as copy:
            before = _look(path, original, terms, now)
            digest = _transfer(original, copy, terms)
            after = os.fstat(original.fileno())
            if _shape(before) != _shape(after) or copy.tell() != before.st_size:
                raise _unfinished(path, "it changed while it was read")
            rows = _stated(path, copy, digest, terms)
            size = copy.seek(0, os.SEEK_END)
            copy.seek(0)
            yield Copy(copy, size, rows)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}; see to it, it is read again by itself") from error


def _open(path: str) -> BinaryIO:
    try:
        # Without O_NONBLOCK a named pipe would keep us waiting before we can see that it is one.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        message = f"{path}: there is no such file; its writer has not delivered it, or the path is wrong"
        raise Unavailable(message) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Denied(f"{path}: a symbolic link; name the file itself") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise Denied(f"{path}: the service may not read it; let its user or group do so") from None
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) and not mode & stat.S_IWOTH:
        return os.fdopen(descriptor, "rb", buffering=0)
    os.close(descriptor)
    if stat.S_ISREG(mode):
        raise Denied(f"{path}: everybody may write to it, so nobody can trust it; chmod o-w it")
    raise Denied(f"{path}: not a regular file; name the file itself")


def _look(path: str, file: BinaryIO, terms: Terms, now: float) -> os.stat_result:
    status = os.fstat(file.fileno())
    if status.st_size > terms.max_bytes:
        most = terms.max_bytes >> 20
        raise Denied(f"{path}: larger than {most} MiB; raise max_file_mib if that is right, or export less")
    if not status.st_size:
        raise _unfinished(path, "it is empty")
    if terms.complete == "stable":
        _stable(path, terms.stable_for, now - status.st_ctime)
    return status


def _stable(path: str, needed: int, age: float) -> None:
    """Refuse a file changed less than ``needed`` seconds ago; not even its owner can set st_ctime back."""
    if needed and age < needed:
        seen = (
            f"it changed {age:.0f} s ago" if age >= 0 else f"it changed {-age:.0f} s from now, by this clock"
        )
        wait = min(max(needed - age, 1.0), float(needed))
        raise Unavailable(
            f"{path}: {seen}, and counts as whole after {needed} s without a change (stable_for); "
            f"read again in {wait:.0f} s at the earliest",
            retry_after=wait,
        )


def _transfer(original: BinaryIO, copy: BinaryIO, terms: Terms) -> str:
    """Copy the file and return its SHA-256, which only a sidecar is compared with (and else is empty)."""
    digest = hashlib.sha256() if terms.complete == "sidecar" else None
    while (chunk := original.read(_CHUNK)) and copy.tell() <= terms.max_bytes:
        copy.write(chunk)
        if digest is not None:
            digest.update(chunk)
    return "" if digest is None else digest.hexdigest()


def _shape(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _unfinished(path: str, seen: str) -> Unavailable:
    return Unavailable(
        f"{path}: {seen}, so it is being written; read again in {_AGAIN:.0f} s", retry_after=_AGAIN
    )


def _stated(path: str, copy: BinaryIO, digest: str, terms: Terms) -> int | None:
    """Return how many rows the file's writer states, after checking what else proves that it is whole."""
    size = copy.seek(0, os.SEEK_END)
    copy.seek(max(0, size - 4096))
    tail = copy.read()
    if terms.complete == "trailer":
        return _cut_trailer(path, copy, size, tail)
    word = ""
    if terms.complete == "sidecar":
        beside = terms.sidecar or f"{path}.sha256"
        word = _sidecar(beside)
        if word == digest:
            return None
        if len(word) == 64:
            raise _unfinished(path, f"it does not have the SHA-256 that stands in {beside}")
        if not re.fullmatch("[0-9]{1,9}", word):
            raise Denied(f"{beside}: holds neither a SHA-256 (as sha256sum writes it) nor a number of rows")
    if not tail.endswith((b"\n", b"\r")):
        raise _unfinished(
            path, "its last line has no end (if its writer never ends it, state complete another way)"
        )
    return int(word) if word else None


def _cut_trailer(path: str, copy: BinaryIO, size: int, tail: bytes) -> int:
    text = tail.rstrip(b"\r\n")
    start = text.rfind(b"\n") + 1
    found = _TRAILER.fullmatch(text[start:])
    if found is None:
        raise _unfinished(
            path, "its last line is not the trailer '# end N' that complete = 'trailer' asks for"
        )
    copy.truncate(size - len(tail) + start)
    return int(found[1])


def _sidecar(path: str) -> str:
    with _open(path) as file:
        words = file.read(4096).decode("ascii", "replace").split()
    if not words:
        raise _unfinished(path, "it is empty")
    return words[0].lower()
