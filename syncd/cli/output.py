"""How results are shown: aligned text, tables on a terminal, one JSON document for machines.

Results go to the standard output, what is said to people to the standard error stream; those of a command
that the service carries out for somebody go to the ``Screen`` of that call. rich is imported for a terminal
alone. What comes from a directory is never taken for markup or for a terminal's commands.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import datetime, timedelta, tzinfo
from itertools import chain, islice
from typing import Any, NamedTuple, TextIO

import click

from ..logs import redact

_FIRST_ROWS = 1000
_AT_ONCE = 100
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
_WRAPPED = frozenset({"who", "name", "email", "reason", "message", "why", "offers", "entry"})
"""Columns that a narrow terminal breaks into lines; the others stay whole."""
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Screen(NamedTuple):
    """What one who is not at this process's own terminal has in front of them.

    ``ask`` puts a question, with the arguments that are meant by yes, and ends the command; ``agreed``: that
    has been done. ``watch`` takes (about, stage, count, total) of what goes on, also beside a JSON document
    if ``document``.
    """

    out: TextIO
    err: TextIO
    columns: int
    colour: bool
    ask: Callable[[str, Sequence[str]], None]
    agreed: bool
    watch: Callable[[str, str, int, int | None], None] | None
    document: bool


SCREEN: ContextVar[Screen | None] = ContextVar("screen", default=None)
"""The screen of the command that runs in this thread; None: the terminal of the process."""


def say(text: str) -> None:
    """Tell a person something that is not the result.

    Where this process cannot write it, what it does goes on: it has nobody else to tell.
    """
    screen = SCREEN.get()
    if screen is not None:
        click.echo(redact(text), file=screen.err)
        return
    with suppress(OSError):
        click.echo(redact(text), err=True)


def write(text: str = "") -> None:
    """Write a line of the result."""
    screen = SCREEN.get()
    if screen is None:
        click.echo(text)
    else:
        click.echo(text, file=screen.out, color=None if screen.colour else False)


def write_json(document: Any) -> None:
    """Write the result as one JSON document, in ASCII, so that no locale can spoil it."""
    write(json.dumps(document, indent=2, default=_plain))


def write_json_list(name: str, rows: Iterable[Any]) -> None:
    """Write a document that is one list as ``write_json`` does; however long it is, a few rows are held."""
    texts = (json.dumps(row, indent=2, default=_plain).replace("\n", "\n    ") for row in rows)
    text = next(texts, None)
    if text is None:
        write_json({name: []})
        return
    write(f'{{\n  "{name}": [')
    lines: list[str] = []
    while text is not None:
        after = next(texts, None)
        lines.append(f"    {text}{',' if after is not None else ''}")
        if len(lines) == _AT_ONCE or after is None:
            write("\n".join(lines))
            lines.clear()
        text = after
    write("  ]\n}")


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def shown(value: Any) -> str:
    """Return a value as one line for a person; what could move the cursor or hide text is escaped."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value)) or "-"
    return re.sub(_CONTROL, lambda found: _escaped(found[0]), str(value))


def _escaped(character: str) -> str:
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def on_terminal() -> bool:
    """Say whether the result goes to a person's terminal."""
    screen = SCREEN.get()
    return (screen.out if screen else sys.stdout).isatty()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Write rows under their columns; ``empty`` is said to the person if there are none.

    However many rows there are, they are written as they come: the widths are those of the first thousand.
    """
    stream = iter(rows)
    first = [[shown(value) for value in row] for row in islice(stream, _FIRST_ROWS)]
    if not first:
        say(empty)
        return
    more = next(stream, None)
    if more is None and on_terminal():
        _rich_table(columns, first)
        return
    rest = () if more is None else chain([more], stream)
    texts = chain([[name.upper() for name in columns]], first, ([shown(v) for v in row] for row in rest))
    widths = [max(map(len, column)) for column in zip(columns, *first, strict=True)]
    for line in _aligned(texts, widths):
        write(line)


def _aligned(rows: Iterable[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _rich_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        made.add_column(name, overflow="fold", no_wrap=name not in _WRAPPED)
    for row in rows:
        made.add_row(*(Text(text) for text in row))
    screen = SCREEN.get()
    if screen is None:
        console = Console(highlight=False)
    else:
        console = Console(
            file=screen.out, width=screen.columns, height=25, force_terminal=True, color_system="standard",
            no_color=not screen.colour, highlight=False, legacy_windows=False,
        )  # fmt: skip
    console.print(made)


def pairs(rows: Iterable[tuple[str, Any]], indent: int = 0) -> None:
    """Write names and values, the values below each other."""
    kept = [(name, shown(value)) for name, value in rows]
    width = max((len(name) for name, _ in kept), default=0)
    for name, text in kept:
        write(f"{' ' * indent}{name.ljust(width)}  {text}")


def heading(text: str) -> None:
    """Write the title of what follows."""
    write(click.style(text, bold=True))


def when(stamp: str | None, zone: tzinfo) -> str:
    """Return a stored time (UTC, ISO 8601) as people in ``zone`` write it, to the minute."""
    if stamp is None:
        return "-"
    return datetime.fromisoformat(stamp).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def age(stamp: str | None, now: datetime) -> str:
    """Return how long ago a stored time is."""
    return "-" if stamp is None else age_text((now - datetime.fromisoformat(stamp)) / timedelta(seconds=1))


def age_text(duration: float) -> str:
    """Return seconds as people say them: ``3d 4h``, ``2h 5m``, ``12m``, ``40s``."""
    seconds = max(0, int(duration))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m" if minutes else f"{seconds}s"


def counted(number: int, one: str, many: str = "") -> str:
    """Return ``1 entry`` or ``3 entries``."""
    return f"{number} {one if number == 1 else many or one + 's'}"
