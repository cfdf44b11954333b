"""The verb ``init``: a first configuration that can be read, and changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import SyncdError
from .options import examples, json_option
from .output import say, write, write_json

if TYPE_CHECKING:
    from .starter import Choice

_DEFAULT_FOLDER = Path("/etc/syncd")
_DEFAULT_STATE = Path("/var/lib/syncd")


@click.command(
    epilog=examples(
        "syncd init                                                     /etc/syncd, for a directory",
        "syncd init ./try --ldif people.ldif                            in a folder of your own",
        "syncd init ./try --csv people.csv --anchor number",
        "syncd init --ldap ldaps://dc1.example.org --base DC=example,DC=org",
    )
)
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--ldap", metavar="URL", help="Begin with this directory server.")
@click.option("--base", metavar="DN", help="With --ldap: where the people are.")
@click.option("--ldif", type=click.Path(path_type=Path, dir_okay=False), help="Begin with this LDIF file.")
@click.option("--csv", type=click.Path(path_type=Path, dir_okay=False), help="Begin with this CSV file.")
@click.option("--anchor", metavar="NAME", help="With a file: the column or attribute that never changes.")
@click.option("--enterprise", metavar="NAME", default="main", show_default=True, help="What yours is called.")
@json_option
@click.pass_context
def init(
    ctx: click.Context,
    /,
    *,
    folder: Path | None,
    ldap: str | None,
    base: str | None,
    ldif: Path | None,
    csv: Path | None,
    anchor: str | None,
    enterprise: str,
    as_json: bool,
) -> None:
    """Write a commented configuration into FOLDER (/etc/syncd), and make the state directory.

    Nothing that exists is overwritten. One source, read from a directory or a file, and one platform, a
    CSV file beside the database, so that something can be seen at once.
    """
    from .starter import Choice, text_of

    if sum(one is not None for one in (ldap, ldif, csv)) > 1:
        raise SyncdError("--ldap, --ldif and --csv exclude each other")
    place = _folder(ctx, folder)
    state = _DEFAULT_STATE if place == _DEFAULT_FOLDER else place / "state"
    file = ldif or csv
    choice = Choice(
        kind="ldif" if ldif else "csv" if csv else "ldap",
        file=None if file is None else file.absolute(),
        url=ldap,
        base=base,
        anchor=anchor,
        enterprise=enterprise,
        state=state,
    )
    _report(_written(place / "syncd.toml", text_of(choice), state), state, choice, as_json=as_json)


def _folder(ctx: click.Context, folder: Path | None) -> Path:
    """Return where the configuration goes: as told, else where ``--config`` would look for it."""
    if folder is not None:
        return folder.absolute()
    files = ctx.find_root().params.get("files")
    told = files[0] if files else os.environ.get("SYNCD_CONFIG")
    if told and Path(told).name != "syncd.toml":
        raise SyncdError(
            f"init writes a file called syncd.toml; name its folder: syncd init {Path(told).parent}"
        )
    return Path(told).absolute().parent if told else _DEFAULT_FOLDER


def _written(file: Path, text: str, state: Path) -> Path:
    try:
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise SyncdError(f"{file} exists already; remove it, or name another folder") from None
    except PermissionError:
        raise SyncdError(
            f"{file} may not be written; name a folder of your own: syncd init ./syncd"
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return file


def _report(file: Path, state: Path, choice: Choice, *, as_json: bool) -> None:
    if as_json:
        write_json({"file": str(file), "state_directory": str(state)})
        return
    write(str(file))
    option = "" if file.parent == _DEFAULT_FOLDER else f" --config {file}"
    steps: Mapping[str, str] = {
        "read it, and change what is not so": f"$EDITOR {file}",
        "find every mistake at once": f"syncd{option} check --connect",
        "see what would be done": f"syncd{option} preview {choice.source}",
        "do it": f"syncd{option} apply 1",
    }
    width = max(map(len, steps))
    say("next:")
    for what, command in steps.items():
        say(f"  {what.ljust(width)}  {command}")
    if option:
        say(f"or once and for all: export SYNCD_CONFIG={file}")
