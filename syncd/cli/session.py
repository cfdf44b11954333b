"""What a command works with: configuration, plugins and database, each opened when it is first needed."""

from __future__ import annotations

import gc
import os
import pwd
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import click

from ..errors import SyncdError
from ..places import DATABASE, socket_of

if TYPE_CHECKING:
    from ..config import Settings
    from ..pipeline.installation import Installation
    from ..plugins import Plugins
    from ..store.database import Database


def now() -> datetime:
    """Return the time; every command asks here, and nowhere else."""
    return datetime.now(UTC)


class NotPermitted(SyncdError):
    """The service does not let this person do that."""

    exit_code = 77


class Overtaken(SyncdError):
    """The service has taken another configuration after the command had looked at the one before it."""

    exit_code = 75


class House(Protocol):
    """How a command that the service carries out gets at what the service owns."""

    @property
    def settings(self) -> Settings:
        """The configuration in force."""

    @property
    def plugins(self) -> Plugins:
        """The plugins in force."""

    @property
    def refused(self) -> str | None:
        """Why the last reload was refused, if it was."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be delivered, nor a new configuration be used, if that is so."""

    def writing(
        self, verb: str, actor: str, opened: ExitStack, waits: Callable[[str, float | None], None]
    ) -> Installation:
        """Wait for the verb's turn, and return what it works on until ``opened`` is closed. Raises Busy."""

    def reading(self, actor: str, opened: ExitStack) -> Installation:
        """Return what a verb looks at until ``opened`` is closed; waits for nobody."""


class Guest(NamedTuple):
    """Somebody for whom the service carries out a command; ``wanted`` says whether they still wait for it."""

    house: House
    actor: str
    changes: bool
    wanted: Callable[[], bool]

    def writing(self, verb: str, opened: ExitStack) -> Installation:
        """Return what the verb works on, once it is its turn. Raises NotPermitted, Busy, click's Abort."""
        if not self.changes:
            raise NotPermitted(f"{self.actor} may look, and not have syncd {verb} change anything")
        from .progress import waits

        here = self.house.writing(verb, self.actor, opened, waits)
        if not self.wanted():
            raise click.Abort  # gone while it waited: nothing has begun
        return here


