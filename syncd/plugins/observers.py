"""Floor 5: observers are told in a thread of their own, so that none can hold up or break a run."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping

from ..model import Event


class Observers:
    """A bounded queue and one thread, started by the first event and only if anybody observes.

    ``report(name, error)`` is called at most twice per observer: when it first fails, and when it is
    first so slow that events are lost.
    """

    def __init__(
        self,
        observers: Mapping[str, Callable[[Event], None]],
        report: Callable[[str, BaseException], None],
        backlog: int,
    ) -> None:
        self._observers = dict(observers)
        self._closing: list[Callable[[], None]] = []
        self._report = report
        self._queue: queue.Queue[Event | None] = queue.Queue(backlog)
        self._thread: threading.Thread | None = None
        self._reported: set[tuple[str, str]] = set()
        self._being_told = ""
        self._lost = 0
        self._closed = False

    def add(self, name: str, tell: Callable[[Event], None], close: Callable[[], None]) -> None:
        """Let one more see the events from now on; ``close`` is called in the thread, behind the last event."""
        self._observers = {**self._observers, name: tell}
        self._closing.append(close)

    def tell(self, event: Event) -> None:
        """Queue ``event``; when the queue is full it is lost, and the observer in its way is reported."""
        if self._closed or not self._observers:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="syncd-observers", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._lost += 1
            slow = self._being_told or next(iter(self._observers))
            self._complain("slow", slow, TimeoutError("it is too slow, and events are being lost"))

    def close(self, within: float) -> int:
        """Let what is queued be told, for at most ``within`` seconds; return how many were lost."""
        if self._closed or self._thread is None:
            self._closed = True
            return self._lost
        self._closed = True
        deadline = time.monotonic() + within
        try:
            self._queue.put(None, timeout=within)
        except queue.Full:
            return self._lost + self._queue.qsize() + 1
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._lost += self._queue.qsize()  # the end mark stands for the one that is being told
        return self._lost

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            for name, tell in self._observers.items():
                self._being_told = name
                try:
                    tell(event)
                except BaseException as error:  # noqa: BLE001 - an observer can break nothing
                    self._complain("failed", name, error)
                self._being_told = ""
        for close in self._closing:
            close()

    def _complain(self, why: str, name: str, error: BaseException) -> None:
        if (why, name) not in self._reported:
            self._reported.add((why, name))
            self._report(name, error)
