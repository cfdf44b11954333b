"""The platform ``mivoice``: new users as CSV, changes and removals as LDIF, for a person or a script to import.

What an account should be and what was collected stands in the state beside the files (``exchange``), so that
the difference is always written as one step, however often it has changed before somebody collects it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from syncd import Account, Blocked, ConnectorError, Delivery, Outcome, Rejected, Unavailable, Value
from syncd_bulk.shared import Batch, FilePlatform, Stored, check_key, texts_of, translated

from .exchange import Folder, Head, Row, Taken, Values
from .mibatch import Handover
from .mioptions import MivoiceOptions, suspicious

_Claim = tuple[str, str]


class View(NamedTuple):
    """What the state says of the accounts of a batch, and of the values that these want for themselves."""

    rows: Mapping[str, Stored]
    held: Mapping[_Claim, Row]


class MivoicePlatform(FilePlatform):
    """Writes files into a folder, from which they are collected (moved away, or deleted) once they are imported."""

    Options = MivoiceOptions
    options: MivoiceOptions
    kinds = frozenset({"user"})

    def __init__(self, options: Any, context: Any) -> None:
        super().__init__(options, context)
        self.fields = options.fields()
        self._keys_of = [name for name, field in self.fields.items() if field.key]
        self._folder = Folder(Path(options.path))
        self._path = self._folder.state
        self._head = Head({}, {})
        self._kept: frozenset[str] = frozenset()
        self._view = View({}, {})

    def open(self) -> None:
        """Finish what a killed process has begun."""
        super().open()
        with translated(self._path):
            self._head = self._folder.settle()

    def check(self) -> Iterable[str]:
        yield from super().check()
        with translated(self._path):
            head = self._folder.settle()
        for name in sorted(head.waiting):
            if name not in self._folder.collected:
                yield f"{self._folder.path / name}: waits to be imported, {head.waiting[name]} entries"

    def _stored(self) -> Iterator[Stored]:
        return self._folder.rows()

    def _made(self, key: str, account: Account, *, enabled: bool) -> Stored:
        check_key(key)
        if account.kind != "user":
            raise Rejected(
                f"account {key} is a {account.kind}, and no contacts can be imported; let accept keep it away"
            )
        values = {}
        for name, field in self.fields.items():
            for text in texts_of(account, name, field):
                if problem := suspicious(text):
                    raise Rejected(f"account {key}: {name} {problem}; correct it in its source")
                values[name] = text
        return Stored(key, enabled, Row(key, enabled, values))

    def _disabled(self, row: Stored) -> Stored:
        return row._replace(enabled=False, body=row.body._replace(enabled=False))

    def _digest(self, row: Stored) -> str:
        return blake2b(repr((row.enabled, sorted(row.body.now.items()))).encode(), digest_size=16).hexdigest()

    def _unique(self, row: Stored) -> Iterator[Hashable]:
        return self._claims(row.body.now)

    def _claims(self, values: Mapping[str, Value] | None) -> Iterator[_Claim]:
        for name in self._keys_of:
            if values and isinstance(text := values.get(name), str):
                yield name, text.casefold()

    def _deliver(self, deliveries: Sequence[Delivery]) -> Iterator[Outcome]:
        """Refuse what the product cannot do, or has to wait; do the rest, anew if a file is collected meanwhile."""
        self._require_folder()
        for _ in range(5):
            try:
                with translated(self._path):
                    self._head = self._folder.settle()
                    self._view = self._look(deliveries)
                refused = [self._refusal(one, self._view) for one in deliveries]
                passed = [one for one, error in zip(deliveries, refused, strict=True) if error is None]
                done = iter(list(super()._deliver(passed)) if passed else ())
                break
            except Taken:
                continue
        else:
            raise Unavailable(
                f"{self._folder.path}: files are collected all the time; it is tried again by itself"
            )
        for one, error in zip(deliveries, refused, strict=True):
            yield next(done) if error is None else Outcome(one.id, one.remote_id, error)

    def _look(self, deliveries: Sequence[Delivery]) -> View:
        """Read what the state says of these accounts, and who has values over there that they want for themselves."""
        after = {_key_of(one): one for one in deliveries}
        wanted = {claim for one in deliveries for claim in self._claims(one.account.fields)}
        rows, held = {}, {}
        for stored in self._stored():
            row: Row = stored.body
            kept: Mapping[str, Value] | None = row.target
            if (delivery := after.get(row.key)) is not None:
                rows[row.key] = stored
                kept = None if delivery.action in ("delete", "disable") else delivery.account.fields
            if row.there is not None and row.there != kept:
                mine = set(self._claims(kept))
                for claim in self._claims(row.there):
                    if claim in wanted and claim not in mine:
                        held[claim] = row
        return View(rows, held)

    def _refusal(self, delivery: Delivery, view: View) -> ConnectorError | None:
        account = delivery.account
        key = _key_of(delivery)
        stored = view.rows.get(key)
        there = stored.body.there if stored else None
        if not self.options.changes and there is not None:
            return self._unchangeable(key, there, delivery)
        if delivery.action in ("delete", "disable"):
            return None
        for claim in self._claims(account.fields):
            holder = view.held.get(claim)
            if holder is not None and holder.key != key:
                return Blocked(
                    f"account {account.key}: {claim[0]} is another user's over there until {holder.file or 'the change'} "
                    "was imported and taken out of the folder",
                    [holder.file or holder.key],
                )
        return None

    def _unchangeable(self, key: str, there: Values, delivery: Delivery) -> Rejected | None:
        """Return why a user who was handed over stays as they are; None where nothing would change."""
        by_hand = self.options.by_hand
        who = there.get("Login ID", key)
        if delivery.action in ("delete", "disable"):
            return Rejected(
                f"account {key}: {self.options.product} imports new users only, and {who} was collected: remove "
                f"them {by_hand}"
            )
        try:
            now = self._made(key, delivery.account, enabled=True).body.now
        except Rejected as error:
            return error
        differ = [name for name in self.fields if now.get(name) != there.get(name)]
        if not differ:
            return None
        return Rejected(
            f"account {key}: {self.options.product} imports new users only, and {who} was collected: change "
            f"{', '.join(differ)} {by_hand}"
        )

    def _merged(self, batch: Batch) -> Iterator[tuple[Stored | None, Stored | None]]:
        """Learn first which waiting files stay as they are: full ones that have nobody of this batch."""
        rows = self._view.rows
        files = {rows[key].body.file for key in batch.steps if key in rows}
        if any(
            key not in rows and key in self._known() for key in batch.steps
        ):  # of another key, by its login
            files.update(row.body.file for row in self._stored() if row.body.key in batch.steps)
        self._kept = frozenset(
            name
            for name, size in self._head.waiting.items()
            if size >= self.options.max_entries and name not in files | self._folder.collected
        )
        return super()._merged(batch)

    def _write(self, pairs: Iterable[tuple[Stored | None, Stored | None]]) -> None:
        made = Handover(self._folder, self._head, self.options, self._kept)
        try:
            if _put(made, pairs):
                made.publish()
            else:
                made.drop()
        except BaseException:
            made.drop()
            raise


def _key_of(delivery: Delivery) -> str:
    """Return the key of the row that a delivery is about, as far as it is known from the delivery alone."""
    given = delivery.remote_id if delivery.action != "add" else None
    return given or delivery.account.key


def _put(made: Handover, pairs: Iterable[tuple[Stored | None, Stored | None]]) -> bool:
    """Put every account; return whether anything has changed."""
    removed: dict[str, Row] = {}
    anything = False
    for before, after in pairs:
        old: Row | None = before.body if before else None
        if before and old and not before.key:
            removed[old.key] = old  # and may come back at the end
        elif after is None and old:
            removed[old.key] = old._replace(now=None)
            anything = True
        elif after is not None:
            new: Row = after.body
            changed = old is None or (old.enabled, old.now) != (new.enabled, new.now)
            anything = anything or changed
            there = (old or removed.pop(new.key, new)).there
            made.put(new._replace(there=there, file=old.file if old else ""))
    for row in removed.values():
        made.put(row)
    return anything
