"""What the platforms of this plugin share: one connection, one transaction for each batch of deliveries."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from syncd import Account, ConnectorError, Delivery, Denied, Gone, Outcome, Platform, Unavailable

from .options import DatabaseOptions

if TYPE_CHECKING:
    from sqlalchemy import Engine, Table

    from .rows import Rows

T = TypeVar("T")
ACCEPTABLE = r"[^\x00-\x1f\x7f]{8,}"
"""A password: a short one is found within hours by those who try all extensions from the Internet."""
_ENABLED = {"update": None, "disable": False, "enable": True}


class Node(Protocol):
    """One kind of node: what its rows mean, within one transaction."""

    def find(self, account: Account) -> str | None:
        """Return the remote id of the account."""

    def add(self, account: Account) -> str:
        """Make the account, or take over what has its number."""

    def change(
        self, remote_id: str, account: Account, changed: frozenset[str], *, enabled: bool | None
    ) -> str:
        """Write the changed fields; return the remote id, which a new number may change. Raises Gone."""

    def delete(self, remote_id: str) -> None:
        """Delete all that belongs to it. Raises Blocked where something else refers to it."""

    def listed(self) -> Iterator[tuple[str, str]]:
        """Yield the remote ids and fingerprints of all accounts."""


class NodePlatform(Platform):
    """Writes to the database of one node; a subclass says which tables, and what they mean."""

    Options: ClassVar[type[DatabaseOptions]]
    options: DatabaseOptions
    kinds = frozenset({"user"})
    users: ClassVar[str]
    """The table that has one row for each account."""

    _engine: Engine | None = None
    _tables: Mapping[str, Table]

    def needed(self) -> Mapping[str, Collection[str]]:
        """Return the columns that must be there, by table."""
        raise NotImplementedError

    def optional(self) -> Collection[str]:
        """Return the tables that are looked at where they exist."""
        return ()

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

        count = len(self._do(lambda rows: list(self.node(rows).listed())))
        yield f"{place(self.options)}: {count} accounts"
        for name in sorted(self.needed()):
            engine = self._tables[name].kwargs.get("mysql_engine")
            if engine in {"MyISAM", "Aria"}:
                yield f"the table {name} is kept by {engine}, which has no transactions: ALTER TABLE {name} ENGINE=InnoDB"

    def add(self, account: Account) -> str:
        return self._do(lambda rows: self.node(rows).add(account))

    def update(self, remote_id: str, account: Account, changed: frozenset[str]) -> None:
        self._do(lambda rows: self.node(rows).change(remote_id, account, changed, enabled=None))

    def disable(self, remote_id: str, account: Account) -> None:
        self._do(lambda rows: self.node(rows).change(remote_id, account, frozenset(), enabled=False))

    def enable(self, remote_id: str, account: Account) -> None:
        self._do(lambda rows: self.node(rows).change(remote_id, account, frozenset(), enabled=True))

    def delete(self, remote_id: str) -> None:
        self._do(lambda rows: self.node(rows).delete(remote_id))

    def find(self, account: Account) -> str | None:
        return self._do(lambda rows: self.node(rows).find(account))

    def list(self) -> Iterator[tuple[str, str]]:
        """Yield every account whose number is one of ``extensions``."""
        yield from self._do(lambda rows: list(self.node(rows).listed()))

    def deliver(self, deliveries: Iterable[Delivery]) -> Iterator[Outcome]:
        """Do the deliveries in one transaction; one that fails leaves nothing, and harms no other."""
        batch = list(deliveries)
        yield from self._do(lambda rows: [self._outcome(rows, delivery) for delivery in batch])

    def _outcome(self, rows: Rows, delivery: Delivery) -> Outcome:
        from .database import place, translated

        try:
            with translated(place(self.options)), rows.connection.begin_nested():
                return Outcome(delivery.id, self._delivered(self.node(rows), delivery))
        except Unavailable:
            raise  # the transaction is lost, and all that was in it
        except ConnectorError as error:
            return Outcome(delivery.id, delivery.remote_id, error)

    def _delivered(self, node: Node, delivery: Delivery) -> str | None:
        if delivery.action == "add":
            return node.add(delivery.account)
        if delivery.remote_id is None:
            raise Gone(f"account {delivery.account.key} has no remote id")
        if delivery.action == "delete":
            node.delete(delivery.remote_id)
            return delivery.remote_id
        enabled = _ENABLED[delivery.action]
        return node.change(delivery.remote_id, delivery.account, delivery.changed, enabled=enabled)

    def _do(self, work: Callable[[Rows], T]) -> T:
        from .rows import Rows

        with self._connected() as connection:
            return work(Rows(connection, self._tables))

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """Yield a connection within a transaction; the shape of the tables is learned with the first."""
        from .database import engine_of, place, tables_of, translated

        with translated(place(self.options)):
            engine = self._engine or engine_of(self.options, self._password())
            try:
                with engine.begin() as connection:
                    if self._engine is None:
                        self._tables = tables_of(connection, self.needed(), self.optional())
                        self._engine = engine
                    yield connection
            finally:
                if self._engine is not engine:
                    engine.dispose()

    def _password(self) -> str | None:
        reference = self.options.password
        return None if reference is None else self.context.secret(reference.get_secret_value())

    def _expect_accounts(self, rows: Rows) -> None:
        """Raise Denied where all that was delivered is lost: a new and empty database is not filled unasked."""
        from .database import place

        if self.context.confirmed and next(rows.every(self.users), None) is None:
            raise Denied(
                f"{place(self.options)}: {self.users} is empty, but {self.context.confirmed} accounts were delivered "
                "to it; see whether url is right, and restore the database"
            )


def number_of(account: Account, extensions: str) -> str:
    """Return the number of the account; the engine has seen that it is there and fits."""
    number = account.fields["extension"]
    assert isinstance(number, str) and re.fullmatch(extensions, number)  # noqa: S101, PT018 - the declared field
    return number


def text_of(account: Account, name: str) -> str | None:
    """Return the one text of a field, None where there is none."""
    value = account.fields.get(name) or None
    return value if isinstance(value, str) or value is None else value[0]
