"""Floor 4: secrets are never in the configuration, only references to them; here they are looked up.

``credential:NAME``  the file NAME in ``$CREDENTIALS_DIRECTORY`` (systemd's LoadCredential), else syncd_NAME:
                     so systemd calls what it finds in the folder of LoadCredential=syncd:FOLDER
``file:/PATH``       a file that only root or the service's own user can have written, and few can read
``env:NAME``         an environment variable: visible to every child process, so only where nothing else will do
any other kind       is for a plugin's ``resolve_secret``

Nothing here logs, and no message holds a secret or the text of a reference that may be one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import ConfigError

_LARGEST = 64 * 1024
_ALLOWED_MODE = 0o640

Resolver = Callable[[str], str | None]
"""A plugin's look-up: the secret behind a reference, or None if the reference is not its own."""


def resolve(
    reference: str,
    environ: Mapping[str, str],
    extra: Resolver | None = None,
    *,
    where: str = "",
) -> str:
    """Return the secret behind ``reference``; one newline at its end is not part of it.

    ``extra`` is asked for references of other kinds. ``where`` says where the reference was configured.
    Raises ConfigError that names the reference (if it is one), the place and the cure.
    """
    known = _is_known(reference)
    told = extra(reference) if extra is not None and not known and ":" in reference else None
    try:
        return _usable(_look_up(reference, environ) if known else told)
    except ValueError as error:
        shown = reference if known else "a secret"
        raise ConfigError(f"{where}{': ' if where else ''}{shown}: {error}") from None


def _look_up(reference: str, environ: Mapping[str, str]) -> str:
    kind, _, name = reference.partition(":")
    return KINDS[kind](name, environ)


def _is_known(reference: str) -> bool:
    kind, colon, _ = reference.partition(":")
    return bool(colon) and kind in KINDS


_NO_REFERENCE = (
    "this is neither a reference that syncd knows nor one that a loaded plugin answers; put the secret into "
    'a file of its own and write "credential:NAME" (with LoadCredential=NAME:/PATH in the unit) or '
    '"file:/PATH"'
)


def _credential(name: str, environ: Mapping[str, str]) -> str:
    if not name or "/" in name or name in {".", ".."}:
        raise ValueError("a credential has a plain name, as in LoadCredential=NAME:/PATH")
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        cure = f"add LoadCredential={name}:/PATH to the unit, or use file:/PATH"
        raise ValueError(f"$CREDENTIALS_DIRECTORY is not set, as this was not started by systemd; {cure}")
    for file in (name, f"syncd_{name}"):
        try:
            return _text(_read(Path(folder, file), judged=False))
        except FileNotFoundError:
            continue
    raise ValueError(
        f"systemd passed no such credential; write it to /etc/syncd/credentials/{name}, or add "
        f"LoadCredential={name}:/PATH to the unit; then restart it"
    )


def _file(name: str, _environ: Mapping[str, str]) -> str:
    if not name.startswith("/"):
        raise ValueError("the path must begin with /")
    try:
        return _text(_read(Path(name), judged=True))
    except FileNotFoundError:
        raise ValueError("there is no such file") from None


def _env(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise ValueError("this environment variable is not set")
    return environ[name]


KINDS: Mapping[str, Callable[[str, Mapping[str, str]], str]] = {
    "credential": _credential,
    "file": _file,
    "env": _env,
}
"""The kinds of reference that need no plugin."""


def _read(path: Path, *, judged: bool) -> bytes:
    """Return what is in a file, which has to be trustworthy if it is ``judged``."""
    try:
        with open(path, "rb", opener=_opened) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{path} is not a regular file")
            if judged:
                _judge(path, status)
            data = stream.read(_LARGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        cause = "it is a symbolic link; name the file itself" if path.is_symlink() else error.strerror
        raise ValueError(f"{path} cannot be read: {cause}") from None
    if len(data) > _LARGEST:
        raise ValueError(f"{path} is larger than {_LARGEST} bytes, which is no secret")
    return data


def _opened(path: str, flags: int) -> int:
    """Open the file itself: not what a link leads to, and without waiting for a named pipe's writer."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _judge(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in {0, os.geteuid()}:
        raise ValueError(f"{path} belongs to user {status.st_uid}; give it to root or to the service's user")
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~_ALLOWED_MODE:
        raise ValueError(f"{path} has mode {mode:04o}, which is too wide; run chmod 0640 on it, or narrower")


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError("what is there is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def _usable(secret: str | None) -> str:
    if secret is None:
        raise ValueError(_NO_REFERENCE)
    if not secret:
        raise ValueError("what is there is empty")
    if "\0" in secret:
        raise ValueError("what is there holds a NUL character")
    return secret
