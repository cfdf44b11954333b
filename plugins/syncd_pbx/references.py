"""What refers to a number: rows of other tables, and endpoints that use what belongs to another one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, and_, or_

from syncd import Blocked

from .marks import on
from .options import Reference
from .rows import Lookup, Row, Rows


def lookups_of(references: Sequence[Reference], *, optional: bool = False) -> dict[str, Lookup]:
    """Return how the rows are found that refer to a number."""
    return {
        f"{one.table}.{one.column} {one.value}": Lookup(
            one.table, one.column, {one.label} if one.label else set(), optional=optional
        )
        for one in references
    }


class References:
    """The rows of other tables that refer to numbers."""

    def __init__(self, rows: Rows, references: Iterable[Reference]) -> None:
        self.rows = rows
        names = {one: next(iter(lookups_of([one]))) for one in references}
        self.names = {one: name for one, name in names.items() if name in rows.lookups}

    def load(self, numbers: Iterable[str]) -> None:
        """Read what refers to these numbers."""
        numbers = list(numbers)
        for one, name in self.names.items():
            self.rows.load(name, [one.value.format(extension=number) for number in numbers])

    def of(self, number: str) -> list[str]:
        """Return what refers to the number, each as people know it."""
        return [
            f"{one.what} {self._label(one, row)}".rstrip()
            for one, name in self.names.items()
            for row in self.rows.those(name, one.value.format(extension=number))
        ]

    def _label(self, one: Reference, row: Row) -> str:
        keys = self.rows.tables[one.table].primary_key.columns.keys()
        return "/".join(str(row[name]) for name in ([one.label] if one.label else keys))


class Mentions:
    """Which endpoints name what, in the lists of their AORs, auths and mailboxes.

    One scan for all, without the endpoints that name only what they are called like: those are looked up by that.
    """

    def __init__(self, rows: Rows, lists: Mapping[str, str]) -> None:
        """``lists``: the columns, and what follows the endpoint's own name there."""
        self.rows = rows
        self.lists = lists
        self._scanned = False
        self._by: dict[str, set[str]] = defaultdict(set)

    def note(self, number: str, names: Iterable[str]) -> None:
        """Learn that an endpoint names these from now on."""
        for name in names:
            self._by[name].add(number)

    def of(self, names: Iterable[str], own: Iterable[str]) -> list[str]:
        """Return the endpoints, without ``own``, that name one of ``names``, as messages call them."""
        return [f"endpoint {number}" for number in self.numbers(names, own)]

    def numbers(self, names: Iterable[str], own: Iterable[str]) -> list[str]:
        """Return the ids of the endpoints, without ``own``, that name one of ``names``."""
        if not self._scanned:
            self._scanned = True
            for row in self.rows.every("ps_endpoints", self._unusual()):
                self.note(row["id"], (on(name) for column in self.lists for name in split(row[column])))
        wanted = set(names)
        numbers = set().union(*(self._by.get(name, ()) for name in wanted), self._alike(wanted)) - set(own)
        return sorted(number for number in numbers if wanted & self._named(number))

    def _named(self, number: str) -> set[str]:
        """Return what an endpoint names now."""
        row = self.rows.one("ps_endpoints", number)
        return {on(name) for column in self.lists for name in split(row[column])} if row else set()

    def _alike(self, names: Iterable[str]) -> set[str]:
        """Return how endpoints are called that name one of ``names`` because that is called like them."""
        ends = tuple(filter(None, self.lists.values()))
        return {name.rpartition("@")[0] if name.endswith(ends) else name for name in names}

    def _unusual(self) -> ColumnElement[bool]:
        columns = self.rows.tables["ps_endpoints"].columns
        return or_(
            *(
                and_(columns[name] != "", columns[name] != columns["id"].concat(end))
                for name, end in self.lists.items()
            )
        )


def require_unused(number: str, references: Sequence[str]) -> None:
    """Raise Blocked where there are references."""
    if references:
        raise Blocked(f"{number} is still used by {', '.join(references)}; change that first", references)


def split(names: str | None) -> list[str]:
    """Return the names of a list, as Asterisk separates them."""
    return [name for one in names.split(",") if (name := one.strip())] if names else []
