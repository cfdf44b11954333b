"""Rows of reflected tables: what does not fit is refused before it is written, what is equal is not written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Enum,
    Integer,
    String,
    Table,
    and_,
    delete,
    insert,
    select,
    update,
)

from syncd import Rejected

Row: TypeAlias = dict[str, Any]


class Rows:
    """The rows of one database, in the transaction of ``connection``."""

    def __init__(self, connection: Connection, tables: Mapping[str, Table]) -> None:
        self.connection = connection
        self.tables = tables

    def has(self, table: str, *columns: str) -> bool:
        """Tell whether there is such a table with such columns."""
        return table in self.tables and set(columns) <= set(self.tables[table].columns.keys())

    def one(self, table: str, key: Mapping[str, Any]) -> Row | None:
        """Return the row with this key."""
        return next(self.every(table, self._is(table, key)), None)

    def every(self, table: str, *conditions: ColumnElement[bool]) -> Iterator[Row]:
        """Yield rows; all of them without conditions."""
        for row in self.connection.execute(select(self.tables[table]).where(*conditions)).mappings():
            yield dict(row)

    def put(
        self, table: str, key: Mapping[str, Any], values: Mapping[str, Any], first: Mapping[str, Any]
    ) -> None:
        """Make the columns of a row equal to ``values``; a new row gets those of ``first`` as well."""
        row = self.one(table, key)
        if row is None:
            made = self._fitted(table, {**first, **values, **key})
            self.connection.execute(insert(self.tables[table]).values(made))
        else:
            self.change(table, key, row, values)

    def change(
        self, table: str, key: Mapping[str, Any], row: Mapping[str, Any], values: Mapping[str, Any]
    ) -> None:
        """Write those ``values`` that differ from the ``row`` that stands there."""
        fitted = self._fitted(table, values)
        differing = {name: value for name, value in fitted.items() if (row[name] or None) != (value or None)}
        if differing:
            self.connection.execute(update(self.tables[table]).where(self._is(table, key)).values(differing))

    def delete(self, table: str, key: Mapping[str, Any]) -> None:
        """Delete the row, if it is there."""
        self.connection.execute(delete(self.tables[table]).where(self._is(table, key)))

    def require_room(self, table: str, values: Mapping[str, Any]) -> None:
        """Raise Rejected where one of ``values``, which are to be written another day, would not fit."""
        self._fitted(table, values)

    def _is(self, table: str, key: Mapping[str, Any]) -> ColumnElement[bool]:
        columns = self.tables[table].columns
        return and_(*(columns[name] == value for name, value in key.items()))

    def _fitted(self, table: str, values: Mapping[str, Any]) -> Row:
        columns = self.tables[table].columns
        return {name: fitted(columns[name], value) for name, value in values.items()}


def fitted(column: Column[Any], value: Any) -> Any:
    """Return a value as the column takes it.

    Raises Rejected for what it cannot hold: SQLite would keep that, and other servers might cut it.
    """
    kind, name = column.type, f"{column.table.name}.{column.name}"
    if not isinstance(value, str):
        return "" if value is None and not column.nullable and isinstance(kind, String) else value
    if isinstance(kind, Integer):
        if not re.fullmatch("-?[0-9]{1,18}", value):
            raise Rejected(f"the column {name} takes numbers; map another value")
        return int(value)
    if not isinstance(kind, String):
        raise Rejected(f"the column {name} is {kind}, which cannot be written; leave it out of the options")
    if isinstance(kind, Enum) and value not in kind.enums:
        raise Rejected(f"the column {name} takes one of {', '.join(kind.enums)}; map another value")
    if kind.length is not None and len(value) > kind.length:
        raise Rejected(
            f"{len(value)} characters do not fit the column {name}, which takes {kind.length}; "
            "widen the column, or map a shorter value"
        )
    return value
