"""Who may work now, within one process: a run at a time for each enterprise, a change of accounts at a time for all.

Between processes the lock of the state directory decides. Reading a source takes long and changes no
account; applying is short. So different enterprises are read side by side, and each waits only for the
moment in which another one's accounts are changed. Deliveries give way to those changes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile

from ..errors import Busy, SyncdError

ACCOUNTS = ""
"""The turn of whoever changes accounts, or delivers them; no enterprise has an empty name."""

_POLL = 0.2

SILENT = 2.0
"""Seconds that somebody waits before they are told for what."""

Waits = Callable[[str, float | None], None]
"""Takes what one waits for, and for how many seconds that has been going on, where it is known."""


class Stopping(SyncdError):
    """The service ends: what was not finished goes on at its next start."""

    exit_code = 75


class _Holder:
    """A thread that has a turn ``since`` a time of the monotonic clock, taken ``depth`` times; None: it is next."""

    __slots__ = ("depth", "since", "thread", "what")

    def __init__(self, thread: int, what: str, since: float | None) -> None:
        self.thread = thread
        self.what = what
        self.since = since
        self.depth = 1


class Turns:
    """Turns by name, taken again freely by the thread that has them.

    ``heard`` is called now and then by whoever waits, and by whoever works: both are alive.
    """

    def __init__(self, heard: Callable[[], None] = lambda: None) -> None:
        self.heard = heard
        self._changed = threading.Condition()
        self._holders: dict[str | None, _Holder] = {}
        self._waiting: dict[int, str | None] = {}  # by thread, who came first first

    @contextmanager
    def take(
        self,
        name: str | None,
        what: str,
        *,
        patience: float | None,
        stopping: Callable[[], bool],
        waits: Waits | None = None,
    ) -> Iterator[None]:
        """Hold the turn of an enterprise, of ``ACCOUNTS``, or (None) of everything, for the block.

        ``what`` is what others are told meanwhile. Raises Busy naming who has it after ``patience`` seconds
        (None: waits as long as it takes), Stopping if the service ends meanwhile. ``waits`` is told what is
        waited for, if that takes more than a moment.
        """
        me = threading.get_ident()
        with self._changed:
            self._wait(name, me, patience, stopping, waits)
            holder = self._holders.get(name)
            if holder is None:
                self._holders[name] = _Holder(me, what, time.monotonic())
            else:
                holder.depth += 1
        try:
            yield
        finally:
            with self._changed:
                holder = self._holders[name]
                holder.depth -= 1
                if not holder.depth:
                    del self._holders[name]
                    self._changed.notify_all()

    def wanted(self, name: str) -> bool:
        """Say whether anybody waits for a turn."""
        with self._changed:
            return any(one in (name, None) for one in self._waiting.values())

    def held(self, name: str) -> bool:
        """Say whether anybody has a turn."""
        with self._changed:
            return name in self._holders or None in self._holders

    def holders(self) -> list[str]:
        """Return what is being done at the moment."""
        with self._changed:
            return [holder.what for holder in self._holders.values()]

    def _wait(
        self,
        name: str | None,
        me: int,
        patience: float | None,
        stopping: Callable[[], bool],
        waits: Waits | None,
    ) -> None:
        begun, told = time.monotonic(), ""
        self._waiting[me] = name
        try:
            while (other := self._in_the_way(name, me)) is not None:
                waited = time.monotonic() - begun
                if stopping():
                    raise Stopping("the service ends; what was not begun is done after its next start")
                if patience is not None and waited >= patience:
                    raise Busy(other.what)
                if waits is not None and waited >= SILENT and other.what != told:
                    told = other.what
                    self._tell(waits, other)
                    continue
                self.heard()
                self._changed.wait(_POLL)
        finally:
            del self._waiting[me]

    def _tell(self, waits: Waits, other: _Holder) -> None:
        """Say what is waited for; whoever is told may be slow, and nobody else waits for that."""
        since = None if other.since is None else time.monotonic() - other.since
        self._changed.release()
        try:
            waits(other.what, since)
        finally:
            self._changed.acquire()

    def _in_the_way(self, name: str | None, me: int) -> _Holder | None:
        """Return what has to end first, or None."""
        theirs = {key: holder for key, holder in self._holders.items() if holder.thread != me}
        found = next((one for key, one in theirs.items() if name is None or key in (name, None)), None)
        if found is not None:
            return found
        if any(holder.thread == me for holder in self._holders.values()):
            return None  # who has something already must not wait for those who wait for that
        earlier = takewhile(lambda thread: thread != me, self._waiting)
        first = next((one for one in earlier if self._waiting[one] in (name, None)), None)
        return None if first is None else _Holder(first, "what has waited longer", None)
