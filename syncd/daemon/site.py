"""What the threads of the service share."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ..pipeline.installation import Installation
from ..pipeline.turns import Turns
from ..places import DATABASE
from ..store.database import Database, open_database
from .beats import Beats
from .generation import Generation
from .memory import give_back

ACTOR = "daemon"
"""Who is asking for what is done by itself, as the journal records it."""


class Site:
    """The state directory, the configuration in force, whose turn it is, who is alive, and whether it ends.

    ``current`` is replaced by a reload, between two pieces of work; a piece of work keeps the one with
    which it began. ``refused`` is why the configuration on disk was not taken, if it was not.
    """

    def __init__(
        self,
        current: Generation,
        files: tuple[Path, ...] | None,
        environ: Mapping[str, str],
        clock: Callable[[], datetime],
    ) -> None:
        self.current = current
        self.refused: str | None = None
        self.files = files
        self.environ = environ
        self.clock = clock
        self.beats = Beats()
        self.turns = Turns(self.beats.alive)
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._in_use: Counter[int] = Counter()
        self._replaced: list[Generation] = []

    @property
    def path(self) -> Path:
        """Where the database is."""
        return self.current.settings.state_directory / DATABASE

    def open(self) -> Database:
        """Open a connection for one thread that may write: the process owns the state directory."""
        return open_database(self.path)

    @contextmanager
    def using(self, database: Database, actor: str = ACTOR) -> Iterator[tuple[Generation, Installation]]:
        """Work with the configuration in force, which stays usable until the block ends."""
        with self.holding() as generation:
            yield generation, self.installation(generation, database, actor)

    @contextmanager
    def holding(self) -> Iterator[Generation]:
        """Yield the configuration in force, which stays usable until the block ends."""
        with self._lock:
            generation = self.current
            self._in_use[id(generation)] += 1
        try:
            yield generation
        finally:
            with self._lock:
                self._in_use[id(generation)] -= 1

    def installation(self, generation: Generation, database: Database, actor: str = ACTOR) -> Installation:
        """Return what a piece of work has at hand."""
        return Installation(
            settings=generation.settings,
            plugins=generation.plugins,
            database=database,
            actor=actor,
            secret=generation.secret,
            clock=self.clock,
            stopping=self.stopping,
            turns=self.turns,
        )

    def replace(self, generation: Generation) -> None:
        """Let another configuration be in force."""
        with self._lock:
            self._replaced.append(self.current)
            self.current = generation

    def close_replaced(self) -> None:
        """Let go of the configurations that nobody works with any more; to be called now and then."""
        with self._lock:
            over = [one for one in self._replaced if not self._in_use[id(one)]]
            self._replaced = [one for one in self._replaced if self._in_use[id(one)]]
        for one in over:
            one.plugins.hooks.close(0)  # their observers see in their own time what is queued
        if over:
            del one, over
            give_back()
