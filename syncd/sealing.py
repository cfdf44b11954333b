"""Floor 4: seals values with the key that ``secrets_key`` of the configuration refers to, and opens them.

A sealed value is 4 bytes that name the key, 12 random ones, and what AES-256-GCM (NIST SP 800-38D) makes of
the value with its account, attribute and version as associated data: in another row it does not open.
The key is a line of 32 bytes in base64. Of several lines the first one seals and all of them open.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import string
from typing import Any

from .errors import ConfigError, SyncdError
from .model import Sealed

_ID, _NONCE, _KEY = 4, 12, 32
_LETTERS = "".join(sorted({*string.ascii_letters, *string.digits} - set("0O1Il")))
_CURE = "make one with 'syncd secrets key FILE'"


def new_key() -> str:
    """Return a key as it is written into its file, without a line end."""
    return base64.b64encode(os.urandom(_KEY)).decode()


def made(one: Sealed) -> str:
    """Make a value by the recipe of a secret; what can be mistaken when read aloud is no part of a password."""
    letters = string.digits if one.recipe == "digits" else _LETTERS
    return "".join(secrets.choice(letters) for _ in range(one.length))


class Keys:
    """What seals and opens. ``text`` is what stands behind the reference; raises ConfigError if it is no key."""

    def __init__(self, text: str) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise ConfigError(
                "secrets_key needs the package cryptography: pip install 'syncd[secrets]'"
            ) from None
        raw = [_decoded(number, line) for number, line in enumerate(text.split(), 1)]
        if not raw:
            raise ConfigError(f"secrets_key refers to nothing; {_CURE}")
        self._keys: dict[bytes, Any] = {_id_of(key): AESGCM(key) for key in raw}
        self._first = _id_of(raw[0])

    def seal(self, account: int, attribute: str, version: int, value: str) -> bytes:
        """Return the sealed value."""
        return self._seal(_bound(account, attribute, version), value.encode())

    def open(self, account: int, attribute: str, version: int, sealed: bytes) -> str:
        """Return the value. Raises ConfigError if its key is not there, SyncdError if it was tampered with."""
        value = self._open(_bound(account, attribute, version), sealed)
        if value is None:
            raise SyncdError(
                f"{attribute} {version} of account {account} does not open, as its row of the table secrets "
                f"was changed: restore the database, or make a new one: syncd secrets renew {account} {attribute}"
            )
        return value.decode()

    def seal_apart(self, name: str, value: bytes) -> bytes:
        """Return the sealed value of what belongs to no account."""
        return self._seal(f"syncd\0apart\0{name}".encode(), value)

    def open_apart(self, name: str, sealed: bytes) -> bytes:
        """Return the value of what belongs to no account. Raises as ``open``."""
        value = self._open(f"syncd\0apart\0{name}".encode(), sealed)
        if value is None:
            raise SyncdError(
                "a row of the table sealed does not open, as it was changed: restore the database"
            )
        return value

    def _seal(self, bound: bytes, value: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return self._first + nonce + bytes(self._keys[self._first].encrypt(nonce, value, bound))

    def _open(self, bound: bytes, sealed: bytes) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        self.require(sealed)
        nonce, rest = sealed[_ID : _ID + _NONCE], sealed[_ID + _NONCE :]
        try:
            return bytes(self._keys[sealed[:_ID]].decrypt(nonce, rest, bound))
        except InvalidTag:
            return None

    @property
    def names(self) -> tuple[bytes, ...]:
        """What the values begin with that the keys open."""
        return tuple(self._keys)

    def require(self, sealed: bytes) -> None:
        """Raise ConfigError unless the key that a value was sealed with is there."""
        if sealed[:_ID] not in self._keys:
            raise ConfigError(
                f"secrets_key does not hold the key {sealed[:_ID].hex()} that secrets were sealed with, but "
                f"{', '.join(key.hex() for key in self._keys)}; put the line of that key back, and nothing is lost "
                "(if it is lost for good: syncd secrets renew --lost)"
            )

    def is_current(self, sealed: bytes) -> bool:
        """Say whether it is the first key that a value was sealed with."""
        return sealed[:_ID] == self._first


def _decoded(number: int, line: str) -> bytes:
    try:
        key = base64.b64decode(line, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY:
        raise ConfigError(f"secrets_key: line {number} is not {_KEY} bytes in base64; {_CURE}")
    return key


def _id_of(key: bytes) -> bytes:
    return hmac.digest(key, b"syncd key id", hashlib.sha256)[:_ID]


def _bound(account: int, attribute: str, version: int) -> bytes:
    return f"syncd\0{account}\0{attribute}\0{version}".encode()
