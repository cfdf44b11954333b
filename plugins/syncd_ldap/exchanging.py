"""Entries that are to have each other's names: each waits for a name that the next one gives up, and all for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from syncd import ConnectorError, Delivery, Outcome

from .conversation import Conversation
from .writing import Taken, Writing

Waiting = tuple[Delivery, Taken]
"""A delivery, and whose name it could not have."""


def exchanged(conversation: Conversation, writing: Writing, waiting: Sequence[Waiting]) -> Iterator[Outcome]:
    """Yield what becomes of those whose names were taken; in a circle the first is put aside, so that all can move."""
    by_id = {delivery.remote_id or "": delivery for delivery, _ in waiting}
    circles = list(_circles({delivery.remote_id or "": taken.holder or "" for delivery, taken in waiting}))
    moving = {one for circle in circles for one in circle}
    for first, *others in circles:
        try:
            conversation.one(writing.put_aside(first))
        except ConnectorError as error:
            yield from (Outcome(by_id[one].id, one, error) for one in (first, *others))
            continue
        for one in (*others, first):
            yield _outcome(conversation, writing, by_id[one])
    for delivery, _ in waiting:
        if delivery.remote_id not in moving:
            # Whoever had the name may have given it up meanwhile.
            yield _outcome(conversation, writing, delivery)


def _outcome(conversation: Conversation, writing: Writing, delivery: Delivery) -> Outcome:
    try:
        return Outcome(delivery.id, conversation.one(writing.deliver(delivery)))
    except ConnectorError as error:
        return Outcome(delivery.id, delivery.remote_id, error)


def _circles(holders: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield each circle once; after its first, everybody wants the name of the one before."""
    left = dict(holders)
    while left:
        path = [next(iter(left))]
        while (holder := left.pop(path[-1], None)) is not None and holder not in path:
            path.append(holder)
        if holder is not None:
            yield [path[-1], *reversed(path[path.index(holder) : -1])]
