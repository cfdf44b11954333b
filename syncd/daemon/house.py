"""How a person's verb gets at what the service owns: in its turn, in its own name."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from ..errors import Busy
from ..pipeline.installation import Installation
from ..pipeline.turns import SILENT, Stopping, Waits
from ..store.database import Database, open_reading
from .courier import Courier
from .memory import give_back
from .site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ..config import Settings
    from ..distribution import LaneReport
    from ..plugins import Plugins

PATIENCE = 60.0
"""Seconds that a verb waits for its turn before it says what is in the way."""

_POLL = 0.2

_BY_SOURCE = frozenset({"sync", "preview"})
"""Verbs that take their turn source by source; the others want everything for a moment."""


class House:
    """What the session of a verb works with inside the service."""

    def __init__(self, site: Site, courier: Courier, patience: float = PATIENCE) -> None:
        self._site = site
        self._courier = courier
        self._patience = patience

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self._site.current.settings

    @property
    def refused(self) -> str | None:
        """Why the last reload was refused, if it was."""
        return self._site.refused

    @property
    def trouble(self) -> str | None:
        """Why nothing can be delivered at the moment, nor a new configuration be used, if that is so."""
        return self._courier.trouble or None

    @property
    def plugins(self) -> Plugins:
        """The plugins in force."""
        return self._site.current.plugins

    def writing(self, verb: str, actor: str, opened: ExitStack, waits: Waits | None = None) -> Installation:
        """Return what a verb works on, once it is its turn. Raises Busy naming what is in the way.

        ``waits`` is told what that is, if the verb has to wait for it.
        """
        self._settle(waits)
        here = replace(self._installed(self._site.open(), actor, opened), waits=waits)
        name = f"verb {threading.get_native_id()}"
        opened.callback(self._site.beats.ends, name)
        self._site.beats.works(name, f"syncd {verb} ({actor})")
        turn = opened.enter_context(ExitStack())
        if verb not in _BY_SOURCE:
            turn.enter_context(here.alone(None, f"syncd {verb} ({actor})"))

        def deliver(
            beat: Callable[[str, int], None] | None, forgiven: Collection[str] = ()
        ) -> dict[str, LaneReport]:
            turn.close()  # what is delivered has been changed by now, and that may take long
            return self._courier.ask(beat, forgiven)

        return replace(here, courier=deliver)

    def _settle(self, waits: Waits | None) -> None:
        """Wait until sources may be read by the configuration in force, whichever that is by then."""
        begun, told = monotonic(), False
        while not self._site.current.settled.wait(_POLL):
            if self._site.stopping.is_set():
                raise Stopping("the service ends; what was not begun is done after its next start")
            why = f" and cannot: {self._courier.trouble}" if self._courier.trouble else ""
            other = f"the service, which first has to do what its start or a reload has left{why}"
            if monotonic() - begun > self._patience:
                raise Busy(other)
            if waits is not None and not told and monotonic() - begun > SILENT:
                told = True
                waits(other, None)

    def reading(self, actor: str, opened: ExitStack) -> Installation:
        """Return what a verb looks at; it waits for nobody."""
        return self._installed(open_reading(self._site.path), actor, opened)

    def _installed(self, database: Database, actor: str, opened: ExitStack) -> Installation:
        opened.callback(give_back)
        opened.callback(database.close)
        _, here = opened.enter_context(self._site.using(database, actor))
        return replace(here, patience=self._patience)
