"""The thread of one enterprise: it reads the sources that are due, one after the other."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime
from typing import NamedTuple

from ..config.settings import SourceSettings
from ..errors import SyncdError
from ..logs import get_log
from ..pipeline import scheduling
from ..pipeline.delivering import finish
from ..pipeline.installation import Installation, line_of
from ..pipeline.line import sync
from ..pipeline.scheduling import Due
from ..pipeline.turns import Stopping
from ..store.runs import Run
from .generation import Generation
from .memory import give_back
from .site import Site
from .troubles import Trouble, Troubles

log = get_log("syncd.daemon")

_POLL, _SOON = 1.0, 0.1


class Order(NamedTuple):
    """A source to be read; ``slots`` are what it is read for, none where it is only tried again."""

    source: str
    full: bool
    slots: tuple[Due, ...] = ()


class EnterpriseLine:
    """Reads the sources of one enterprise; it has the database open only while it does.

    ``done`` is called after each run that has changed anything.
    """

    def __init__(self, site: Site, enterprise: str, done: Callable[[], None]) -> None:
        self.enterprise = enterprise
        self.ended = False
        self._site = site
        self._name = f"enterprise {enterprise}"
        self._done = done
        self._troubles = Troubles()
        self._orders: dict[str, Order] = {}
        self._begun: str | None = None
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"syncd-{enterprise}", daemon=True)
        self.thread.start()

    def order(self, due: Due) -> None:
        """Have a source read. What was ordered of it and not begun is done with it."""
        with self._lock:
            before = self._orders.pop(due.source, Order(due.source, full=False))
            full = before.full or due.mode == "full"
            self._orders[due.source] = Order(due.source, full, (*before.slots, due))
        self._woken.set()

    def end(self) -> None:
        """Let the thread end after what it has begun."""
        self.ended = True
        self._woken.set()

    @property
    def troubles(self) -> Mapping[str, Trouble]:
        """The sources that could not be read."""
        return dict(self._troubles.known)

    @property
    def waiting(self) -> list[str]:
        """The sources that were ordered and not begun."""
        with self._lock:
            return list(self._orders)

    @property
    def in_hand(self) -> set[str]:
        """The sources that were ordered and are not done."""
        with self._lock:
            return {*self._orders} | ({self._begun} if self._begun is not None else set())

    def _run(self) -> None:
        while not (self.ended or self._site.stopping.is_set()):
            self._woken.clear()
            with self._site.holding() as generation:
                settled = generation.settled.is_set()
                order = self._next(generation.settings.sources) if settled else None
                if order is not None:
                    self._do(generation, order)
            if order is None:
                self._woken.wait(_POLL if settled else _SOON)
            else:
                give_back()
        self._site.beats.rests(self._name)

    def _next(self, sources: Mapping[str, SourceSettings]) -> Order | None:
        """Begin with what is to be read now; forget what is no source of this enterprise any more."""
        now = self._site.clock()
        mine = {name for name, one in sources.items() if one.enterprise == self.enterprise}
        self._troubles.keep(mine)
        with self._lock:
            self._orders = {name: one for name, one in self._orders.items() if name in mine}
            order = self._ready(now)
            if order is not None:
                self._orders.pop(order.source, None)
                self._begun = order.source
        return order

    def _ready(self, now: datetime) -> Order | None:
        for source, full in self._troubles.over(now):
            order = self._orders.get(source, Order(source, full))
            return order._replace(full=full or order.full)
        return next(
            (one for name, one in self._orders.items() if not self._troubles.resting(name, now)), None
        )

    def _do(self, generation: Generation, order: Order) -> None:
        """Read one source, and apply what nothing objects to. What it leaves claimed is ordered again."""
        try:
            with closing(self._site.open()) as database:
                here = self._site.installation(generation, database)
                run = self._read(here, order)
                if run is not None and run.state == "ended":
                    self._done()
                if not here.stopping.is_set() or run is not None:
                    for due in order.slots:
                        scheduling.finished(here, due, None if run is None else run.id)
        except (SyncdError, OSError, sqlite3.Error) as error:
            log.error("tick_failed", error=str(error))  # noqa: TRY400 - it is told in words
        finally:
            with self._lock:
                self._begun = None
            self._site.beats.rests(self._name)

    def _read(self, here: Installation, order: Order) -> Run | None:
        """Read a source as far as it goes; None if that has failed, or the service ends."""
        about = f"{'full ' if order.full else ''}run of {order.source}"
        try:
            run = self._synced(here, order, about)
        except Stopping:
            return None
        except (SyncdError, OSError) as error:
            if not here.stopping.is_set():
                self._troubles.failed(order.source, error, here.clock(), full=order.full)
        except (Exception, SystemExit) as error:  # a plugin's must not end the service
            log.exception("connection_broken", connection=order.source)
            self._troubles.failed(order.source, error, here.clock(), full=order.full)
        else:
            self._troubles.recovered(order.source)
            return run
        return None

    def _synced(self, here: Installation, order: Order, about: str) -> Run:
        self._site.beats.works(self._name, about)

        def beat(stage: str, count: int) -> None:
            self._site.beats.works(self._name, f"{about}, {stage} {count}")

        return finish(here, sync(here, line_of(here, order.source), full=order.full, beat=beat))
