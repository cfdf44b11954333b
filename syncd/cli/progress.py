"""A live line on the terminal while something is read, applied or delivered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .output import SCREEN, age_text, say

if TYPE_CHECKING:
    from ..pipeline.installation import Installation
    from ..pipeline.line import Beat

_WORDS = {"read": "reading", "apply": "applying", "deliver": "delivering"}

Show = Callable[[str, str, int, int | None], None]
"""Takes what a stage is about, its name, how far it is, and of how much, where that is known."""


@contextmanager
def progress(here: Installation, about: str, *, quiet: bool = False) -> Iterator[Beat | None]:
    """Yield what is to be told of progress; None unless a person watches the standard error stream."""
    screen = SCREEN.get()
    if screen is not None:
        watched = screen.watch if screen.document or not quiet else None
        yield None if watched is None else _beat(watched, here, about)
    elif quiet or not sys.stderr.isatty():
        yield None
    else:
        with live() as show:
            yield _beat(show, here, about)


def waits(what: str, seconds: float | None) -> None:
    """Tell whoever watches what their verb waits for in the service, and for how long that has been going on."""
    screen = SCREEN.get()
    if screen is None or screen.watch is None:
        return
    if screen.document:
        screen.watch(what, "wait", int(seconds or 0), None)
    else:
        say(f"waits for {what}" + ("" if seconds is None else f", begun {age_text(seconds)} ago"))


@contextmanager
def live() -> Iterator[Show]:
    """Have a live line at the foot of the terminal, and yield what changes it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield _shower(shown)


def _shower(shown: Any) -> Show:
    tasks: dict[tuple[str, str], Any] = {}

    def show(about: str, stage: str, count: int, total: int | None) -> None:
        if (about, stage) not in tasks:
            for task in tasks.values():
                shown.update(task, visible=False)
            about_it = f"{_WORDS.get(stage, stage)} {about}"
            tasks[about, stage] = shown.add_task(about_it, total=total, told="")
        task = tasks[about, stage]
        speed = shown.tasks[shown.task_ids.index(task)].speed
        shown.update(task, completed=count, told=_told(count, total, speed))

    return show


def _beat(show: Show, here: Installation, about: str) -> Beat:
    totals: dict[str, int | None] = {}

    def beat(stage: str, count: int) -> None:
        if stage not in totals:
            totals[stage] = _TOTALS.get(stage, _unknown)(here, count)
        show(about, stage, count, totals[stage])

    return beat


def _told(count: int, total: int | None, speed: float | None) -> str:
    reached = f"{count}" if total is None else f"{count} of {total}"
    return f"{reached}, {speed:.0f}/s" if speed else reached


def _unknown(here: Installation, count: int) -> int | None:
    del here, count
    return None


def _to_apply(here: Installation, count: int) -> int:
    row = here.database.conn.execute(
        "SELECT COUNT(*) FROM operations o JOIN runs r ON r.id = o.run"
        " WHERE r.state = 'applying' AND o.state = 'planned'"
    ).fetchone()
    return count + int(row[0])


def _to_deliver(here: Installation, count: int) -> int:
    row = here.database.conn.execute("SELECT COUNT(*) FROM remotes WHERE state <> 'done'").fetchone()
    return count + int(row[0])


_TOTALS: dict[str, Callable[[Installation, int], int | None]] = {"apply": _to_apply, "deliver": _to_deliver}
