"""How a batch of deliveries is done: together, as long as nothing speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeAlias

from syncd import Account, Blocked, ConnectorError, Delivery, Gone, Outcome, Unavailable

if TYPE_CHECKING:
    from .rows import Rows

Names: TypeAlias = set[str]
_ENABLED: dict[str, bool | None] = {"update": None, "disable": False, "enable": True}


class Node(Protocol):
    """One kind of node: what its rows mean, within one transaction; what it changes is written by ``rows.flush``."""

    rows: Rows

    def prepare(self, deliveries: Sequence[Delivery]) -> None:
        """Read for all what will be needed of each."""

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

    def gives(self, delivery: Delivery) -> Names:
        """Return the numbers that an update makes free."""

    def takes(self, delivery: Delivery) -> Names:
        """Return the numbers that an update needs."""

    def park(self, delivery: Delivery, name: str) -> str:
        """Make free what an update gives up, under a name that nobody else has; return the remote id until then."""


Saved: TypeAlias = Callable[[], AbstractContextManager[Node]]
"""Begins a savepoint with a node that knows nothing yet; at its end, what the node changed is written."""


def outcomes_of(saved: Saved, batch: Sequence[Delivery]) -> Iterator[Outcome]:
    """Do the deliveries, those together that give numbers to each other. Raises Unavailable if all is lost."""
    groups = _groups(saved, [one for one in batch if one.remote_id is not None and one.changed])
    grouped = {one.id for group in groups for one in group}
    outcomes = _each(saved, [one for one in batch if one.id not in grouped])
    for group in groups:
        outcomes += _exchanged(saved, group)
    by_id = {outcome.id: outcome for outcome in outcomes}
    return (by_id[delivery.id] for delivery in batch)


def _groups(saved: Saved, updates: Sequence[Delivery]) -> list[list[Delivery]]:
    if not updates:
        return []
    with saved() as node:
        takes = {number: taken for number, one in enumerate(updates) if (taken := node.takes(one))}
        node.prepare([updates[number] for number in takes])
        gives = {number: node.gives(updates[number]) for number in takes}
        return [[updates[number] for number in group] for group in exchanges(gives, takes)]


def exchanges(gives: dict[int, Names], takes: dict[int, Names]) -> Iterator[list[int]]:
    """Yield those that have to be changed together, as one takes what another one gives up.

    Each comes once, in its order; who has to do with nobody else is not named.
    """
    giver = {name: one for one, names in gives.items() for name in names}
    near: dict[int, set[int]] = {one: set() for one in takes}
    for one, names in takes.items():
        for other in {giver[name] for name in names & giver.keys()} - {one}:
            near[one].add(other)
            near[other].add(one)
    seen: set[int] = set()
    for start in takes:
        group, left = set[int](), {start} - seen
        while left:
            group |= left
            left = set().union(*(near[one] for one in left)) - group
        seen |= group
        if len(group) > 1:
            yield sorted(group)


def _each(saved: Saved, batch: Sequence[Delivery]) -> list[Outcome]:
    """Do many, and write them together; where the database refuses that, halve them until it is known whose it is."""
    try:
        with saved() as node:
            node.prepare(batch)
            return [_outcome(node, delivery) for delivery in batch]
    except Unavailable:
        raise  # the transaction is lost, and all that was in it
    except ConnectorError as error:
        if len(batch) <= 1:
            _cut_off(saved, batch)
            return [Outcome(one.id, one.remote_id, error) for one in batch]
        middle = len(batch) // 2
        return _each(saved, batch[:middle]) + _each(saved, batch[middle:])


def _outcome(node: Node, delivery: Delivery) -> Outcome:
    before = node.rows.mark()
    try:
        return Outcome(delivery.id, _done(node, delivery, delivery.remote_id))
    except Unavailable:
        raise
    except ConnectorError as error:
        node.rows.undo(before)
        if bare := _bare(delivery):
            _outcome(node, bare)
        return Outcome(delivery.id, delivery.remote_id, error)


def _bare(delivery: Delivery) -> Delivery | None:
    """Return what cuts a leaver off and changes nothing else; None for all others."""
    leaves = delivery.action == "disable" and delivery.changed
    return delivery._replace(changed=frozenset()) if leaves else None


def _cut_off(saved: Saved, batch: Sequence[Delivery]) -> None:
    """Cut off the leavers of whom not all could be done, which their outcomes tell."""
    if leavers := [bare for one in batch if (bare := _bare(one))]:
        _each(saved, leavers)


def _exchanged(saved: Saved, group: Sequence[Delivery]) -> list[Outcome]:
    """Let all make room, then give each its number; all of it or nothing."""
    one = group[0]
    try:
        with saved() as node:
            node.prepare(group)
            parked: list[str] = []
            for number, one in enumerate(group):
                parked.append(node.park(one, f"~{number}"))
            node.rows.flush()
            outcomes: list[Outcome] = []
            for one, remote_id in zip(group, parked, strict=True):
                outcomes.append(Outcome(one.id, _done(node, one, remote_id)))
            return outcomes
    except Unavailable:
        raise
    except ConnectorError as error:
        text = f"it exchanges numbers with {one.remote_id}, where that cannot be done: {error}"
        blocked = Blocked(text, error.references if isinstance(error, Blocked) else ())
        _cut_off(saved, group)
        return [Outcome(each.id, each.remote_id, error if each is one else blocked) for each in group]


def _done(node: Node, delivery: Delivery, remote_id: str | None) -> str | None:
    """Do one delivery to the account that is ``remote_id`` now; return its remote id."""
    if delivery.action == "add":
        return node.add(delivery.account)
    if remote_id is None:
        raise Gone(f"account {delivery.account.key} has no remote id")
    if delivery.action == "delete":
        node.delete(remote_id)
        return remote_id
    return node.change(remote_id, delivery.account, delivery.changed, enabled=_ENABLED[delivery.action])
