"""The values between the stages of the line: what is known of an account, and what is to become of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .roles import Numbers, Role
from .values import Fault, Hidden, Record, Value


class Layer(NamedTuple):
    """What another link says of the same account; a lower ``precedence`` beats a higher one.

    ``gone``: since when its entry is gone (a time as it is stored), None while it is there.
    """

    precedence: int
    record: dict[str, Value]
    owner: bool
    gone: str | None
    enabled: bool


class Standing(NamedTuple):
    """An account as it is stored, seen from one connection.

    ``link``, ``anchor``, ``record``, ``owner``, ``enabled`` and ``leaving`` are this connection's own
    link, if the account has one; ``leaving`` is since when its entry is gone, None while it is there.
    """

    account: int
    kind: str
    attributes: dict[str, Value]
    disabled_by: str | None
    deleted: bool
    template: dict[str, Value]
    local: dict[str, Value]
    link: int | None
    anchor: str | None
    record: dict[str, Value]
    owner: bool
    enabled: bool
    leaving: str | None
    fingerprint: bytes | None
    revision: int
    others: tuple[Layer, ...] = ()


class Candidates(NamedTuple):
    """What the store knows of one record: its linked account, and accounts that share a match key.

    Of a record whose link does not own its account, ``matches`` are by the keys that it has not said before.
    Where such an account is deleted and others match by now, the record counts as not ``linked``, and ``left``
    is the link that it leaves for them.
    """

    linked: Standing | None
    matches: tuple[tuple[str, Standing], ...] = ()
    left: int | None = None


class Correlated(NamedTuple):
    """A record and the account that it belongs to.

    ``verdict``: ``linked``, ``adoptable`` (found by a key, not linked by this connection), ``relink``
    (found by a key, linked under another anchor), ``new``, or ``ambiguous`` (``rivals`` says between what;
    ``standing`` is that of the first key). A ``linked`` one has rivals where its keys are another account's.
    """

    record: Record
    verdict: str
    standing: Standing | None
    rivals: tuple[str, ...] = ()


class Completed(NamedTuple):
    """A record that is ready to be judged.

    ``layer`` is what this link will say from now on, ``values`` what the account will say when all
    layers are folded, ``template`` the layer below them all.
    """

    record: Record
    verdict: str
    standing: Standing | None
    layer: dict[str, Value]
    values: dict[str, Value]
    template: dict[str, Value]
    faults: tuple[Fault, ...]
    role: Role | None = None


class Operation(NamedTuple):
    """One change of one account, as it is stored.

    ``before`` and ``after`` hold only what it touches (None: no value); ``disabled_by`` and ``deleted``
    stand there beside the attributes. ``record`` is what the link (or the person) will say from now on,
    ``replaced`` the patch that leads back to what it said. ``link_action``: ``make``, ``keep``, ``move``
    (to this anchor), ``end``, ``restore`` (undo), ``drop`` or ``local`` (a person's layer). Of a ``drop``, and of
    the ``make`` that undoes it, ``replaced`` names what a person says in the link's place. ``gone_at``: since
    when the link's entry was gone, or is to be again where a ``make`` or an ``end`` undoes something.
    ``secrets`` are those that the source has just said, to be sealed where ``record`` speaks of them.
    """

    anchor: str | None
    kind: str
    account: int | None
    link: int | None
    link_action: str
    record: str | None
    replaced: str | None
    before: str
    after: str
    template: str | None
    enabled: bool
    owner: bool
    fingerprint: bytes | None
    state: str
    reasons: str | None
    digest: bytes
    gains: list[tuple[str, str]]
    frees: list[tuple[str, str]]
    account_kind: str
    allocate: Mapping[str, Numbers]
    seen: int | None = None
    gone_at: str | None = None
    secrets: tuple[Hidden, ...] = ()


class Untouched(NamedTuple):
    """An entry that changed without changing its account: only its fingerprint is new, and its warnings."""

    link: int
    fingerprint: bytes | None
    warnings: tuple[Fault, ...] = ()


class Refused(NamedTuple):
    """A record that would ask for an operation which the connection's ``operations`` do not include.

    ``kind`` is ``unmatched`` where no account has its keys and the connection only adds to accounts.
    """

    anchor: str
    kind: str
    warnings: tuple[Fault, ...] = ()


def fold_layers(
    template: Mapping[str, Value], layers: Iterable[Layer], local: Mapping[str, Value]
) -> dict[str, Value]:
    """Return what an account says: its template, then its links from last to first, then a person's word."""
    values = dict(template)
    for layer in sorted(speaking(layers), key=lambda one: -one.precedence):
        values.update(layer.record)
    values.update(local)
    return {name: value for name, value in values.items() if value not in ("", ())}


def speaking(layers: Iterable[Layer]) -> list[Layer]:
    """Return the layers that count: those whose entry is there.

    Where every owner is gone, also those whose entry was there until the last of them went: a leaver keeps
    what was said of them.
    """
    every = list(layers)
    owners = [layer.gone for layer in every if layer.owner]
    left = [gone for gone in owners if gone is not None]
    last = max(left) if left and len(left) == len(owners) else None
    return [layer for layer in every if layer.gone is None or (last is not None and layer.gone >= last)]
