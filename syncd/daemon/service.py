"""The process: it starts, ticks, reloads, watches its threads, and ends."""

from __future__ import annotations

import os
import select
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import schedule

from ..errors import PluginError, StoreError, SyncdError
from ..lock import Lock as Ownership
from ..logs import get_log
from ..notify import Notify
from ..pipeline import scheduling
from ..pipeline.installation import Installation, begin_observing
from ..pipeline.publishing import Watch
from ..pipeline.scheduling import Due
from ..pipeline.turns import ACCOUNTS
from ..store.database import Database
from ..store.staging import stamp
from .courier import Courier
from .generation import load, require_same_place
from .house import House
from .lines import EnterpriseLine
from .memory import share_arena
from .site import Site

log = get_log("syncd.daemon")

DRAIN = 28.0
"""Seconds that the threads get to finish what they have in hand; systemd is told to wait as long."""

READS_END = 3.0
"""Seconds that a thread gets which only reads."""

STUCK = 600.0
"""Seconds without a sign of life after which a thread is stuck: then the watchdog is not fed any more."""

REFUSED = "the configuration on disk cannot be used, and the one before it stays in force"

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_IDLE = 20.0

_LONGEST_PAUSE = 61.0
"""Seconds to the next tick; ``schedule`` counts in local time, which can be set back."""

Side = Callable[["Service"], AbstractContextManager[Any]]
"""What runs beside the service from when it can be used until it ends, such as the control socket."""


