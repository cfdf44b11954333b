"""The verb ``demo``: a made-up company, the real thing, and what happens when it goes wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click

from ..errors import SyncdError
from . import session as sessions
from .demo_company import BOOK, CONFIGURATION, PEOPLE, STATE, company, configuration
from .demo_days import Show
from .options import examples
from .output import heading, write

MARK = ".syncd-demo"
"""The file by which a folder is known to be one that the demo made."""


@click.command(epilog=examples("syncd demo", "syncd demo /tmp/acme", "syncd demo --force    start again"))
@click.argument("folder", default="syncd-demo", type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Begin anew in a folder that an earlier demo made.")
def demo(*, folder: Path, force: bool) -> None:
    """See all of it at work, in FOLDER (default: ./syncd-demo).

    A company of 500 people who do not exist, a source, a platform, and a few days in which things go
    well and badly. Needs no server, no configuration and no rights; touches nothing outside the folder.
    """
    place = folder.absolute()
    _prepare(place, force=force)
    with _opened(place) as show:
        show.tell()
    _farewell(place)


command = demo


def _prepare(place: Path, *, force: bool) -> None:
    """Make the folder, or empty one that a demo made."""
    mark = place / MARK
    if place.exists() and any(place.iterdir()):
        if not mark.is_file():
            raise SyncdError(
                f"{place} is not empty, and no demo made it; name another folder: syncd demo FOLDER"
            )
        if not force:
            raise SyncdError(f"{place} has a demo already; 'syncd demo {place} --force' begins anew")
        for name in (PEOPLE, BOOK, CONFIGURATION):
            (place / name).unlink(missing_ok=True)
        shutil.rmtree(place / STATE, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    mark.write_text("made by syncd demo; 'syncd demo --force' may empty this folder\n", "utf-8")
    (place / CONFIGURATION).write_text(configuration(place), "utf-8")


@contextmanager
def _opened(place: Path) -> Iterator[Show]:
    """Open the installation as every verb does; its clock begins three days ago, and the show turns it.

    Settings of the environment are for an installation that is none of our business here.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
    session = sessions.Session((place / CONFIGURATION,), environ=environ)
    try:
        here = session.writing("demo")
        now = sessions.now() - timedelta(days=3)
        show = Show(place, here, now, company())
        show.here = replace(here, clock=lambda: show.now)
        yield show
    finally:
        session.close()


def _farewell(place: Path) -> None:
    start = f"syncd --config {place / CONFIGURATION}"
    write()
    heading("Now it is yours.")
    for verb, text in (
        ("runs", "what has happened, and why"),
        ("queue", "what waits for a person"),
        ("accounts list", "the accounts"),
        ("explain joerdis.ahlstroem", "why this account says what it says"),
        ("preview people", "change people.ldif (and its last line), and see what would be done"),
        ("sync", "do it"),
        ("undo 2 --preview", "the opposite of run 2"),
        ("config show", "every setting, and where it comes from"),
    ):
        write(f"   {start} {verb:<28} {text}")
