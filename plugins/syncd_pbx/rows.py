"""Rows of reflected tables: read for many at once, changed in memory, written together.

What does not fit is refused before it is written; what is equal is not written.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Enum,
    Integer,
    Select,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from syncd import Rejected

Values: TypeAlias = dict[str, Any]
_MOST = 500
"""How many values are asked for at once; SQLite of old takes 999."""


class Lookup(NamedTuple):
    """How rows of a table are found: by the column ``by``, among those that have the values ``within``.

    ``columns`` are read as well. ``identity``: what tells two rows apart in a table without a primary key, if
    ``by`` and ``within`` do not. An ``optional`` one is left out where the table or a column is missing.
    """

    table: str
    by: str
    columns: Collection[str] = ()
    within: Mapping[str, str] = {}
    identity: tuple[str, ...] = ()
    optional: bool = False

    @property
    def needed(self) -> set[str]:
        """The columns that have to be there."""
        return {self.by, *self.columns, *self.within, *self.identity}


class Row:
    """One row: ``stored`` is what the database has, ``now`` what it is to have; None where there is none."""

    __slots__ = ("lookup", "now", "stored")

    def __init__(self, lookup: str, stored: Values | None) -> None:
        self.lookup = lookup
        self.stored = stored
        self.now = stored

    def __getitem__(self, column: str) -> Any:
        return (self.now or {}).get(column)


class Rows:
    """The rows of one database, in the transaction of ``connection``; ``lookups`` by name, mostly the table's."""

    def __init__(
        self, connection: Connection, tables: Mapping[str, Table], lookups: Mapping[str, Lookup]
    ) -> None:
        self.connection = connection
        self.tables = tables
        self.lookups = lookups
        self._found: dict[str, dict[str, tuple[Row, ...]]] = {name: {} for name in lookups}
        self._widths: dict[str, dict[str, int]] = {}
        self._undo: list[tuple[Row, Values | None]] = []

    def load(self, name: str, values: Collection[str]) -> list[Row]:
        """Return the rows that have one of these values now, read as far as they are not known yet."""
        lookup, found = self.lookups[name], self._found[name]
        column = self.tables[lookup.table].columns[lookup.by]
        wanted = [value for value in dict.fromkeys(values) if value not in found]
        found.update(dict.fromkeys(wanted, ()))
        typed = sought(column, wanted)
        statement = self._select(name, column.in_(bindparam("sought", expanding=True)))
        for start in range(0, len(typed), _MOST):
            for one in self.connection.execute(
                statement, {"sought": typed[start : start + _MOST]}
            ).mappings():
                key = str(one[lookup.by])
                found[key] = (*found.get(key, ()), Row(name, dict(one)))
        return [row for value in values if found[value] for row in self.those(name, value)]

    def those(self, name: str, value: str) -> list[Row]:
        """Return the rows that have this value now."""
        if value not in self._found[name]:
            self.load(name, [value])
        rows = self._found[name][value]
        if not rows:
            return []
        by = self.lookups[name].by
        return [row for row in rows if row.now is not None and str(row.now[by]) == value]

    def one(self, name: str, value: str) -> Row | None:
        """Return the row that has this value now."""
        rows = self.those(name, value)
        return rows[0] if rows else None

    def every(self, name: str, *conditions: ColumnElement[bool]) -> Iterator[Values]:
        """Yield rows as the database has them; all of them without conditions."""
        for row in self.connection.execute(self._select(name, *conditions)).mappings():
            yield dict(row)

    def put(self, name: str, value: str, values: Mapping[str, Any], first: Mapping[str, Any]) -> Row:
        """Make the columns of a row equal to ``values``; a new row gets those of ``first`` as well."""
        row = self.one(name, value)
        if row is not None:
            self.change(row, values)
            return row
        return self.insert(name, {**first, **values, self.lookups[name].by: value})

    def insert(self, name: str, values: Values) -> Row:
        """Make a new row of ``values``, which belong to it from now on."""
        row = Row(name, None)
        values.update(self.lookups[name].within)
        self._set(row, self._fitted(name, values))
        return row

    def change(self, row: Row, values: Mapping[str, Any]) -> None:
        """Change those ``values`` that differ from what the row has."""
        now = row.now or {}
        differing = {
            name: value for name, value in values.items() if (now.get(name) or None) != (value or None)
        }
        if differing:
            self._set(row, {**now, **self._fitted(row.lookup, differing)})

    def delete(self, row: Row | None) -> None:
        """Delete the row, if there is one."""
        if row is not None:
            self._set(row, None)

    def require_room(self, name: str, values: Mapping[str, Any]) -> None:
        """Raise Rejected where one of ``values``, which are to be written another day, would not fit."""
        self._fitted(name, {**values})

    def mark(self) -> int:
        """Return the present as ``undo`` takes it."""
        return len(self._undo)

    def undo(self, mark: int) -> None:
        """Take back what has changed since the mark, which is no older than the last ``flush``."""
        while len(self._undo) > mark:
            row, was = self._undo.pop()
            row.now = was

    def flush(self) -> None:
        """Write what has changed: statement by statement for all rows that have the same columns to write."""
        groups: dict[tuple[int, str, tuple[str, ...]], list[Row]] = defaultdict(list)
        touched = dict.fromkeys(row for row, _ in self._undo)
        for row in touched:
            if (group := _group(row)) is not None:
                groups[group].append(row)
        for (kind, name, columns), rows in sorted(groups.items(), key=lambda one: one[0][0]):
            _WRITERS[kind](self, self.lookups[name], columns, rows)
        for row in touched:
            row.stored = row.now
        self._undo.clear()

    def _set(self, row: Row, now: Values | None) -> None:
        self._undo.append((row, row.now))
        row.now = now
        if now is not None:
            found, key = self._found[row.lookup], str(now[self.lookups[row.lookup].by])
            rows = found.get(key, ())
            if row not in rows:
                found[key] = (*rows, row)

    def _fitted(self, name: str, values: Values) -> Values:
        """Return ``values``, each made what its column takes."""
        widths = self._widths.get(name)
        if widths is None:
            columns = self.tables[self.lookups[name].table].columns
            widths = self._widths[name] = {one.name: width(one) for one in columns}
        for column, value in values.items():
            if type(value) is not int and (type(value) is not str or len(value) > widths[column]):
                values[column] = fitted(self.tables[self.lookups[name].table].columns[column], value)
        return values

    def _select(self, name: str, *conditions: ColumnElement[bool]) -> Select[Any]:
        lookup = self.lookups[name]
        table = self.tables[lookup.table]
        columns = lookup.needed.union(table.primary_key.columns.keys())
        within = [table.columns[one] == value for one, value in lookup.within.items()]
        return select(*(table.columns[one] for one in sorted(columns))).where(*within, *conditions)

    def _delete(self, lookup: Lookup, _columns: tuple[str, ...], rows: Collection[Row]) -> None:
        keys, where = self._identity(lookup)
        self.connection.execute(delete(self.tables[lookup.table]).where(*where), [keys(row) for row in rows])

    def _update(self, lookup: Lookup, columns: tuple[str, ...], rows: Collection[Row]) -> None:
        table = self.tables[lookup.table]
        keys, where = self._identity(lookup)
        statement = update(table).where(*where).values({name: bindparam(f"new {name}") for name in columns})
        told = [{**keys(row), **{f"new {name}": row[name] for name in columns}} for row in rows]
        self.connection.execute(statement, told)

    def _insert(self, lookup: Lookup, columns: tuple[str, ...], rows: Collection[Row]) -> None:
        # Drivers take fitted values as they are: SQLAlchemy would look at each once more.
        dialect = self.connection.dialect
        table = self.tables[lookup.table]
        statement = insert(table).inline().compile(dialect=dialect, column_keys=columns)
        order = statement.positiontup or ()
        told = [tuple(map(now.__getitem__, order)) for row in rows if (now := row.now)]
        self.connection.exec_driver_sql(str(statement), told)

    def _identity(self, lookup: Lookup) -> tuple[Callable[[Row], Values], list[ColumnElement[bool]]]:
        """Return what makes the parameters that name a row, and the conditions that they belong to."""
        table = self.tables[lookup.table]
        names = table.primary_key.columns.keys() or [*(lookup.identity or (lookup.by, *lookup.within))]
        where = [table.columns[name] == bindparam(f"old {name}") for name in names]
        return lambda row: {f"old {name}": (row.stored or {})[name] for name in names}, where


