"""How a name is put out of use, and back, without losing what it was.

``off:`` and 64 random bits go in front of the name that a telephone logs in with. Nobody knows it then, not even
who knows the password, and what is behind it (the password, above all) stays for the day of the return.
"""

from __future__ import annotations

import hashlib
import secrets

_PREFIX = "off:"
BITS = 64


def off(name: str) -> str:
    """Return a name that nobody can guess, from which ``on`` makes the name again."""
    return name if is_off(name) else f"{_PREFIX}{secrets.token_hex(BITS // 8)}:{name}"


def like_off(name: str) -> str:
    """Return a text as long as what ``off`` returns."""
    return name if is_off(name) else f"{_PREFIX}{'0' * (BITS // 4)}:{name}"


def on(name: str) -> str:
    """Return the name as it was."""
    return name.split(":", 2)[2] if is_off(name) else name


def is_off(name: str) -> bool:
    """Tell whether a name was put out of use."""
    return name.startswith(_PREFIX) and name.count(":") >= 2


def unknown_secret() -> str:
    """Return a password that nobody knows: an account without one could be used by everybody."""
    return secrets.token_hex(20)


def unknown_pin() -> str:
    """Return the code of a mailbox that nobody knows."""
    return str(secrets.randbelow(10**12)).zfill(12)


def digest(*parts: object) -> str:
    """Return the fingerprint of some values."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
