"""The platform ``ldap``: accounts as entries of Active Directory, OpenLDAP, 389 Directory Server and others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from syncd import Account, ConnectorError, Delivery, Outcome, Platform

from . import platformoptions
from .values import digest, fields_of, memberships_of, values_of

if TYPE_CHECKING:
    from syncd import Context

    from .conversation import Conversation, Job, Program
    from .writing import Writing

T = TypeVar("T")


class Line(NamedTuple):
    """A connection, and what can be done over it."""

    conversation: Conversation
    writing: Writing


class LdapPlatform(Platform):
    """Writes over one connection with the first server that answers, several deliveries at a time."""

    Options: ClassVar[type[platformoptions.PlatformOptions]] = platformoptions.PlatformOptions
    options: platformoptions.PlatformOptions

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__(options, context)
        self.fields = fields_of(options)
        self._line: Line | None = None

    def open(self) -> None:
        """Connect and bind. Raises Unavailable or Denied."""
        self.close()
        self._ready()

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._line is not None:
            self._line.conversation.session.close()
            self._line = None

    def check(self) -> Iterator[str]:
        """Yield what the server is and who asks; see that all that the options name is there. Writes nothing.

        Raises Denied where something is not.
        """
        from .checking import checked

        conversation, writing = self._ready()
        yield from checked(conversation, writing.directory)

    def add(self, account: Account) -> str:
        return self._do(lambda writing: writing.add(account))

    def update(self, remote_id: str, account: Account, changed: frozenset[str]) -> None:
        self._do(lambda writing: writing.update(remote_id, account, changed))

    def disable(self, remote_id: str, account: Account) -> None:
        self._do(lambda writing: writing.update(remote_id, account, frozenset(), enabled=False))

    def enable(self, remote_id: str, account: Account) -> None:
        self._do(lambda writing: writing.update(remote_id, account, frozenset(), enabled=True))

    def delete(self, remote_id: str) -> None:
        self._do(lambda writing: writing.delete(remote_id))

    def find(self, account: Account) -> str | None:
        return self._do(lambda writing: writing.directory.find(account))

    def deliver(self, deliveries: Iterable[Delivery]) -> Iterator[Outcome]:
        """Do the deliveries, ``in_flight`` of them at once; those of the same entry or key one after the other.

        Who is to get a name that another of them has comes last.
        """
        from .exchanging import exchanged
        from .writing import Taken

        conversation, writing = self._ready()
        waiting: list[tuple[Delivery, Taken]] = []
        begun: deque[Delivery] = deque()

        def jobs() -> Iterator[Job[str | None]]:
            from .conversation import Job

            for delivery in deliveries:
                begun.append(delivery)
                yield Job(writing.deliver(delivery), self._claims(delivery))

        for outcome in conversation.run(jobs()):
            delivery = begun.popleft()
            if isinstance(outcome, Taken) and outcome.holder and delivery.remote_id:
                waiting.append((delivery, outcome))
            elif isinstance(outcome, ConnectorError):
                yield Outcome(delivery.id, delivery.remote_id, outcome)
            else:
                yield Outcome(delivery.id, outcome)
        yield from exchanged(conversation, writing, waiting)

    def list(self) -> Iterator[tuple[str, str]]:
        """Yield every entry that is an account's by the filter, read over a connection of its own."""
        from .listing import listed

        conversation, writing = self._ready()
        yield from listed(conversation, writing.directory, self.context)

    def fingerprint(self, account: Account) -> str:
        values = values_of(account, self.fields)
        return digest(values, memberships_of(account, self.options.groups), enabled=account.enabled)

    def _do(self, make: Callable[[Writing], Program[T]]) -> T:
        conversation, writing = self._ready()
        return conversation.one(make(writing))

    def _ready(self) -> Line:
        """Return the connection, a new one if the last was lost."""
        from .connecting import session_of
        from .conversation import Conversation
        from .directory import Directory
        from .writing import Writing

        if self._line is None or self._line.conversation.lost:
            self.close()
            session, anchor = session_of(self.options, self.options.anchor, self.context)
            directory = Directory(self.options, self.fields, session, anchor)
            self._line = Line(Conversation(session, self.options.in_flight), Writing(directory))
        return self._line

    def _claims(self, delivery: Delivery) -> frozenset[str]:
        """Return what the delivery is about: the remote id, and the keys that it may be found by."""
        fields = delivery.account.fields
        texts = [(name, fields.get(name, ())) for name in self.options.key]
        keys = {
            f"{name}={text.casefold()}"
            for name, value in texts
            for text in ((value,) if isinstance(value, str) else value)
        }
        return frozenset(keys if delivery.remote_id is None else {*keys, delivery.remote_id})