_WRITERS = (Rows._delete, Rows._update, Rows._insert)  # noqa: SLF001 - in this order: what goes makes room


def _group(row: Row) -> tuple[int, str, tuple[str, ...]] | None:
    """Return what has to be done with a row, None where nothing has."""
    if row.stored is row.now:
        return None
    if row.now is None:
        return 0, row.lookup, ()
    if row.stored is None:
        return 2, row.lookup, tuple(row.now)
    stored = row.stored
    changed = tuple(name for name, value in row.now.items() if (stored[name] or None) != (value or None))
    return (1, row.lookup, changed) if changed else None


def sought(column: Column[Any], values: Sequence[str]) -> Sequence[str | int]:
    """Return values as rows are looked for by them, without those that the column cannot have."""
    if not isinstance(column.type, Integer):
        return values
    return [int(value) for value in values if re.fullmatch("-?[0-9]{1,18}", value)]


def width(column: Column[Any]) -> int:
    """Return how many characters fit a column for certain; -1 where it depends on more than their number."""
    kind = column.type
    if not isinstance(kind, String) or isinstance(kind, Enum):
        return -1
    return 1 << 30 if kind.length is None else kind.length


def fitted(column: Column[Any], value: Any) -> Any:
    """Return a value as the column takes it.

    Raises Rejected for what it cannot hold: SQLite would keep that, and other servers might cut it.
    """
    kind = column.type
    if not isinstance(value, str):
        return "" if value is None and not column.nullable and isinstance(kind, String) else value
    if isinstance(kind, Integer):
        if not re.fullmatch("-?[0-9]{1,18}", value):
            raise Rejected(f"the column {_called(column)} takes numbers; map another value")
        return int(value)
    if not isinstance(kind, String):
        raise Rejected(
            f"the column {_called(column)} is {kind}, which cannot be written; leave it out of the options"
        )
    if isinstance(kind, Enum) and value not in kind.enums:
        raise Rejected(
            f"the column {_called(column)} takes one of {', '.join(kind.enums)}; map another value"
        )
    if kind.length is not None and len(value) > kind.length:
        raise Rejected(
            f"{len(value)} characters do not fit the column {_called(column)}, which takes {kind.length}; "
            "widen the column, or map a shorter value"
        )
    return value


def _called(column: Column[Any]) -> str:
    return f"{column.table.name}.{column.name}"
