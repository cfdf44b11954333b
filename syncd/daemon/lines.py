"""The thread of one enterprise: it reads the sources that are due, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import NamedTuple

from ..errors import SyncdError
from ..logs import get_log
from ..pipeline import scheduling
from ..pipeline.delivering import finish
from ..pipeline.installation import Installation, line_of
from ..pipeline.line import sync
from ..pipeline.scheduling import Due
from ..pipeline.turns import Stopping
from ..store.runs import Run
from .site import Site
from .troubles import Trouble, Troubles

log = get_log("syncd.daemon")

_POLL = 1.0


class Order(NamedTuple):
    """A source to be read; ``slots`` are what it is read for, none where it is only tried again."""

    source: str
    full: bool
    slots: tuple[Due, ...] = ()


class EnterpriseLine:
    """Reads the sources of one enterprise, with a connection to the database of its own.

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
        self._changed = threading.Condition()
        self.thread = threading.Thread(target=self._run, name=f"syncd-{enterprise}", daemon=True)
        self.thread.start()

    def order(self, due: Due) -> None:
        """Have a source read. What was ordered of it and not begun is done with it."""
        with self._changed:
            before = self._orders.pop(due.source, Order(due.source, full=False))
            full = before.full or due.mode == "full"
            self._orders[due.source] = Order(due.source, full, (*before.slots, due))
            self._changed.notify()

    def end(self) -> None:
        """Let the thread end after what it has begun."""
        with self._changed:
            self.ended = True
            self._changed.notify()

    @property
    def troubles(self) -> Mapping[str, Trouble]:
        """The sources that could not be read."""
        return dict(self._troubles.known)

    @property
    def waiting(self) -> list[str]:
        """The sources that were ordered and not begun."""
        with self._changed:
            return list(self._orders)

    def _run(self) -> None:
        with closing(self._site.open()) as database:
            while (order := self._next()) is not None:
                with self._site.using(database) as (generation, here):
                    while not generation.settled.wait(0.1):
                        if self._stops():
                            return
                    if order.source in here.settings.sources:
                        self._do(here, order)

    def _stops(self) -> bool:
        return self.ended or self._site.stopping.is_set()

    def _next(self) -> Order | None:
        """Wait for an order; None when the thread is to end."""
        while not self._stops():
            self._site.beats.rests(self._name)
            with self._changed:
                ready = self._ready()
                if ready is not None:
                    return ready
                self._changed.wait(_POLL)
        return None

    def _ready(self) -> Order | None:
        now = self._site.clock()
        for source, full in self._troubles.over(now):
            order = self._orders.pop(source, Order(source, full))
            return order._replace(full=full or order.full)
        for source in self._orders:
            if not self._troubles.resting(source, now):
                return self._orders.pop(source)
        return None

    def _do(self, here: Installation, order: Order) -> None:
        """Read one source, and apply what nothing objects to."""
        about = f"{'full ' if order.full else ''}run of {order.source}"
        try:
            run = self._synced(here, order, about)
        except Stopping:
            return  # its slots were never finished, and are done after the next start
        except (SyncdError, OSError) as error:
            if self._site.stopping.is_set():
                return
            self._troubles.failed(order.source, error, here.clock(), full=order.full)
        except Exception as error:
            log.exception("connection_broken", connection=order.source)
            self._troubles.failed(order.source, error, here.clock(), full=order.full)
        else:
            self._troubles.recovered(order.source)
            self._finish(here, order, run.id)
            if run.state == "ended":
                self._done()
            return
        self._finish(here, order, None)

    def _synced(self, here: Installation, order: Order, about: str) -> Run:
        self._site.beats.works(self._name, about)

        def beat(stage: str, count: int) -> None:
            self._site.beats.works(self._name, f"{about}, {stage} {count}")

        return finish(here, sync(here, line_of(here, order.source), full=order.full, beat=beat))

    def _finish(self, here: Installation, order: Order, run: int | None) -> None:
        for due in order.slots:
            scheduling.finished(here, due, run)
