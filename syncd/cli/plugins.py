"""The verb ``plugins``: what is installed, what is in use, and a new one to begin with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from .lazy import LazyGroup
from .options import examples, json_option
from .output import counted, shown, table, write, write_json
from .session import session_of

plugins = LazyGroup(
    "plugins",
    default="list",
    lazy={
        "list": (f"{__name__}:list_", "List the installed plugins, and what each of them offers."),
        "new": (__name__, "Write a plugin to begin with."),
    },
    help="""List the plugins, or begin a new one. Without a command: list.""",
    epilog=examples("syncd plugins", "syncd plugins new acme_hr"),
)


@click.command("list", epilog=examples("syncd plugins list", "syncd plugins list --json"))
@json_option
@click.pass_context
def list_(ctx: click.Context, /, *, as_json: bool) -> None:
    """List the installed plugins, and what each of them offers.

    "loaded" is in use; "installed" is not used, or not listed in the configuration; "unavailable" lacks a
    library; "failed" is told with its cause. The digest in --json is that of the installed files.
    """
    rows = session_of(ctx).whole_plugins().table()
    if as_json:
        write_json({"plugins": [row._asdict() for row in rows]})
        return
    table(
        ("plugin", "distribution", "version", "state", "offers"),
        ((row.name, row.distribution, row.version, row.state, _offers(row.provides)) for row in rows),
        empty="no plugin is installed",
    )
    for row in rows:
        if row.cause:
            write(f"{row.name}: {shown(row.cause)}")


def _offers(provides: tuple[str, ...]) -> str:
    """Name the connectors, and count the rest: --json names them all."""
    kinds = Counter(text.partition(" ")[0] for text in provides)
    named = [text for text in provides if text.partition(" ")[0] not in _COUNTED]
    return ", ".join([*named, *(counted(kinds[kind], kind) for kind in _COUNTED if kinds[kind])])


_COUNTED = ("transform", "rule", "attribute")


@click.command(epilog=examples("syncd plugins new acme_hr", "syncd plugins new acme_hr --folder ~/acme-hr"))
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write it. Default: a new folder of its name.",
)
@json_option
def new(*, name: str, folder: Path | None, as_json: bool) -> None:
    """Write a plugin called NAME to begin with: it works, and its tests pass, before a line is changed."""
    from ..plugins.scaffold import write as write_plugin

    place = folder if folder is not None else Path(name)
    files = write_plugin(name, place)
    if as_json:
        write_json({"files": files})
        return
    for file in files:
        write(str(file))
    write(
        f"next: pip install --editable {place} && pytest {place}; then plugins = [{name!r}] in the configuration"
    )
