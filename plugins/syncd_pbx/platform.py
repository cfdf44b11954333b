"""What the platforms of this plugin share: one connection, one transaction for each batch of deliveries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, TypeVar

from syncd import Account, Delivery, Denied, Outcome, Platform, Rejected

from .batches import Node, outcomes_of
from .options import DatabaseOptions

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

    from .rows import Lookup, Rows

T = TypeVar("T")
ACCEPTABLE = r"[^\x00-\x1f\x7f]{8,}"
"""A password: a short one is found within hours by those who try all extensions from the Internet."""


class NodePlatform(Platform):
    """Writes to the database of one node; a subclass says which tables, and what they mean."""

    Options: ClassVar[type[DatabaseOptions]]
    options: DatabaseOptions
    kinds = frozenset({"user"})
    batch = 2000
    users: ClassVar[str]
    """The table that has one row for each account."""

    _engine: Engine | None = None
    _tables: Mapping[str, Table]
    _lookups: Mapping[str, Lookup]

    def lookups(self) -> Mapping[str, Lookup]:
        """Return how the rows are found that the node works on."""
        raise NotImplementedError

    def node(self, rows: Rows) -> Node:
        """Return what works on these rows."""
        raise NotImplementedError

    def open(self) -> None:
        """Connect, and learn the shape of the tables. Raises Unavailable or Denied."""
        self.close()
        self._do(self._expect_accounts)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def check(self) -> Iterator[str]:
        """Yield what the database is and how many accounts it has; see that the tables are as needed."""
        from .database import place

        count = len(self._do(lambda node: list(node.listed())))
        yield f"{place(self.options)}: {count} accounts"
        for name in sorted(self._tables):
            engine = self._tables[name].kwargs.get("mysql_engine")
            if engine in {"MyISAM", "Aria"}:
                yield f"the table {name} is kept by {engine}, which has no transactions: ALTER TABLE {name} ENGINE=InnoDB"

    def add(self, account: Account) -> str:
        return str(self._alone("add", None, account))

    def update(self, remote_id: str, account: Account, changed: frozenset[str]) -> None:
        self._alone("update", remote_id, account, changed)

    def disable(self, remote_id: str, account: Account) -> None:
        self._alone("disable", remote_id, account)

    def enable(self, remote_id: str, account: Account) -> None:
        self._alone("enable", remote_id, account)

    def delete(self, remote_id: str) -> None:
        self._alone("delete", remote_id, Account(remote_id, "user", enabled=False, fields={}))

    def find(self, account: Account) -> str | None:
        return self._do(lambda node: node.find(account))

    def find_all(self, accounts: Iterable[Account]) -> Iterator[str | Exception | None]:
        """Look for all of them in one transaction."""
        sought = [Delivery(0, "add", 0, None, account) for account in accounts]
        if sought:
            yield from self._do(lambda node: _found(node, sought))

    def list(self) -> Iterator[tuple[str, str]]:
        """Yield every account whose number is one of ``extensions``."""
        yield from self._do(lambda node: list(node.listed()))

    def deliver(self, deliveries: Iterable[Delivery]) -> Iterator[Outcome]:
        """Do the deliveries in one transaction; one that fails leaves nothing, and harms no other."""
        batch = [self._told(delivery) for delivery in deliveries]
        with self._connected() as connection:
            outcomes = outcomes_of(lambda: self._saved(connection), batch)
        yield from outcomes

    def _told(self, delivery: Delivery) -> Delivery:
        """Return a delivery that takes no secret away only because nobody knows how the account looks there."""
        if not delivery.changed >= self.fields.keys():
            return delivery
        absent = {
            name for name, field in self.fields.items() if field.secret
        } - delivery.account.fields.keys()
        return delivery._replace(changed=delivery.changed - absent)

    def _alone(
        self, action: str, remote_id: str | None, account: Account, changed: frozenset[str] = frozenset()
    ) -> str | None:
        (outcome,) = self.deliver([Delivery(1, action, 1, remote_id, account, changed)])
        if isinstance(outcome.error, BaseException):
            raise outcome.error
        return outcome.remote_id

    @contextmanager
    def _saved(self, connection: Connection) -> Iterator[Node]:
        """Yield a node within a savepoint; what it has changed is written at the end."""
        from .database import place, translated

        with translated(place(self.options)), connection.begin_nested():
            node = self._node(connection)
            yield node
            node.rows.flush()

    def _node(self, connection: Connection) -> Node:
        from .rows import Rows

        return self.node(Rows(connection, self._tables, self._lookups))

    def _do(self, work: Callable[[Node], T]) -> T:
        with self._connected() as connection:
            return work(self._node(connection))

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Yield a connection within a transaction; the shape of the tables is learned with the first."""
        from .database import engine_of, place, tables_of, translated

        with translated(place(self.options)):
            engine = self._engine or engine_of(self.options, self._password())
            try:
                with engine.begin() as connection:
                    if self._engine is None:
                        self._tables, self._lookups = tables_of(connection, self.lookups())
                        self._engine = engine
                    yield connection
            finally:
                if self._engine is not engine:
                    engine.dispose()

    def _password(self) -> str | None:
        reference = self.options.password
        return None if reference is None else self.context.secret(reference.get_secret_value())

    def _expect_accounts(self, node: Node) -> None:
        """Raise Denied where all that was delivered is lost: a new and empty database is not filled unasked."""
        from .database import place

        if self.context.confirmed and next(node.rows.every(self.users), None) is None:
            raise Denied(
                f"{place(self.options)}: {self.users} is empty, but {self.context.confirmed} accounts were delivered "
                "to it; see whether url is right, and restore the database"
            )


def _found(node: Node, sought: Sequence[Delivery]) -> list[str | None]:
    node.prepare(sought)
    return [node.find(one.account) for one in sought]


def number_of(account: Account, extensions: str) -> str:
    """Return the number of the account. Raises Rejected where another map of the platform has left it without one."""
    number = text_of(account, "extension")
    if number is None or not re.fullmatch(extensions, number):
        raise Rejected(f"field extension has no number that fits {extensions}; see the map of the platform")
    return number


def text_of(account: Account, name: str) -> str | None:
    """Return the one text of a field, None where there is none."""
    value = account.fields.get(name)
    return (value if isinstance(value, str) else value[0]) if value else None
