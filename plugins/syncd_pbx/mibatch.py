"""One batch on its way into the folder: new state, new files, and the waiting files that they replace."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from syncd import Denied
from syncd_bulk.shared import Draft, ldifwriter

from .exchange import Folder, Head, Row, Values, end_of, line_of
from .mioptions import KNOWN, MivoiceOptions


class Handover:
    """Drafts of what the folder should have; ``publish`` puts them there at once.

    ``kept`` are waiting files that stay, as nobody in them has changed; all others that wait are replaced. A file has ``max_entries`` at most.
    """

    def __init__(self, folder: Folder, head: Head, options: MivoiceOptions, kept: frozenset[str]) -> None:
        self._folder, self._head, self._options, self._kept = folder, head, options, kept
        self._state = Draft(folder.state, 0o600)
        self._numbers = dict(head.numbers)
        self._files: dict[str, Draft] = {}
        self._open: dict[str, str] = {}
        self._sizes = {name: head.waiting[name] for name in kept}
        self._rows: list[Values] = []

    def put(self, row: Row) -> None:
        """Write the account into the state, and what the importing system is to be told into a file."""
        if row.there == row.target:
            row = row._replace(file="")
        elif row.file not in self._kept:
            row = row._replace(file=self._tell(row))
        if row.now is not None or row.there is not None:
            self._state.file.write(line_of(row))

    def publish(self) -> None:
        """Put everything in place. Raises Taken, with nothing done, where a file to be replaced was collected."""
        for kind in self._open:
            self._finish(kind)
        self._state.file.write(end_of(Head(self._numbers, self._sizes)))
        self._state.settle()
        old = [name for name in self._head.waiting if name not in self._kept | self._folder.collected]
        self._folder.withdraw(old)
        for draft in self._files.values():
            draft.keep()
        self._state.publish()
        for draft in self._files.values():
            draft.publish()
        self._folder.forget(old)

    def drop(self) -> None:
        """Leave everything as it is."""
        for draft in (*self._files.values(), self._state):
            draft.drop()

    def _tell(self, row: Row) -> str:
        """Write the step from what the importing system has to what it should have; return the name of the file."""
        if row.there is None and row.target is not None and self._options.kind != "ldif":
            name = self._file("users", "csv", 1)
            self._rows.append(row.target)
            return name
        records = list(_records(self._options, row))
        name = self._file("changes", "ldif", len(records))
        self._files[name].file.writelines(record + b"\n" for record in records)
        return name

    def _file(self, kind: str, suffix: str, entries: int) -> str:
        """Return the file that has room for so many entries more; a full one is followed by the next number."""
        name = self._open.get(kind, "")
        if not name or self._sizes[name] + entries > self._options.max_entries:
            if name:
                self._finish(kind)
            number = self._numbers[kind] + 1 if name else self._folder.next_number(kind, self._head)
            name = self._open[kind] = f"{kind}-{number:06d}.{suffix}"
            self._numbers[kind], self._sizes[name] = number, 0
            self._files[name] = Draft(self._folder.path / name, int(self._options.mode, 8))
            if kind == "changes":
                self._files[name].file.write(b"version: 1\n\n")
        self._sizes[name] += entries
        return name

    def _finish(self, kind: str) -> None:
        """Bring the open file to the disk."""
        if kind == "users":
            self._table()
        self._files[self._open[kind]].settle()

    def _table(self) -> None:
        """Write the rows of one CSV file: a column that nobody has a value for would clear what a role brings."""
        options = self._options
        columns = [
            name
            for name in (*KNOWN, *options.columns)
            if (name in KNOWN and KNOWN[name].required) or any(name in row for row in self._rows)
        ]
        text = io.TextIOWrapper(self._files[self._open["users"]].file, "utf-8", newline="")
        try:
            writer = csv.writer(text, lineterminator="\r\n")
            writer.writerow([options.headers.get(name, name) for name in columns])
            writer.writerows([row.get(name, "") for name in columns] for row in self._rows)
            text.flush()
        finally:
            text.detach()
        self._rows.clear()


def _records(options: MivoiceOptions, row: Row) -> Iterator[bytes]:
    """Yield the change records (RFC 2849: add, modify and delete alone) that lead to what should be there."""
    old = _entry(options, row.key, row.there)
    new = _entry(options, row.key, row.target)
    if old and new and old[0] == new[0]:
        yield ldifwriter.modifying(new[0], ldifwriter.differences(old[1], new[1]))
        return
    if old:
        yield ldifwriter.deleting(old[0])
    if new:
        yield ldifwriter.adding(new[0], {"objectClass": options.object_class, **new[1]})


def _entry(
    options: MivoiceOptions, key: str, values: Values | None
) -> tuple[str, dict[str, tuple[str, ...]]] | None:
    """Return name and attributes of an entry, None where there is none."""
    if values is None:
        return None
    attributes: dict[str, tuple[str, ...]] = {
        ldif: (values[name],) for name, ldif in options.ldif.items() if name in values
    }
    if options.user_id is not None:
        attributes[options.user_id] = (key,)
    parts = []
    for literal, name in options.template:
        if name and name not in attributes:
            raise Denied(
                f"account {key}: what was imported has no {name}, to be named by; put the former dn back"
            )
        parts += [literal, ldifwriter.escape(attributes[name][0]) if name else ""]
    for name, source in options.naming.items():
        attributes[name] = attributes[source]
    return "".join(parts), attributes
