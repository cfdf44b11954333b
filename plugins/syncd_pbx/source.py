"""What the sources of this plugin share: one look at the node, sorted into people on this side."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from syncd import Checkpoint, Denied, Entry, Problem, Rejected, Source, Unavailable

from .devices import Device, Texts, is_anchor, is_dynamic, is_text, person, text_in
from .sourceoptions import SECRETS, SourceOptions
from .spool import Spool

if TYPE_CHECKING:
    from sqlalchemy import Connection

BATCH = 1000
"""Rows that are fetched and kept together."""

_SHOWN = 5


class NodeSource(Source):
    """Reads the database of one node; a subclass says which rows are devices, and what they tell.

    Databases do not tell what has changed, so every read is a full one.
    """

    synchronizer: ClassVar = "pbx"
    Options: ClassVar[type[SourceOptions]]
    options: SourceOptions
    users: ClassVar[str]
    """The table that has one row for each device."""

    offered: ClassVar[frozenset[str]] = frozenset(
        {"extension", "softphone_extension", "secondary_extensions", "devices"}
    )
    """The attributes that are not columns of ``users``."""

    def needed(self) -> dict[str, set[str]]:
        """Return the columns that are read, by table."""
        options = self.options
        told = options.softphone if isinstance(options.softphone, dict) else ()
        return {self.users: {*options.where, *told, *(set(self.selected) - self.offered)}}

    def matching(self) -> Mapping[str, str]:
        """Return the columns of ``users`` that have one value in all rows of this node."""
        return {}

    def facts(self, rows: Rows, spool: Spool) -> None:
        """Keep what other tables say of devices."""

    def device(self, row: Mapping[str, str], spool: Spool) -> tuple[str, Device]:
        """Return the person of a row, and the device; one whose number is none of a person is left out."""
        raise NotImplementedError

    def doubt(self, anchor: str, devices: Sequence[Device]) -> str:  # noqa: ARG002 - for a subclass to ask
        """Return why these devices may not be one person's, or nothing."""
        return ""

    def texts(self, devices: Sequence[Device], spool: Spool) -> Texts:
        """Return what these devices of a person say by themselves, the most important first."""
        raise NotImplementedError

    def scope(self) -> str:
        options = self.options
        people = (
            options.person,
            options.extensions,
            options.dynamic_extensions_only,
            sorted(options.where.items()),
        )
        return f"{self.users} at {options.url} {options.socket} {people}"

    def open(self) -> None:
        """See that the node answers and has all that is to be read. Raises Unavailable or Denied."""
        with self._snapshot():
            pass

    def read(self, cursor: str | None) -> Iterator[Entry | Problem | Checkpoint]:  # noqa: ARG002 - always in full
        """Yield everybody. The node is read before the first of them is yielded, and then let go."""
        with Spool() as spool:
            self._fill(spool)
            yield from self._people(spool)
        yield Checkpoint(cursor=None, full=True)

    def check(self) -> Iterator[str]:
        """Yield how many rows are how many people, and which rows are nobody's."""
        from .database import place

        with Spool() as spool:
            rows, strange = self._fill(spool)
            found = [type(one) for one in self._people(spool)]
        yield f"{place(self.options)}: {rows} rows of {self.users}, {found.count(Entry)} people"
        if bad := found.count(Problem):
            yield f"{bad} more cannot be read; syncd preview says why"
        if strange.total:
            more = ", ..." if strange.total > _SHOWN else ""
            yield f"{strange.total} rows are nobody's telephone: {', '.join(strange.first)}{more}"

    def _people(self, spool: Spool) -> Iterator[Entry | Problem]:
        options = self.options
        for anchor, devices, count in spool.people(options.most_devices):
            if anchor is None:
                message = f"{self.users}: {devices[0].name!a} is no name of anybody, by {options.person}"
                yield Problem(None, "bad-anchor", f"{message}; mend it on the node")
            elif count > len(devices):
                names = ", ".join(ascii(device.name) for device in devices[:_SHOWN])
                yield Problem(
                    anchor,
                    "too-many-devices",
                    f"{count} telephones ({names}, ...) are one person's by {options.person}: {anchor}; use another "
                    "column as 'person', or raise most_devices",
                )
            elif doubt := self.doubt(anchor, devices):
                yield Problem(anchor, "doubtful-person", doubt)
            elif is_dynamic(devices) or not options.dynamic_extensions_only:
                yield person(anchor, devices, lambda some: self.texts(some, spool), self.selected)

    def _fill(self, spool: Spool) -> tuple[int, Strange]:
        """Read the node; returns how many rows there are, and which were left out. Raises Denied if there is none."""
        from .database import place

        total, strange = 0, Strange()
        with self._snapshot() as rows:
            self.facts(rows, spool)
            for batch in rows.batches(self.users, **self.matching()):
                total += len(batch)
                spool.put(self._kept(batch, spool, strange))
        if not total:
            raise Denied(
                f"{place(self.options)}: {self.users} is empty; see whether url is right. Of a node that is no longer "
                "used, take the source out of the configuration: syncd retire then plans what becomes of its accounts"
            )
        return total, strange

    def _kept(
        self, batch: Iterable[Mapping[str, str]], spool: Spool, strange: Strange
    ) -> Iterator[tuple[str | None, Device]]:
        for row in batch:
            anchor, device = self.device(row, spool)
            if not self._is_persons(row, device):
                strange.add(device.name)
            else:
                yield (anchor if device.name and is_anchor(anchor) else None), device

    def _is_persons(self, row: Mapping[str, str], device: Device) -> bool:
        if not _fits(row, self.options.where):
            return False
        readable = device.name and is_text(device.name) and is_text(device.number)
        return not readable or re.fullmatch(self.options.extensions, device.number) is not None

    def is_soft(self, name: str, row: Mapping[str, str]) -> bool:
        """Tell whether a device of this name, with this row, is a soft phone."""
        rule = self.options.softphone
        if rule is None or isinstance(rule, dict):
            return rule is not None and _fits(row, rule)
        return re.fullmatch(rule, name) is not None

    @contextmanager
    def _snapshot(self) -> Iterator[Rows]:
        """Yield the tables as they are at one moment."""
        from .database import engine_of, place, translated

        if secret := sorted(set(self.selected) & SECRETS):
            raise Denied(
                f"{', '.join(secret)}: a source of a node never reads secrets; take it out of the map"
            )
        reference = self.options.password
        password = None if reference is None else self.context.secret(reference.get_secret_value())
        engine = engine_of(self.options, password, reading=True)
        try:
            with translated(place(self.options)), engine.begin() as connection:
                _require(connection, self.needed(), self.offered)
                yield Rows(connection, self.needed(), self.context.stopping)
        except Rejected as error:  # what cannot be converted into UTF-8 concerns the read, not a record
            raise Denied(str(error)) from None
        finally:
            engine.dispose()


