"""Entries that are to have each other's names, or keys: each waits for a name that the next one gives up, and all for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from syncd import ConnectorError, Delivery, Outcome

from .conversation import Conversation
from .writing import Taken, Writing

Waiting = tuple[Delivery, Taken]
"""A delivery, and whose name it could not have."""


def exchanged(
    conversation: Conversation, writing: Writing, waiting: Sequence[Waiting], more: int = 1
) -> Iterator[Outcome]:
    """Yield what becomes of those whose names were taken; in a circle the first is put aside, so that all can move.

    Whoever has a name then, and not the key, is tried ``more`` times.
    """
    wishes = {delivery.remote_id or "": (delivery, taken) for delivery, taken in waiting}
    circles = list(_circles({one: taken.holder or "" for one, (_, taken) in wishes.items()}))
    for first, second, *_ in circles:
        # If that fails, each of them tells why it could not be done.
        with suppress(ConnectorError):
            conversation.one(writing.put_aside(first, wishes[second][1].key))
    moving = [one for first, *others in circles for one in (*others, first)]
    # Whoever had the name of one of the rest may have given it up by then.
    order = dict.fromkeys([*moving, *wishes])
    again: list[Waiting] = []
    for delivery, _ in (wishes[one] for one in order):
        outcome = _outcome(conversation, writing, delivery)
        if more and isinstance(outcome.error, Taken) and outcome.error.holder:
            again.append((delivery, outcome.error))
        else:
            yield outcome
    if again:
        yield from exchanged(conversation, writing, again, more - 1)


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
