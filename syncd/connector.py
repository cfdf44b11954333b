"""Floor 1: what a plugin author subclasses.

A source needs ``Options`` and ``read``. A platform needs ``Options``, ``fields`` and six short methods. An
observer needs ``Options`` and ``observe``. Everything else has a default. The engine calls ``open`` before the first use, ``close`` after the last,
and nothing of a connector from two threads at once. A constructor never touches the network.

    class Badges(Source):
        class Options(BaseModel, extra="forbid"):
            path: str = Field(description="the file that the badge system writes")

        def read(self, cursor):
            for line in open(self.options.path):
                number, name = line.split(";")
                yield Entry(anchor=number, attributes={"name": (name,)})
            yield Checkpoint(cursor=None, full=True)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from .errors import ConnectorError, Gone
from .model import Account, Delivery, Event, Item, Outcome

if TYPE_CHECKING:
    from pydantic import BaseModel


class Field(NamedTuple):
    """One field that a platform takes.

    ``attribute`` is the word of the vocabulary that fills it unless the configuration maps another.
    ``required``: an account without it cannot be delivered. ``limit``: characters at most. ``pattern``: a
    regular expression that the whole value must match. ``key``: two accounts never share it there.
    ``many``: takes several texts. ``secret``: never shown, never logged; only such a
    field can be filled from a secret attribute. ``find`` is not told it, nor, where it cannot be opened, is
    ``disable``: what is not among ``changed`` should stay as it is.
    """

    attribute: str
    description: str = ""
    required: bool = False
    limit: int | None = None
    pattern: str | None = None
    key: bool = False
    many: bool = False
    secret: bool = False


class Context:
    """What a connector is given by the engine: its configured name, a log, secrets, a stop signal.

    ``stopping`` is set when the service wants to end: a long wait should be ``stopping.wait(seconds)``.
    ``secret(reference)`` resolves ``credential:``, ``file:``, ``env:`` or a plugin's own kind of
    reference and raises ``ConfigError`` if it cannot. ``confirmed`` is how many accounts the platform has
    confirmed to hold, none of which is to be delivered anew; it is set before every ``open``. A platform
    that then finds nothing at all has lost them: it should raise Denied rather than begin from nothing.
    """

    def __init__(
        self,
        name: str,
        log: Any,
        secret: Callable[[str], str],
        stopping: threading.Event | None = None,
        confirmed: int = 0,
    ) -> None:
        self.name = name
        self.log = log
        self.secret = secret
        self.stopping = stopping if stopping is not None else threading.Event()
        self.confirmed = confirmed


class Connector:
    """What sources, platforms and observers share."""

    Options: ClassVar[type[BaseModel]]
    """A pydantic model, ``extra="forbid"``, every field with a description."""

    def __init__(self, options: Any, context: Context) -> None:
        """Keep options and context; never touches the network or the disk."""
        self.options = options
        self.context = context

    def open(self) -> None:
        """Make ready for use. Raises Unavailable or Denied."""

    def close(self) -> None:
        """Let go of what ``open`` took; harmless when repeated, never raises."""

    def check(self) -> Iterable[str]:
        """Yield what a person should know of this connector, a line each; may use the network.

        Raises ConnectorError when it could not be used as configured.
        """
        return ()


class Source(Connector):
    """Where people come from."""

    synchronizer: ClassVar[Literal["directory", "pbx"]] = "directory"
    """Whose people these are: a directory's (or a file's, a service's), or a PBX node's. An enterprise is
    made of sources of one kind; those of the other can only add to its accounts (``owns = false``)."""

    incremental: bool = False
    """True if ``read`` with a cursor yields only what has changed since; options may decide it."""

    selected: tuple[str, ...] = ()
    """The attributes that the mapping uses, in the spelling of the configuration; see ``select``."""

    def select(self, names: Iterable[str]) -> None:
        """Learn which attributes the mapping uses; called once, before ``open``.

        A source that can asks for these alone, and yields them under the very spelling given here.
        """
        self.selected = tuple(names)

    def read(self, cursor: str | None) -> Iterator[Item]:
        """Yield what there is (or, with ``cursor``, what has changed), then exactly one Checkpoint.

        Lazily: the first entry before the last is read. Raises Unavailable or Denied at any point, and
        CursorExpired if the cursor is not good any more. A read that ends without its Checkpoint is torn:
        nothing of it is used. Never end with ``full=True`` unless every single entry was yielded.
        """
        raise NotImplementedError

    def scope(self) -> str:
        """Return what absence depends on (server, base, filter, identity, anchor attribute) as one text.

        When it changes, the cursor is dropped and nobody is missing in the first read that follows.
        Never holds a secret.
        """
        return ""


class Platform(Connector):
    """Where accounts go to."""

    fields: Mapping[str, Field]
    """What it takes, by field name; an instance may set its own if they depend on the options."""

    kinds: ClassVar[frozenset[str]] = frozenset({"user", "contact"})
    """The kinds of account that it takes."""

    batch: ClassVar[int] = 100
    """How many deliveries ``deliver`` is given at once, at most.

    Accounts that exchange required keys come together, however many they are, so that they can be written as one.
    """

    def add(self, account: Account) -> str:
        """Make the account and return its remote id; what ``find`` finds is taken over, not doubled."""
        raise NotImplementedError

    def update(self, remote_id: str, account: Account, changed: frozenset[str]) -> None:
        """Make the ``changed`` fields equal to the account's. Raises Gone if the id vanished."""
        raise NotImplementedError

    def disable(self, remote_id: str, account: Account) -> None:
        """Take from the account what it can do; must be felt by the real system."""
        raise NotImplementedError

    def enable(self, remote_id: str, account: Account) -> None:
        """Undo ``disable``."""
        raise NotImplementedError

    def delete(self, remote_id: str) -> None:
        """Remove the account; one that is gone already is a success."""
        raise NotImplementedError

    def find(self, account: Account) -> str | None:
        """Return the remote id of this very account (by its key, or by a key field), or None."""
        raise NotImplementedError

    def find_all(self, accounts: Iterable[Account]) -> Iterator[str | Exception | None]:
        """Yield for each account what ``find`` returns or raises; the one override for looking for many at once."""
        for account in accounts:
            try:
                yield self.find(account)
            except Exception as error:  # noqa: BLE001 - what it means is for the engine to say
                yield error

    def list(self) -> Iterator[tuple[str, str]]:
        """Yield (remote id, fingerprint) of every account there, for ``syncd verify``.

        The fingerprint is ``fingerprint(account)`` of what is stored there. Raises Gone, with what to do,
        where all that was ``confirmed`` is lost. Optional: by default nothing is known, and verify says so.
        """
        raise NotImplementedError

    def fingerprint(self, account: Account) -> str:
        """Return the fingerprint that ``list`` yields where the platform equals ``account``."""
        raise NotImplementedError

    def deliver(self, deliveries: Iterable[Delivery]) -> Iterator[Outcome]:
        """Do the deliveries, yielding one Outcome each, in order; never raises for one bad record.

        The one method to override for batching. Raises Unavailable or Denied only when nothing can be
        done at all.
        """
        for delivery in deliveries:
            try:
                yield Outcome(delivery.id, self._one(delivery))
            except ConnectorError as error:
                yield Outcome(delivery.id, delivery.remote_id, error)

    def _one(self, delivery: Delivery) -> str | None:
        account, remote_id = delivery.account, delivery.remote_id
        if delivery.action == "add":
            return self.add(account)
        if remote_id is None:
            raise Gone(f"account {account.key} has no remote id")
        if delivery.action == "delete":
            self.delete(remote_id)
        elif delivery.action == "disable":
            # Before all else, so that no value that is refused keeps somebody enabled.
            self.disable(remote_id, account)
            if delivery.changed:
                self.update(remote_id, account, delivery.changed)
        elif delivery.action == "enable":
            self.enable(remote_id, account)
            if delivery.changed:
                self.update(remote_id, account, delivery.changed)
        elif delivery.action == "update":
            self.update(remote_id, account, delivery.changed)
        else:
            raise ValueError(f"there is no delivery action {delivery.action!r}")
        return remote_id


class Observer(Connector):
    """Who is told what happened, with options of its own: ``[observer.NAME]`` of the configuration."""

    def observe(self, event: Event) -> None:
        """See what happened, after it was committed; return soon, as all observers share one thread.

        Called once at a time, from that thread, as ``open`` and ``close`` are. What has a ``severity`` among
        its fields is a notice for people. Changes nothing; what it raises is reported once, and breaks nothing.
        """
        raise NotImplementedError
