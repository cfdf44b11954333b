"""A source and a platform in memory: real connectors, for tests of everything around them.

What they read and write stands in ``worlds`` and outlives them. This module is also a plugin: it registers the type ``memory`` for both
(and ``memory-delta``), whose options name a world or a system that is shared within the process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel
from pydantic import Field as Option

from ..connector import Connector, Context, Field, Platform, Source
from ..hookspecs import hookimpl
from ..model import (
    VOCABULARY,
    Account,
    Checkpoint,
    Item,
    Removed,
    Value,
    fold,
)
from .worlds import System, World


class MemorySource(Source):
    """Reads a World, in full every time."""

    class Options(BaseModel, extra="forbid"):
        """What can be configured."""

        world: str = Option(default="", description="name of the world to share; empty: one of its own")

    options: Options

    def __init__(self, options: Options, context: Context, world: World | None = None) -> None:
        """Keep options and context; ``world`` comes before the one that the options name."""
        super().__init__(options, context)
        self.world = world if world is not None else _shared(_WORLDS, options.world, World)

    def read(self, cursor: str | None) -> Iterator[Item]:
        """Yield every person, in the order in which they came."""
        del cursor
        return self._everybody(None)

    def scope(self) -> str:
        """Absence depends on which world it is."""
        return f"world {self.options.world}"

    def _everybody(self, cursor: str | None) -> Iterator[Item]:
        for anchor in tuple(self.world.people):
            self._raise_if_down()
            yield self.world.entry(anchor)
        self._raise_if_down()
        yield Checkpoint(cursor, full=True)

    def _raise_if_down(self) -> None:
        if self.world.down is not None:
            raise self.world.down


class MemoryDeltaSource(MemorySource):
    """Reads a World: what has happened since the cursor, or everything."""

    incremental = True

    def read(self, cursor: str | None) -> Iterator[Item]:
        """Yield everybody, or those to whom something happened since ``cursor``."""
        now = self.world.cursor
        return self._everybody(now) if cursor is None else self._changes(cursor, now)

    def _changes(self, cursor: str, now: str) -> Iterator[Item]:
        self._raise_if_down()
        for anchor in self.world.since(cursor):
            yield self.world.entry(anchor) if anchor in self.world.people else Removed(anchor)
        yield Checkpoint(now, full=False)


class MemoryPlatform(Platform):
    """Writes a System; takes every word of the vocabulary."""

    class Options(BaseModel, extra="forbid"):
        """What can be configured."""

        system: str = Option(default="", description="name of the system to share; empty: one of its own")

    options: Options
    fields: Mapping[str, Field] = {
        word.name: Field(
            word.name, word.description, limit=word.limit, key=word.key, many=word.many, secret=word.secret
        )
        for word in VOCABULARY.values()
    }

    def __init__(self, options: Options, context: Context, system: System | None = None) -> None:
        """Keep options and context; ``system`` comes before the one that the options name."""
        super().__init__(options, context)
        self.system = system if system is not None else _shared(_SYSTEMS, options.system, System)

    def open(self) -> None:
        """Raise what the system raises while it is down."""
        if self.system.down is not None:
            raise self.system.down

    def add(self, account: Account) -> str:
        """Add the account, or take over the one that is there."""

        def work() -> str:
            remote_id = self._found(account) or self.system.number()
            self.system.accounts[remote_id] = account
            return remote_id

        return self.system.call("add", account.key, work)

    def update(self, remote_id: str, account: Account, changed: frozenset[str]) -> None:
        """Change just the fields named; a field that the account has not loses its value."""

        def work() -> None:
            stored = self.system.named(remote_id)
            fields: dict[str, Value] = {
                name: value for name, value in stored.fields.items() if name not in changed
            }
            fields.update((name, account.fields[name]) for name in changed if name in account.fields)
            self.system.accounts[remote_id] = replace(stored, fields=fields)

        self.system.call("update", remote_id, work)

    def disable(self, remote_id: str, account: Account) -> None:  # noqa: ARG002 - the id says it all
        """Disable it."""
        self.system.call("disable", remote_id, lambda: self._enabled(remote_id, enabled=False))

    def enable(self, remote_id: str, account: Account) -> None:  # noqa: ARG002 - the id says it all
        """Enable it."""
        self.system.call("enable", remote_id, lambda: self._enabled(remote_id, enabled=True))

    def delete(self, remote_id: str) -> None:
        """Take it away."""
        self.system.call("delete", remote_id, lambda: self.system.accounts.pop(remote_id, None))

    def find(self, account: Account) -> str | None:
        """Find it by its key, or by a key field."""
        return self.system.call("find", account.key, lambda: self._found(account))

    def list(self) -> Iterator[tuple[str, str]]:
        """Yield every account there."""
        accounts = self.system.call("list", "", lambda: dict(self.system.accounts))
        for remote_id, account in accounts.items():
            yield remote_id, self.fingerprint(account)

    def fingerprint(self, account: Account) -> str:
        """Digest what can be seen of the account."""
        fields = sorted((name, value) for name, value in account.fields.items() if value)
        seen = repr((account.key, account.kind, account.enabled, fields))
        return hashlib.blake2b(seen.encode(), digest_size=16).hexdigest()

    def _enabled(self, remote_id: str, *, enabled: bool) -> None:
        self.system.accounts[remote_id] = replace(self.system.named(remote_id), enabled=enabled)

    def _found(self, account: Account) -> str | None:
        claims = self._claims(account)
        for remote_id, stored in self.system.accounts.items():
            if stored.key == account.key or claims & self._claims(stored):
                return remote_id
        return None

    def _claims(self, account: Account) -> set[tuple[str, str]]:
        values = ((name, account.fields.get(name)) for name in _KEYS)
        return {(name, fold(value)) for name, value in values if isinstance(value, str) and value}


@hookimpl
def register_connectors(register: Callable[[str, type[Connector]], None]) -> None:
    """Register the types ``memory`` and ``memory-delta``."""
    register("memory", MemorySource)
    register("memory-delta", MemoryDeltaSource)
    register("memory", MemoryPlatform)


_KEYS = tuple(name for name, field in MemoryPlatform.fields.items() if field.key)
_WORLDS: dict[str, World] = {}
_SYSTEMS: dict[str, System] = {}


def _shared(known: dict[str, Any], name: str, make: Callable[[], Any]) -> Any:
    return known.setdefault(name, make()) if name else make()