class Service:
    """``syncd daemon``. ``run`` returns the exit code when a signal has ended it."""

    def __init__(
        self,
        files: tuple[Path, ...] | None,
        state_directory: Path | None,
        environ: Mapping[str, str],
        clock: Callable[[], datetime],
        sides: tuple[Side, ...] = (),
        stuck_after: float = STUCK,
    ) -> None:
        """Load the configuration. Raises ConfigError with all that is wrong with it."""
        self.site = Site(load(files, state_directory, environ), files, environ, clock)
        self.notify = Notify()
        self.lines: dict[str, EnterpriseLine] = {}
        self._state_directory = state_directory
        self._sides = sides
        self._stuck_after = stuck_after
        self._clock = schedule.Scheduler()
        self._caught: list[int] = []
        self._taken_up = False
        self._reloading = Lock()
        self._stuck: list[str] = []
        self._since = clock()
        self._watch = Watch(self._since)

    def run(self) -> int:
        """Own the state directory and keep everything going until a signal says to end; return the exit code.

        Raises Busy while another process is the owner.
        """
        share_arena()
        with ExitStack() as opened:
            self._ownership = opened.enter_context(
                Ownership(self.site.current.settings.state_directory, "daemon")
            )
            wake = opened.enter_context(_signals(self._caught))
            database = opened.enter_context(closing(self.site.open()))
            database.conn.execute("PRAGMA busy_timeout = 5000")  # a tick that fails comes again in a minute
            self.courier = Courier(self.site)
            self.house = House(self.site, self.courier)
            self._observe(database)
            self._clock.every().minute.do(self._tick, database)
            self._clock.every().minute.do(self._look, database)
            sides = opened.enter_context(ExitStack())
            for begin in self._sides:
                sides.enter_context(begin(self))
            log.info("service_started", sources=len(self.site.current.settings.sources))
            self._tick(database)
            self._look(database)
            self.notify.ready(self._status())
            code = self._keep_going(wake, database)
            begun = self._stop()
            sides.close()
            self._end(begun)
            self._watch.stop()
            log.info("service_ended")
        return code

    def document(self) -> dict[str, Any]:
        """Return what the service does at the moment."""
        return {
            "pid": os.getpid(),
            "since": self._since.isoformat(timespec="seconds"),
            "reload_ok": self.site.refused is None,
            "deliveries": self.courier.trouble or None,
            "working": self.site.beats.working(),
            "waiting": [name for line in list(self.lines.values()) for name in line.waiting],
            "troubles": {
                name: {"error": one.error, "since": stamp(one.since), "next_try": stamp(one.until)}
                for line in list(self.lines.values())
                for name, one in line.troubles.items()
            },
        }

    # The clock

    def _keep_going(self, wake: socket.socket, database: Database) -> int:
        """Tick until a signal says to end, or a thread has died: then the process is better begun anew."""
        interval = min((self.notify.watchdog_interval or 2 * _IDLE) / 3, _IDLE)
        while True:
            for number in self._received(wake, interval if self._taken_up else 0.2):
                if number in (signal.SIGTERM, signal.SIGINT):
                    return 0
                self.reload()
                self._look(database)
            self._run_due()
            if not self._taken_up and self.courier.resumed:
                self._tick(database)
            self.site.close_replaced()
            dead = [thread.name for thread in self._threads() if not thread.is_alive()]
            if dead:
                log.error("service_broken", threads=dead)
                return PluginError.exit_code
            if not (self._ownership.holds() and self.site.path.exists()):
                log.error("database_gone", path=str(self.site.path))
                return StoreError.exit_code
            self._feed()

    def _run_due(self) -> None:
        """Do what is due each minute; at once where the clock was set back, or summer time has ended."""
        if (self._clock.idle_seconds or 0) > _LONGEST_PAUSE:
            self._clock.run_all()
        else:
            self._clock.run_pending()

    def _received(self, wake: socket.socket, seconds: float) -> list[int]:
        """Wait for signals; several of one kind are one."""
        idle = self._clock.idle_seconds
        ready, _, _ = select.select(
            [wake], [], [], max(0.0, min(seconds, idle if idle is not None else seconds))
        )
        if ready:
            wake.recv(4096)
        caught, self._caught[:] = sorted(set(self._caught)), []
        return caught

    def _feed(self) -> None:
        """Tell systemd that all is well, unless a thread has not been heard of for too long."""
        stuck = self.site.beats.stuck(self._stuck_after)
        if stuck and not self._stuck:
            log.error("service_stuck", threads=stuck)
        self._stuck = stuck
        if not stuck:
            self.notify.watchdog()
        self.notify.status(self._status())

    def _status(self) -> str:
        working = self.site.beats.working()
        if self._stuck:
            return f"stuck: {', '.join(self._stuck)}"
        if self.courier.trouble:
            return f"nothing can be delivered: {self.courier.trouble}"
        status = ", ".join(working.values()) or f"idle; {len(self.site.current.settings.sources)} sources"
        return status if self.site.refused is None else f"{status}; {REFUSED}"

    def _tick(self, database: Database) -> None:
        """Give what is to be read to the threads of the enterprises. Never raises: a tick comes again."""
        try:
            with self.site.using(database) as (_, here):
                self._match_lines(here)
                if not self.courier.resumed:
                    return
                self._taken_up = True
                in_hand = {name for line in list(self.lines.values()) for name in line.in_hand}
                self._order(here, scheduling.unfinished(here, in_hand))
                self._order(here, [due for due in scheduling.due(here) if scheduling.claim(here, due)])
        except (SyncdError, OSError, sqlite3.Error) as error:
            log.error("tick_failed", error=str(error))  # noqa: TRY400 - it is told in words

    def _look(self, database: Database) -> None:
        """Let those who watch know how all stands. Never raises: a look comes again."""
        try:
            with self.site.using(database) as (_, here):
                due: dict[tuple[str, str], datetime] = {
                    (one.source, one.mode): one.begins for one in scheduling.next_due(here) if one.begins
                }
                self._watch.look(here, due=due, lanes=self.courier.lanes, reload_ok=self.site.refused is None)
        except (SyncdError, OSError, sqlite3.Error) as error:
            log.error("look_failed", error=str(error))  # noqa: TRY400 - it is told in words

    def _observe(self, database: Database) -> None:
        """Let the observers of the configuration in force see what happens from now on."""
        with self.site.using(database) as (_, here):
            begin_observing(here)

    def _order(self, here: Installation, found: Iterable[Due]) -> None:
        for due in found:
            self.lines[here.settings.sources[due.source].enterprise].order(due)

    def _match_lines(self, here: Installation) -> None:
        """Have a thread for each enterprise that has sources, and end the others."""
        wanted = {one.enterprise for one in here.settings.sources.values()}
        for name in wanted - set(self.lines):
            self.lines[name] = EnterpriseLine(self.site, name, self.courier.wake)
        for name in set(self.lines) - wanted:
            self.lines.pop(name).end()

    def _threads(self) -> list[Thread]:
        return [self.courier.thread, *(line.thread for line in list(self.lines.values()))]

    # Reload and end

    def reload(self) -> str | None:
        """Load the configuration anew, whole, or keep the old one and return why. From any thread."""
        with self._reloading:
            return self._reload()

    def _reload(self) -> str | None:
        self.notify.reloading()
        try:
            fresh = load(self.site.files, self._state_directory, self.site.environ)
            require_same_place(self.site.current.settings, fresh.settings)
            with closing(self.site.open()) as database:
                self.site.replace(fresh)
                self._observe(database)
        except (SyncdError, OSError) as error:
            self.site.refused = why = str(error)
            log.error("reload_refused", error=why)  # noqa: TRY400 - it is told in words
            self.notify.ready(self._status())
            return why
        self.site.refused = None
        self.courier.wake()
        log.info("configuration_reloaded", sources=len(fresh.settings.sources))
        self.notify.ready(self._status())
        return None

    def _stop(self) -> float:
        """Let nothing new begin; return since when. Asked again it ends at once: that is repaired like a crash."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        self.notify.stopping("finishing what is in hand")
        self.notify.extend(2 * DRAIN)
        self.site.stopping.set()
        self.courier.wake()
        for line in list(self.lines.values()):
            line.end()
        return time.monotonic()

    def _end(self, begun: float) -> None:
        """Let every thread finish what it has in hand, for a while; what is left is taken up at the next start."""
        while any(thread.is_alive() for thread in self._threads()):
            # Of a read that is cut off nothing is used, so nobody waits long for a server that does not answer.
            limit = DRAIN if self.site.turns.held(ACCOUNTS) else READS_END
            if time.monotonic() - begun > limit:
                break
            self.notify.extend(10)
            for thread in self._threads():
                thread.join(0.1)
        left = self.site.beats.working()
        if left:
            log.warning("work_left", threads=sorted(left))
        self.site.current.plugins.hooks.close()


@contextmanager
def _signals(caught: list[int]) -> Iterator[socket.socket]:
    """Collect signals in ``caught``; the socket can be read when there is one."""
    reading, writing = socket.socketpair()
    reading.setblocking(False)
    writing.setblocking(False)
    before = {number: signal.signal(number, lambda got, _: caught.append(got)) for number in _SIGNALS}
    old = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        reading.close()
        writing.close()
