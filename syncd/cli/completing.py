"""Names and numbers for the shell's tab completion: from the files and the database, never the network.

Whatever goes wrong here completes nothing, and says nothing.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..config.document import Document

_MOST_RUNS = 50


def source_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a configured source."""
    return _tables(ctx, parameter, "source", incomplete)


def frozen_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a source that is not configured any more, and not retired yet."""
    del parameter
    with suppress(Exception):  # a completion that raises would be printed into the person's command line
        known = _column(ctx, "SELECT name FROM connections WHERE retired_at IS NULL ORDER BY name")
        configured = _document(ctx).tables("source")
        return [name for name in known if name.startswith(incomplete) and name not in configured]
    return []


def platform_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a configured platform."""
    return _tables(ctx, parameter, "platform", incomplete)


def enterprise_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a configured enterprise."""
    return _tables(ctx, parameter, "enterprise", incomplete)


def preset_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a preset."""
    del ctx, parameter
    from ..config.presets import PRESETS

    return [name for name in PRESETS if name.startswith(incomplete)]


def run_numbers(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the number of a run, the newest first."""
    del parameter
    with suppress(Exception):  # as above
        numbers = _column(ctx, f"SELECT id FROM runs ORDER BY id DESC LIMIT {_MOST_RUNS}")
        return [number for number in numbers if number.startswith(incomplete)]
    return []


def _tables(ctx: click.Context, parameter: click.Parameter, key: str, incomplete: str) -> list[str]:
    taken = ctx.params.get(parameter.name or "") or ()
    with suppress(Exception):  # as above
        names = sorted(_document(ctx).tables(key))
        return [name for name in names if name.startswith(incomplete) and name not in taken]
    return []


def _document(ctx: click.Context) -> Document:
    from ..config.files import read

    files: Any = ctx.find_root().params.get("files")
    return read(files or None, os.environ)


def _column(ctx: click.Context, query: str) -> list[str]:
    from ..places import DATABASE, state_directory_of
    from ..store.database import open_reading

    told = ctx.find_root().params.get("state_directory") or _document(ctx).tree.get("state_directory")
    folder = state_directory_of(told or None, os.environ)
    with closing(open_reading(folder / DATABASE)) as database:
        return [str(value) for (value,) in database.conn.execute(query)]
