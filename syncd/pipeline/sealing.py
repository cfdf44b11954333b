"""What makes, seals and opens the secrets of accounts, with the key that the configuration names."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from ..errors import ConfigError, SyncdError, Unavailable
from ..sealing import Keys, made
from ..store.sealed import Seal, kinds_of_key
from .installation import Installation


def keys_of(here: Installation) -> Keys:
    """Return the keys that secrets are sealed with. Raises ConfigError if they cannot be had."""
    if here.settings.secrets_key is None:
        raise ConfigError('secrets need secrets_key in the configuration, such as "credential:syncd-key"')
    return Keys(here.secret(here.settings.secrets_key))


def sealer(here: Installation) -> Seal:
    """Return what makes a secret's value and seals it.

    Raises ConfigError if there is no key, or it is another one than that of the secrets that there are.
    """
    keys = keys_of(here)
    for known in kinds_of_key(here.database.conn):
        keys.require(known)
    return lambda account, one: keys.seal(account, one.attribute, one.version, made(one))


def revealer(here: Installation) -> Callable[[int, str, int, bytes], str]:
    """Return what opens a secret for a platform; without the right key it raises Unavailable, and waits."""
    keys = cache(lambda: keys_of(here))

    def reveal(account: int, attribute: str, version: int, sealed: bytes) -> str:
        try:
            return keys().open(account, attribute, version, sealed)
        except SyncdError as error:
            raise Unavailable(str(error)) from None

    return reveal
