"""The one thread per platform that calls it; it never touches the database."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from ..connector import Platform
from ..errors import Blocked, Denied, Gone, Unavailable
from ..model import Account, Delivery, Outcome


class Opened(NamedTuple):
    """The platform is open, or could not be opened."""

    error: BaseException | None


class Found(NamedTuple):
    """What a look-up said: the remote ids under which an account may be there, the likeliest first."""

    account: int
    remote_ids: tuple[str, ...]
    error: BaseException | None = None


class Ended(NamedTuple):
    """A job is over; ``fed`` are the deliveries that the platform has seen, ``error`` is what ended it early."""

    fed: frozenset[int]
    error: BaseException | None


Message: TypeAlias = Opened | Found | Outcome | Ended


class Broken(Exception):
    """The platform's ``deliver`` or ``find`` did what the contract forbids."""


class Job(NamedTuple):
    """Look-ups, then deliveries; so many ``failures`` in a row end it.

    An account that is looked up comes in every shape that it may have there, of which the first that is found counts.
    """

    finds: Sequence[tuple[int, Sequence[Account]]]
    deliveries: Sequence[Delivery]
    failures: int


class Worker:
    """Calls one platform, and tells what became of it through ``results``.

    ``halted`` is asked before each further account: what was begun is finished, nothing new is begun.
    """

    def __init__(
        self,
        name: str,
        platform: Platform,
        results: queue.Queue[tuple[str, Message]],
        halted: Callable[[], bool],
    ) -> None:
        self._name = name
        self._platform = platform
        self._results = results
        self._halted = halted
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        # A daemon thread: a platform that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"syncd-{name}", daemon=True)
        self._thread.start()

    def give(self, job: Job) -> None:
        """Let it do a job; Ended is the last that is heard of it."""
        self._jobs.put(job)

    def end(self) -> None:
        """Let it close the platform when the job at hand is over."""
        self._jobs.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the platform to be closed, but not for ever."""
        self._thread.join(seconds)

    @property
    def alive(self) -> Callable[[], bool]:
        """What says whether it may still touch the platform, and keeps nothing else that the worker knows."""
        return self._thread.is_alive

    def _tell(self, message: Message) -> None:
        self._results.put((self._name, message))

    def _run(self) -> None:
        try:
            self._platform.open()
        except BaseException as error:  # noqa: BLE001 - a plugin's SystemExit must not leave the lane waiting
            self._tell(Opened(error))
        else:
            self._tell(Opened(None))
            while (job := self._jobs.get()) is not None:
                self._tell(self._do(job))
        with suppress(BaseException):  # close never raises; and everything was told by now
            self._platform.close()

    def _do(self, job: Job) -> Ended:
        fed: list[int] = []
        try:
            if self._find(job.finds):
                self._deliver(job, fed)
        except BaseException as error:  # noqa: BLE001 - what it means is for the main thread to say
            return Ended(frozenset(fed), error)
        return Ended(frozenset(fed), None)

    def _find(self, finds: Sequence[tuple[int, Sequence[Account]]]) -> bool:
        """Look accounts up; return False if the platform cannot be used."""
        answers = iter(self._platform.find_all([one for _, accounts in finds for one in accounts]))
        for number, accounts in finds:
            if self._halted():
                return False
            try:
                found = [_checked(next(answers, Broken("find_all() ended too early"))) for _ in accounts]
            except BaseException as error:  # noqa: BLE001 - as above
                self._tell(Found(number, (), error))
                if isinstance(error, Unavailable | Denied):
                    return False
            else:
                self._tell(Found(number, tuple(filter(None, found))))
        return True

    def _deliver(self, job: Job, fed: list[int]) -> None:
        """Feed the deliveries one by one, so that a platform which takes them so stops where it must."""
        failures, stop = 0, False

        def feed() -> Iterator[Delivery]:
            nonlocal stop
            for delivery in job.deliveries:
                stop = stop or self._halted()
                if stop:
                    return
                fed.append(delivery.id)
                yield delivery

        answered: set[int] = set()
        if not job.deliveries:
            return
        for outcome in self._platform.deliver(feed()):
            if not isinstance(outcome, Outcome):
                raise Broken(f"deliver() yielded {type(outcome).__name__} where an Outcome belongs")
            if outcome.id not in fed or outcome.id in answered:
                raise Broken(f"deliver() yielded an outcome for {outcome.id!r}, which nobody waits for")
            answered.add(outcome.id)
            self._tell(outcome)
            failures = failures + 1 if is_failure(outcome.error) else 0
            stop = stop or failures >= job.failures or isinstance(outcome.error, Unavailable | Denied)
        taken = len(fed) if stop else len(job.deliveries)
        if len(answered) < taken:
            raise Broken(f"deliver() yielded {len(answered)} outcomes for {taken} deliveries")


def _checked(remote_id: object) -> str | None:
    if isinstance(remote_id, Exception):
        raise remote_id
    if remote_id is None or (isinstance(remote_id, str) and remote_id):
        return remote_id
    raise Broken(f"find() returned {remote_id!r:.40} where a remote id or None belongs")


def is_failure(error: BaseException | None) -> bool:
    """Say whether an outcome speaks against the platform: being blocked, denied or gone does not."""
    return error is not None and not isinstance(error, Blocked | Denied | Gone)
