"""The loop of one call: the main thread owns the database, and one worker per platform calls it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from ..store.database import Database
from .call import Call
from .claims import Place, giving_way
from .lanes import Lane, LaneReport
from .turns import Turn
from .worker import Message

_TICK = 0.2
_PATIENCE = timedelta(seconds=60)

DRAIN = 25.0
"""Seconds that a platform gets to finish what it is doing, when nothing new may begin."""


def distribute(
    database: Database,
    lanes: Iterable[Lane],
    *,
    apart: Iterable[Lane] = (),
    clock: Callable[[], datetime],
    log: Any,
    stopping: Callable[[], bool],
    beat: Callable[[int], None] | None = None,
    wait: bool = False,
    deadline: datetime | None = None,
) -> dict[str, LaneReport]:
    """Bring every platform to what is wanted, as far as it goes now; return a report by its name.

    Every due row is tried once, unless its platform has to be left alone. ``apart`` are platforms that are
    configured and get nothing now; what others get may have to wait for them. ``beat`` is called several
    times a second with the number of accounts confirmed so far. Nothing new begins after ``deadline``, or
    once ``stopping`` says so; a platform that does not come back ``DRAIN`` seconds later is given up, and
    its rows are looked up next time. ``wait`` sits out pauses and waits that end before the deadline (by
    default a minute from now). Raises StoreError when the database cannot be written: then nothing more
    is asked of any platform.
    """
    lanes = tuple(lanes)
    over = threading.Event()
    until = deadline or clock() + _PATIENCE

    def halted() -> str:
        if over.is_set() or stopping():
            return "stopping"
        return "deadline" if deadline is not None and clock() >= deadline else ""

    turns: dict[str, Turn] = {}

    def tell() -> None:
        if beat is not None:
            beat(sum(turn.report.confirmed for turn in turns.values()))

    def settled(place: Place) -> None:
        for turn in turns.values():
            turn.heard(place)

    call = Call(
        database=database,
        configured=(*lanes, *apart),
        settled=settled,
        clock=clock,
        log=log,
        beat=tell,
        halted=halted,
        until=until if wait else None,
    )
    turns.update((lane.name, Turn(call, lane)) for lane in lanes)
    try:
        _run(call, turns)
    finally:
        over.set()
        for turn in turns.values():
            turn.close(5.0)
    return {name: turn.report for name, turn in turns.items()}


def _run(call: Call, turns: dict[str, Turn]) -> None:
    halted_since: float | None = None
    while active := [turn for turn in turns.values() if not turn.finished]:
        now = call.clock()
        for turn in active:
            turn.go_on(now)
        if all(turn.lingering or turn.finished for turn in active):
            _go_on([turn for turn in active if not turn.finished])
            continue
        for name, messages in _heard(call.results).items():
            turns[name].take(messages, call.clock())
        call.beat()
        why = call.halted()
        halted_since = (halted_since or time.monotonic()) if why else None
        if halted_since is not None and time.monotonic() - halted_since > DRAIN:
            for turn in active:
                if turn.busy:
                    turn.finish(why)


def _go_on(turns: Sequence[Turn]) -> None:
    """Let those go first without whom nobody could, where all that is left waits for other platforms; else give up."""
    waits = {place: others for turn in turns for place, others in turn.choice.waiting().items()}
    awaiting = {place: action for turn in turns for place, action in turn.choice.awaiting.items()}
    first = giving_way(waits, awaiting)
    if first and any([turn.reach() for turn in turns]):  # noqa: C419 - each of them
        return
    for turn in turns:
        if first:
            turn.give_way(first)
        else:
            turn.give_up()


def _heard(results: queue.Queue[tuple[str, Message]]) -> dict[str, list[Message]]:
    """Return what the workers told since, by platform; waits a moment for the first word."""
    heard: dict[str, list[Message]] = {}
    try:
        name, message = results.get(timeout=_TICK)
        heard[name] = [message]
        for _ in range(1000):
            name, message = results.get_nowait()
            heard.setdefault(name, []).append(message)
    except queue.Empty:
        pass
    return heard
