"""The verb ``db``: copies of the database, its health, and how long it remembers."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import SyncdError
from . import session as sessions
from .asking import confirm
from .lazy import LazyGroup
from .options import examples, json_option, yes_option
from .output import counted, say, shown, write, write_json
from .session import session_of

FILE = click.Path(path_type=Path, dir_okay=False)

db = LazyGroup(
    "db",
    lazy={
        "backup": (__name__, "Write a whole copy to a file."),
        "verify": (__name__, "Look for damage."),
        "restore": (__name__, "Put a copy in the place of the database."),
        "prune": (__name__, "Forget what is older than the configuration keeps."),
    },
    help="Back up, check, restore and prune the database.",
    epilog=examples(
        "syncd db backup /srv/backup/syncd.db", "syncd db verify", "syncd db restore /srv/backup/syncd.db"
    ),
)


@click.command(epilog=examples("syncd db backup /srv/backup/syncd.db"))
@click.argument("file", type=FILE)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@json_option
@click.pass_context
def backup(ctx: click.Context, /, *, file: Path, force: bool, as_json: bool) -> None:
    """Write a whole, compact copy of the database to FILE, which only you can read.

    Works while another process is at work. FILE appears at once, or not at all.
    """
    from ..logs import get_log
    from ..store.restoring import back_up

    session = session_of(ctx)
    session.begin_log()
    here = session.reading
    if file.exists() and not force:
        raise SyncdError(f"{file} exists already; name another file, or say --force")
    back_up(here.database, file)
    size = file.stat().st_size
    log = get_log("syncd.store")
    log.info("database_backed_up", path=str(file), size=size)
    if as_json:
        write_json({"file": str(file), "size": size})
    else:
        write(f"{file}: {size} bytes")


@click.command(epilog=examples("syncd db verify"))
@json_option
@click.pass_context
def verify(ctx: click.Context, /, *, as_json: bool) -> None:
    """Look for damage: SQLite's own integrity check, and references that lead nowhere."""
    from contextlib import closing

    from ..store.database import faults_of, open_looking

    file = session_of(ctx).database
    with closing(open_looking(file)) as database:
        faults = faults_of(database)
    if as_json:
        write_json({"file": str(file), "faults": faults})
    else:
        for fault in faults:
            write(shown(fault))
        cure = "'syncd db restore BACKUP' puts a backup in its place and keeps this file beside it"
        told = f"{counted(len(faults), 'fault')}; {cure}" if faults else "no fault was found"
        say(f"{file}: {told}")
    ctx.exit(74 if faults else 0)


@click.command(epilog=examples("syncd db restore /srv/backup/syncd.db"))
@click.argument("file", type=FILE)
@yes_option
@json_option
@click.pass_context
def restore(ctx: click.Context, /, *, file: Path, yes: bool, as_json: bool) -> None:
    """Put FILE, a copy made by "syncd db backup", in the place of the database.

    FILE is checked first. The database as it was stays beside the new one. Platforms may be ahead of
    what is restored: "syncd verify" tells.
    """
    from ..store.restoring import restore as put_in_place

    session = session_of(ctx)
    session.own("db restore")
    confirm(f"Put {file} in the place of {session.database}?", yes=yes)
    kept = put_in_place(file, session.database, sessions.now())
    if as_json:
        write_json({"file": str(session.database), "kept": None if kept is None else str(kept)})
        return
    write(f"{session.database} is now what {file} was")
    if kept is not None:
        write(f"what it was before: {kept}")
    say("platforms may be ahead of it: syncd verify")


@click.command(epilog=examples("syncd db prune"))
@json_option
@click.pass_context
def prune(ctx: click.Context, /, *, as_json: bool) -> None:
    """Blank the values that the journal has kept for long enough, and forget accounts deleted long ago.

    How long is said by "keep" and "purge_after" in the configuration. What is open, or not confirmed by
    every platform, stays. That something happened, and when, is kept for good.
    """
    from ..store.keeping import prune as prune_database

    session = session_of(ctx)
    here = session.writing("db prune")
    counts = prune_database(
        here.database, session.settings.keep_values, session.settings.purge_after, here.clock()
    )
    if as_json:
        write_json(counts)
        return
    for name, count in counts.items():
        write(f"{name}: {count}")
