"""What the platforms ``csv`` and ``ldif`` share: one file kept equal to the accounts delivered to it.

A batch is one pass over the file as it stands and one rename. The batch is held in memory, the file is
not, but for the keys in it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from pydantic import Field, field_validator

import syncd
from syncd import Account, Delivery, Denied, Gone, Outcome, Platform, Rejected, Unavailable

from .batch import Batch, Stored
from .columns import Column, Strict
from .outputs import shape, translated

MOST_BYTES = 256 << 10
_LEAST_BATCH = 10_000


class FileColumn(Column):
    """One column, or one attribute of an entry. A text alone is the account attribute."""

    many: bool = Field(default=False, description="takes several values")
    key: bool = Field(default=False, description="two accounts never share a value")


class Switch(Strict):
    """The column or attribute that says whether an account is enabled."""

    name: str = Field(description="name of the column or attribute")
    on: str = Field(default="yes", description="its value for an enabled account")
    off: str = Field(default="no", description="its value for a disabled account")


class OutputOptions(Strict):
    """What both platforms are told."""

    mode: str = Field(
        default="0600",
        pattern="^0?[0-7][0-7][0145]$",
        description="the rights of what is written, in octal; never writable by everybody",
    )

    @field_validator("path", check_fields=False)
    @classmethod
    def _absolute(cls, path: str) -> str:
        if not PurePath(path).is_absolute() or not PurePath(path).name:
            raise ValueError("write an absolute path, such as /srv/export/people.csv")
        return path


def fields_of(
    columns: Mapping[str, FileColumn], needed: Collection[str] = (), keys: Collection[str] = ()
) -> dict[str, syncd.Field]:
    """Return the declaration of the columns; ``needed`` must be there and ``keys`` be unique, whatever they say."""
    return {
        name: column.declared(
            f"{name} in the file", required=name in needed, key=column.key or name in keys, many=column.many
        )
        for name, column in columns.items()
    }


class FilePlatform(Platform):
    """The deliveries against the rows; a format says how a row is read, made and written."""

    batch = _LEAST_BATCH
    options: OutputOptions
    _path: Path
    """The file that the state is read from: what is known between runs stands there and nowhere else."""

    def __init__(self, options: Any, context: Any) -> None:
        super().__init__(options, context)
        self._keys: set[str] = set()
        self._seen: tuple[int, ...] | None = None
        self._expected = 0
        self._mode = int(options.mode, 8)

    def _stored(self) -> Iterator[Stored]:
        """Yield the rows of the file. Raises Denied if somebody has broken it."""
        raise NotImplementedError

    def _made(self, key: str, account: Account, *, enabled: bool) -> Stored:
        """Return the row of an account. Raises Rejected if it cannot be written."""
        raise NotImplementedError

    def _disabled(self, row: Stored) -> Stored:
        """Return the row with nothing changed but that the account is disabled."""
        raise NotImplementedError

    def _write(self, pairs: Iterable[tuple[Stored | None, Stored | None]]) -> None:
        """Write the second of each pair (the row before, the row after), at once or not at all."""
        raise NotImplementedError

    def _digest(self, row: Stored) -> str:
        raise NotImplementedError

    def _unique(self, row: Stored) -> Iterator[Hashable]:
        """Yield what no two rows may share, but for the key itself."""
        raise NotImplementedError

    def open(self) -> None:
        """Learn how many accounts the file should have."""
        self._require_folder()
        self._expected = self.context.confirmed

    def close(self) -> None:
        """Forget who is in the file: until it is opened again others may write to it, and nobody has to know."""
        self._keys, self._seen = set(), None

    def _require_folder(self) -> None:
        """See that the folder is there: without it (an unmounted disk) nobody would seem to be in the file."""
        if not self._path.parent.is_dir():
            raise Unavailable(f"{self._path.parent}: there is no such folder; make it, or mount it")

    def check(self) -> Iterable[str]:
        if not os.access(self._path.parent, os.W_OK | os.X_OK):
            raise Denied(f"{self._path.parent}: the service's user may not write to it; let it do so")
        yield f"{self._path}: {len(self._known())} accounts"

    def add(self, account: Account) -> str:
        return self._single(Delivery(0, "add", 0, None, account)) or account.key

    def update(self, remote_id: str, account: Account, changed: frozenset[str]) -> None:
        self._single(Delivery(0, "update", 0, remote_id, account, changed))

    def disable(self, remote_id: str, account: Account) -> None:
        self._single(Delivery(0, "disable", 0, remote_id, account))

    def enable(self, remote_id: str, account: Account) -> None:
        self._single(Delivery(0, "enable", 0, remote_id, account))

    def delete(self, remote_id: str) -> None:
        nobody = Account(remote_id, "user", enabled=False, fields={})
        self._single(Delivery(0, "delete", 0, remote_id, nobody))

    def find(self, account: Account) -> str | None:
        if account.key in self._known():
            return account.key
        with translated(self._path):
            return self._adopted([account], set()).get(account.key)

    def list(self) -> Iterator[tuple[str, str]]:
        if lost := self._lost():
            raise Gone(lost)
        with translated(self._path):
            for row in self._stored():
                if row.key:
                    yield row.key, self._digest(row)

    def fingerprint(self, account: Account) -> str:
        return self._digest(self._made(account.key, account, enabled=account.enabled))

    def deliver(self, deliveries: Iterable[Delivery]) -> Iterator[Outcome]:
        """Do the deliveries, in batches that grow with the file, so that seeding stays linear."""
        left = iter(deliveries)
        while batch := tuple(islice(left, max(_LEAST_BATCH, len(self._known()) // 8))):
            yield from self._deliver(batch)

    def _single(self, delivery: Delivery) -> str | None:
        (outcome,) = self._deliver((delivery,))
        if outcome.error is not None:
            raise outcome.error
        return outcome.remote_id

    def _deliver(self, deliveries: Sequence[Delivery]) -> Iterator[Outcome]:
        self._require_folder()
        if lost := self._lost():
            raise Denied(lost)
        known = self._known()
        with translated(self._path):
            batch = Batch(deliveries, self._made, self._disabled, self._adopted_by(deliveries))
            self._write(self._merged(batch))
            known -= batch.lost
            known |= batch.gained
            self._seen, self._expected = shape(self._path), len(known)
        for place, delivery in enumerate(deliveries):
            error = batch.errors.get(place)
            done = batch.key_of(delivery) if delivery.action == "add" else delivery.remote_id
            yield Outcome(delivery.id, delivery.remote_id if error else done, error)

    def _adopted_by(self, deliveries: Sequence[Delivery]) -> dict[str, str]:
        adding = [one.account for one in deliveries if one.action == "add"]
        others = {one.remote_id for one in deliveries if one.action != "add" and one.remote_id}
        return self._adopted(adding, others)

    def _adopted(self, accounts: Iterable[Account], others: Collection[str]) -> dict[str, str]:
        """Return account key -> row key of those that are not in the file, and have a row there by what is unique.

        That row was left by an account of which the database knows nothing any more, as it was restored:
        the engine gives nobody a value before the platform has heard that another lets go of it. ``others``
        are rows that are spoken for.
        """
        wanted: dict[Hashable, str] = {}
        for account in accounts:
            if account.key not in self._known():
                with suppress(Rejected):  # which is told when its row is made
                    row = self._made(account.key, account, enabled=account.enabled)
                    wanted.update((value, account.key) for value in self._unique(row))
        found: dict[str, str] = {}
        for row in self._stored() if wanted else ():
            if row.key and row.key not in others:
                key = next((wanted[value] for value in self._unique(row) if value in wanted), None)
                if key is not None:
                    found.setdefault(key, row.key)
        return found

    def _lost(self) -> str:
        """Return what to do if nobody is in the file, though there were accounts that nobody took out; or nothing."""
        if not self._expected or self._known():
            return ""
        return (
            f"{self._path} is gone or empty, and had {self._expected} of the accounts; put it back, or let "
            f"`syncd verify {self.context.name} --repair` make it anew while nobody imports it"
        )

    def _merged(self, batch: Batch) -> Iterator[tuple[Stored | None, Stored | None]]:
        """Yield each row with what becomes of it, then the new ones."""
        done: set[str] = set()
        for row in self._stored():
            if not row.key or row.key not in batch.steps:
                yield row, row
            elif row.key not in done:  # else it is a copy that somebody made of the row, and goes
                done.add(row.key)
                yield row, batch.apply(row.key, row)
        for key in batch.steps:
            if key not in done:
                yield None, batch.apply(key, None)

    def _known(self) -> set[str]:
        """Return the keys in the file, read again whenever it is not as this process left it."""
        with translated(self._path):
            now = shape(self._path)
            if now != self._seen:
                self._keys = {row.key for row in self._stored() if row.key}
                self._seen = now
        return self._keys


def texts_of(account: Account, name: str, field: syncd.Field) -> tuple[str, ...]:
    """Return the values of one field. Raises Rejected for what the file cannot hold."""
    value = account.fields.get(name, ())
    texts = tuple(text for text in ((value,) if isinstance(value, str) else value) if text)
    if field.required and not texts:
        raise Rejected(f"account {account.key}: {name} is empty, and is required; fill it in its source")
    if len(texts) > 1 and not field.many:
        raise Rejected(f"account {account.key}: {name} has {len(texts)} values and is not declared 'many'")
    for text in texts:
        if problem := problem_of(text):
            raise Rejected(f"account {account.key}: {name} {problem}; correct it in its source")
    return texts


def check_key(key: str) -> None:
    """Raise Rejected for an account key that could not be told from others in the file."""
    problem = problem_of(key) or (
        "is empty or begins or ends with a blank" if key != key.strip() or not key else ""
    )
    if problem:
        raise Rejected(f"account key {key!r} {problem}")


def problem_of(text: str) -> str:
    """Return why no text file can hold this, or nothing."""
    if "\0" in text:
        return "holds a NUL"
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character"
    return f"is longer than {MOST_BYTES} bytes" if size > MOST_BYTES else ""
