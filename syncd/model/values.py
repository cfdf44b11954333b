"""The values that travel along the line. All are read-only once made; none does any work.

``Entry`` to ``Checkpoint`` are what a source yields, ``Account`` is what a platform sees. ``Record`` is
an entry after its mapping. Everything is text: a source's attributes are always many
(``tuple[str, ...]``), an account's are one text, or a tuple where the vocabulary says *many*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Value: TypeAlias = str | tuple[str, ...]
"""What an account says of one attribute: a text, or several where the vocabulary says *many*."""

Values: TypeAlias = Mapping[str, Value]
"""What an account, a record or a layer says: attribute -> value. An absent name has no value."""


class Entry:
    """One person (or contact) as the source has them, whole over the selected attributes.

    ``anchor`` is the immutable id (objectGUID, entryUUID, Graph id), never a name that can change.
    ``attributes`` maps each attribute to all its values as text; an attribute without values may be
    absent or an empty tuple. Names in ``unknown`` were not told by the source and so are not "empty":
    what is stored of them stays. ``enabled`` is False where the source itself has disabled the person.
    ``fingerprint`` is any digest that differs whenever the entry differs (at most 32 bytes); without
    one the engine makes its own, at the price of decoding every entry at every read. Make it of nothing but what
    is selected: it is stored, and what else the source has of the person could be guessed by it.

    A subclass may leave ``anchor`` and ``attributes`` unset and decode them in ``__getattr__``:
    an entry whose fingerprint is known is never asked for either.
    """

    __slots__ = ("anchor", "attributes", "enabled", "fingerprint", "unknown")

    anchor: str
    attributes: Mapping[str, tuple[str, ...]]
    enabled: bool
    fingerprint: bytes | None
    unknown: frozenset[str]

    def __init__(
        self,
        anchor: str,
        attributes: Mapping[str, tuple[str, ...]],
        enabled: bool = True,  # noqa: FBT001, FBT002 - the contract's own signature
        fingerprint: bytes | None = None,
        unknown: frozenset[str] = frozenset(),
    ) -> None:
        self.anchor = anchor
        self.attributes = attributes
        self.enabled = enabled
        self.fingerprint = fingerprint
        self.unknown = unknown

    def __repr__(self) -> str:
        return f"Entry({self.anchor!r})"


@dataclass(frozen=True, slots=True)
class Present:
    """The entry is still there and has not changed since the cursor."""

    anchor: str


@dataclass(frozen=True, slots=True)
class Removed:
    """Proof from the source that the entry is gone: a tombstone, not an absence."""

    anchor: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry could not be read; ``anchor`` is None if not even that is known.

    A problem never removes anybody: an anchor named here counts as seen, and one without an anchor
    takes from the whole read the right to conclude anything from absence.
    """

    anchor: str | None
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The read is complete; the last item of every read, exactly once.

    ``cursor`` is handed to the next ``read`` (None: the source reads in full every time). ``full`` says
    that every entry there is was yielded as ``Entry``, ``Present`` or ``Problem``, so that absence means
    something.
    """

    cursor: str | None
    full: bool


Item: TypeAlias = Entry | Present | Removed | Problem | Checkpoint
"""What ``Source.read`` yields."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account as one platform sees it: a key that never changes, and its own fields.

    ``kind`` is ``user`` or ``contact`` (no licence, no login, no secrets, read-only).
    """

    key: str
    kind: str
    enabled: bool
    fields: Values


class Fault(NamedTuple):
    """Why a record cannot simply be applied.

    ``held`` is the state that its operation gets: ``failed`` (only a person can mend it) or
    ``detained`` (a person has to agree to it). A ``warning`` is told with the operation, and holds nothing.
    """

    code: str
    attribute: str | None
    message: str
    held: str = "failed"


class Hidden(str):
    """The text that speaks of a secret which a source has just said, and its value beside it: ``plain``.

    To everything that compares, stores or prints it, it is the text.
    """

    __slots__ = ("plain",)

    plain: str


class Record(NamedTuple):
    """An entry after its mapping: what one source says of one account, in the account's own words."""

    anchor: str
    values: dict[str, Value]
    enabled: bool
    fingerprint: bytes | None
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    """What was mended on the way: a person should know of it, and nothing waits for that."""
    unknown: frozenset[str] = frozenset()
    """Account attributes of which the source said nothing this time: what is stored of them stays."""
    secrets: tuple[Hidden, ...] = ()
    """Those of its values that are secret."""


class Objection(NamedTuple):
    """Why a guard (or a plugin's ``review_plan``) does not let a plan go on.

    ``scope`` is ``run`` (everything is held), ``removals`` (only those operations are detained) or
    ``operation:<id>``. ``code`` is what an approval names to override it; a guard's own that is about a
    platform ends in ``:<platform>``, and its removals are whatever lets somebody vanish from there. A guard
    may say ``licences`` as well: what needs a licence of the feature that its code ends in is detained.
    """

    code: str
    scope: str
    message: str
    by: str = "syncd"


class Event(NamedTuple):
    """Something that happened, told to ``observe`` after it was committed."""

    name: str
    at: str
    fields: Mapping[str, object]


class Delivery(NamedTuple):
    """What one platform has to do for one account.

    ``action`` is ``add``, ``update``, ``disable``, ``enable`` or ``delete``; ``changed`` names the fields
    that differ from what the platform confirmed last; ``revision`` is the operation that asked for it.
    """

    id: int
    action: str
    revision: int
    remote_id: str | None
    account: Account
    changed: frozenset[str] = frozenset()


class Outcome(NamedTuple):
    """What became of a delivery: ``error`` is None if the platform confirmed it."""

    id: int
    remote_id: str | None = None
    error: Exception | None = None
