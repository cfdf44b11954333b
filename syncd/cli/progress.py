"""A live line on the terminal while something is read, applied or delivered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..pipeline.installation import Installation
    from ..pipeline.line import Beat

_WORDS = {"read": "reading", "apply": "applying", "deliver": "delivering"}


@contextmanager
def progress(here: Installation, about: str, *, quiet: bool = False) -> Iterator[Beat | None]:
    """Yield what is to be told of progress; None unless a person watches the standard error stream."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield _beat(shown, here, about)


def _beat(shown: Any, here: Installation, about: str) -> Beat:
    tasks: dict[str, Any] = {}
    totals: dict[str, int | None] = {}

    def beat(stage: str, count: int) -> None:
        if stage not in tasks:
            for task in tasks.values():
                shown.update(task, visible=False)
            totals[stage] = _TOTALS.get(stage, _unknown)(here, count)
            about_it = f"{_WORDS.get(stage, stage)} {about}"
            tasks[stage] = shown.add_task(about_it, total=totals[stage], told="")
        speed = shown.tasks[shown.task_ids.index(tasks[stage])].speed
        shown.update(tasks[stage], completed=count, told=_told(count, totals[stage], speed))

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
