"""What makes, seals, hides and opens the secrets of accounts, with the key that the configuration names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING

from ..errors import ConfigError, SyncdError, Unavailable
from ..model import Hidden, Sealed, Value, sealed_of
from ..store.sealed import (
    DIGEST_KEY,
    Seal,
    digest_key,
    find_staged,
    kinds_of_key,
    stage_sealed,
    wants_secrets,
)
from ..store.staging import Staging
from .installation import Installation, Line

if TYPE_CHECKING:
    from ..sealing import Keys


class Keyless(ConfigError):
    """A run makes secrets, and the key to seal them with cannot be had."""


def keys_of(here: Installation) -> Keys:
    """Return the keys that secrets are sealed with. Raises ConfigError if they cannot be had."""
    from ..sealing import Keys

    if here.settings.secrets_key is None:
        raise ConfigError('secrets need secrets_key in the configuration, such as "credential:syncd-key"')
    return Keys(here.secret(here.settings.secrets_key))


def sealer(here: Installation) -> Seal:
    """Return what makes a secret's value, or has it from a plan, and seals it.

    Raises ConfigError if there is no key, or it is another one than that of the secrets that there are.
    """
    from ..sealing import made

    keys = _all_keys_of(here)

    def seal(account: int, one: Sealed, staged: bytes | None) -> bytes:
        if staged is None:
            return keys.seal(account, one.attribute, one.version, made(one))
        value = keys.open_apart(str(one._replace(version=0)), staged).decode()
        return keys.seal(account, one.attribute, one.version, value)

    return seal


def sealer_for(here: Installation, run: int) -> Seal | None:
    """Return ``sealer`` for a run that has secrets to make, None for one that has none. Raises Keyless."""
    if not wants_secrets(here.database.conn, run, here.settings.vocabulary.secrets):
        return None
    try:
        return sealer(here)
    except ConfigError as error:
        raise Keyless(
            f"run {run} has secrets to seal, and goes on by itself once their key is there: {error}"
        ) from None


def hiding(
    here: Installation, line: Line, staging: Staging
) -> tuple[Callable[[bytes], bytes] | None, Callable[[Iterator[object]], Iterator[object]]]:
    """Return what keys the fingerprints of a line, and the stage that hides what its source says of secrets.

    ``staging`` is given what seals them. Where none is mapped nothing is keyed, and the stage does nothing.
    Raises ConfigError as ``sealer``.
    """
    if not line.secrets:
        return None, iter
    from ..hiding import hide, keyed

    keys = _all_keys_of(here)
    key = _digest_key(here, keys)
    staging.seal = lambda one: keys.seal_apart(one, one.plain.encode())
    stage = partial(
        hide, names=line.secrets, vocabulary=line.vocabulary, enterprise=line.settings.enterprise, key=key
    )
    return keyed(key), stage


def _digest_key(here: Installation, keys: Keys) -> bytes:
    """Return the key of digests, made if there is none yet."""
    if digest_key(here.database) is None:
        with here.database.transaction() as conn:  # where another thread was first, its own stays
            stage_sealed(conn, [(DIGEST_KEY, keys.seal_apart(DIGEST_KEY, os.urandom(32)))])
    sealed = digest_key(here.database)
    assert sealed is not None  # noqa: S101 - it was just written
    return keys.open_apart(DIGEST_KEY, sealed)


def _all_keys_of(here: Installation) -> Keys:
    keys = keys_of(here)
    for known in kinds_of_key(here.database.conn):
        keys.require(known)
    return keys


def unhidden(here: Installation, values: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return values with the secrets at hand that lie sealed for a plan, as they were when they were mapped.

    To be judged, and for nothing else. Raises ConfigError if there is no key for them.
    """
    found: dict[str, Value] = {}
    for name, value in values.items():
        one = sealed_of(value)
        if one is not None and one.attribute == name and one.digest:
            token = str(one)
            if (sealed := find_staged(here.database.conn, token)) is not None:
                found[name] = hidden = Hidden(token)
                hidden.plain = keys_of(here).open_apart(token, sealed).decode()
    return {**values, **found}


def revealer(here: Installation) -> Callable[[int, str, int, bytes], str]:
    """Return what opens a secret for a platform; without the right key it raises Unavailable, and waits."""
    keys = cache(lambda: keys_of(here))

    def reveal(account: int, attribute: str, version: int, sealed: bytes) -> str:
        try:
            return keys().open(account, attribute, version, sealed)
        except SyncdError as error:
            raise Unavailable(str(error)) from None

    return reveal