class Session:
    """One command's way to everything; what was opened is closed with it.

    ``files`` None: what ``SYNCD_CONFIG`` names, else the usual file. ``state_directory`` beats the
    configuration's own. With a ``guest`` everything is the service's.
    """

    def __init__(
        self,
        files: tuple[Path, ...] | None,
        state_directory: Path | None = None,
        log_level: str = "off",
        environ: Mapping[str, str] | None = None,
        guest: Guest | None = None,
    ) -> None:
        self.files = files
        self.log_level = log_level
        self.environ = os.environ if environ is None else environ
        self.given_state_directory = state_directory
        self.guest = guest
        self._opened = ExitStack()
        self._logging = False
        self._uses_database = False

    @cached_property
    def plugins(self) -> Plugins:
        """The plugins that the configuration uses; those that failed stand in ``failures``."""
        return self._plugins() if self.guest is None else self.guest.house.plugins

    def whole_plugins(self) -> Plugins:
        """Return the same plugins with all that they offer, used or not."""
        return self._plugins(whole=True)

    def _plugins(self, *, whole: bool = False) -> Plugins:
        from ..pipeline.opening import plugins_for

        if self.log_level != "off":
            self.begin_log()
        plugins = plugins_for(self.files, self.environ, whole=whole)
        self._opened.callback(plugins.hooks.close)
        return plugins

    @cached_property
    def settings(self) -> Settings:
        """The configuration. Raises ConfigError with all of its problems."""
        from ..config.settings import Origin
        from ..pipeline.opening import settings_for

        if self.guest is not None:
            return self.guest.house.settings
        settings = settings_for(self.files, self.environ, self.plugins)
        gc.freeze()
        gc.enable()
        if self.given_state_directory is None:
            return settings
        place, key = self.given_state_directory.absolute(), "state_directory"
        return settings._replace(
            state_directory=place,
            socket=socket_of(place),
            plain={**settings.plain, key: str(place), "socket": str(socket_of(place))},
            origins={**settings.origins, **dict.fromkeys([key, "socket"], Origin("--state-directory"))},
        )

    @property
    def database(self) -> Path:
        """Where the database is, or will be."""
        return self.settings.state_directory / DATABASE

    @cached_property
    def reading(self) -> Installation:
        """An installation to look at; works while another process owns the state directory."""
        from ..store.database import open_reading

        if self.guest is not None:
            return self._lent(self.guest.house.reading(self.guest.actor, self._opened))
        return self._installed(open_reading(self.database))

    @property
    def looking(self) -> Installation:
        """What ``reading`` is; before there is a database, an installation with an empty one."""
        import sqlite3

        from ..store.database import Database, make_tables

        if self.database.exists():
            return self.reading
        conn = sqlite3.connect(":memory:", isolation_level=None)
        make_tables(conn)
        return self._installed(Database(conn, self.database))

    def writing(self, verb: str) -> Installation:
        """Become the owner of the state directory, then finish what a killed process has left.

        Raises Busy while another process is the owner.
        """
        from ..pipeline.delivering import finish
        from ..pipeline.installation import begin_observing
        from ..pipeline.line import resume
        from ..store.database import open_database
        from .output import say

        if self.guest is not None:
            return self._lent(self.guest.writing(verb, self._opened))
        self.begin_log()
        self.own(verb)
        here = self._installed(open_database(self.database))
        begin_observing(here)
        for run in resume(here, left=lambda error: say(str(error))):
            finish(here, run)
        return here

    def own(self, verb: str) -> None:
        """Take the lock of the state directory until the command ends."""
        from ..lock import Lock

        if self.guest is not None:
            raise NotPermitted(f"syncd {verb} cannot be done by the running service: end that first")

        self._opened.enter_context(Lock(self.settings.state_directory, verb))

    def secret(self) -> Callable[[str], str]:
        """Return the function that resolves references to secrets."""
        from ..pipeline.installation import resolver

        return resolver(self.plugins, self.environ, self.settings)

    def begin_log(self) -> None:
        """Say where events go, before anything is done that may have some; what only looks has none."""
        from ..logs import configure

        if self._logging or self.guest is not None:
            return
        self._logging = True
        configure(level=self.log_level)  # where it is off, the command itself says what a person has to know

    def blamed(self, error: Exception) -> Exception:
        """Return what to tell of an error that ended the command; a damaged database may be the cause."""
        from ..errors import SyncdError

        if not self._uses_database or isinstance(error, SyncdError | OSError):
            return error
        from ..store.database import blamed

        told = blamed(self.database, error)
        if told is not error:
            told.__cause__ = error
        return told

    def close(self) -> None:
        """Close what was opened, the last first."""
        self._opened.close()

    def _lent(self, here: Installation) -> Installation:
        from .output import say

        self._uses_database = True
        for name in ("settings", "plugins"):  # what the command has seen of them is of the same configuration
            mine = getattr(here, name)
            if self.__dict__.setdefault(name, mine) is not mine:
                raise Overtaken("the service has read its configuration anew meanwhile: ask again")
        for failure in here.plugins.failures:
            say(f"{failure}; every run is held until this is mended")
        for warning in here.plugins.warnings:
            say(warning)
        return here

    def _installed(self, database: Database) -> Installation:
        from ..pipeline.installation import Installation

        self._opened.callback(database.close)
        here = Installation(
            settings=self.settings,
            plugins=self.plugins,
            database=database,
            actor=actor(self.environ),
            secret=self.secret(),
            clock=lambda: now(),  # noqa: PLW0108 - looked up at each call
        )
        return self._lent(here)


def session_of(ctx: click.Context) -> Session:
    """Return the session of a command line, made from the options of ``syncd`` itself."""
    top = ctx.find_root()
    if top.obj is None:
        options = top.params
        session = Session(
            options.get("files") or None, options.get("state_directory"), options.get("log_level") or "off"
        )
        top.obj = session
        top.call_on_close(session.close)
    session = top.obj
    assert isinstance(session, Session)  # noqa: S101 - nobody else sets it
    ctx.obj = session
    return session


def actor(environ: Mapping[str, str]) -> str:
    """Return who is asking, as the journal records it: ``ada``, or ``ada as root`` behind sudo."""
    number = os.geteuid()
    try:
        user = pwd.getpwuid(number).pw_name
    except KeyError:
        user = str(number)
    asked = environ.get("SUDO_USER")
    return f"{asked} as {user}" if asked and asked != user else user