def _fits(row: Mapping[str, str], columns: Mapping[str, Collection[str]]) -> bool:
    return all(row[name] in values for name, values in columns.items())


def _require(connection: Connection, needed: Mapping[str, Collection[str]], offered: Collection[str]) -> None:
    """Raise Denied, which names all that is missing, where a table or a column is not there."""
    from sqlalchemy import inspect

    shape = inspect(connection)
    there, wrong = set(shape.get_table_names()) | set(shape.get_view_names()), []
    for table, columns in sorted(needed.items()):
        if table not in there:
            wrong.append(
                f"the database has no table {table}; see whether url is right, or leave out what needs it"
            )
            continue
        known = {column["name"] for column in shape.get_columns(table)}
        if absent := sorted(set(columns) - known):
            names = ", ".join(_guessed(name, {*known, *offered}) for name in absent)
            wrong.append(f"the table {table} has no column {names}; add it, or leave out what needs it")
    if wrong:
        raise Denied("\n".join(wrong))


def _guessed(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"{name} (did you mean {close[0]}?)" if close else name


class Rows:
    """The rows of one snapshot, as texts."""

    def __init__(self, connection: Connection, needed: Mapping[str, Collection[str]], stopping: Any) -> None:
        self.connection = connection
        self.needed = needed
        self.stopping = stopping

    def batches(self, table: str, **equal: str) -> Iterator[list[dict[str, str]]]:
        """Yield the rows with these values, some at a time; the server keeps the rest. Raises Unavailable."""
        from sqlalchemy import column, select
        from sqlalchemy import table as table_of

        names = sorted(self.needed[table])
        conditions = [column(name) == value for name, value in equal.items()]
        query: Any = select(*map(column, names)).select_from(table_of(table)).where(*conditions)
        with self.connection.execute(query, execution_options={"yield_per": BATCH}) as result:
            while batch := list(islice(result, BATCH)):
                if self.stopping.is_set():
                    raise Unavailable("syncd is stopping; the next read begins anew")
                yield [dict(zip(names, map(text_in, row), strict=True)) for row in batch]


class Strange:
    """Rows that are nobody's: the first of them, and how many."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self.total = 0

    def add(self, name: str) -> None:
        """Count one."""
        self.total += 1
        if self.total <= _SHOWN:
            self.first.append(ascii(name))
