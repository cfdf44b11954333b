"""Who is alive: every thread of the service says so, and one that has not for too long is stuck."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple


class Beat(NamedTuple):
    """What a thread was doing when it was last heard of; ``at`` on the monotonic clock, None while it rests."""

    doing: str
    at: float | None
    thread: int


class Beats:
    """The last sign of life of each thread, by its name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, Beat] = {}

    def works(self, name: str, doing: str) -> None:
        """Say that a thread is alive, and what it is doing."""
        with self._lock:
            self._last[name] = Beat(doing, time.monotonic(), threading.get_ident())

    def alive(self) -> None:
        """Say that the thread that asks is alive, whatever it does or waits for."""
        now, me = time.monotonic(), threading.get_ident()
        with self._lock:
            for name, beat in self._last.items():
                if beat.thread == me and beat.at is not None:
                    self._last[name] = beat._replace(at=now)

    def rests(self, name: str) -> None:
        """Say that a thread waits for something to do: it may be silent as long as it likes."""
        with self._lock:
            self._last[name] = Beat("", None, threading.get_ident())

    def ends(self, name: str) -> None:
        """Say that nothing more is to be heard of a thread."""
        with self._lock:
            self._last.pop(name, None)

    def working(self) -> dict[str, str]:
        """Return what is being done, by the thread that does it."""
        with self._lock:
            return {name: beat.doing for name, beat in self._last.items() if beat.at is not None}

    def stuck(self, after: float) -> list[str]:
        """Return what nobody has heard of for more than ``after`` seconds."""
        now = time.monotonic()
        with self._lock:
            return [
                f"{name}: {beat.doing}"
                for name, beat in self._last.items()
                if beat.at is not None and now - beat.at > after
            ]
