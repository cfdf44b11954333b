"""The thread that brings platforms to what is wanted, whoever has wanted it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from queue import Empty, SimpleQueue
from time import monotonic

from ..distribution import Lane, LaneReport
from ..errors import SyncdError
from ..logs import get_log
from ..pipeline.delivering import deliver, finish
from ..pipeline.installation import Installation
from ..pipeline.line import resume
from ..pipeline.policy import settle_policy
from ..pipeline.sealing import Keyless
from ..pipeline.turns import Stopping
from ..store import remotes
from .generation import Generation
from .memory import give_back
from .site import Site

log = get_log("syncd.daemon")

PASS = timedelta(seconds=60)
"""How long one pass goes on at most: then a platform that does not answer keeps no other from its next turn."""

_REST = 60.0
_POLL = 1.0
_NAME = "deliveries"
_AGAIN = frozenset({"stopping", "deadline"})

Told = Callable[[str, int], None]


class Courier:
    """Delivers whenever it is woken, and when something that waits is due again."""

    def __init__(self, site: Site) -> None:
        self.lanes: list[Lane] = []
        self.trouble = ""
        """Why nothing can be delivered to any platform; and if the configuration is new, nothing be read."""
        self._site = site
        self._generation: Generation | None = None
        self._equipped: Generation | None = None
        self._changed = threading.Condition()
        self.resumed = False
        self._asked = 1
        self._served = 0
        self._forgiven: set[str] = set()
        self._askers: list[tuple[int, SimpleQueue[dict[str, LaneReport]]]] = []
        self._confirmed = 0
        self._reports: dict[str, LaneReport] = {}
        self.thread = threading.Thread(target=self._run, name="syncd-deliveries", daemon=True)
        self.thread.start()

    def wake(self) -> None:
        """Have it look what is wanted."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()

    def ask(self, beat: Told | None = None, forgiven: Collection[str] = ()) -> dict[str, LaneReport]:
        """Have it look what is wanted, wait until it has gone as far as it goes, and return what it did.

        Of the platforms ``forgiven`` a person says that they are well again.
        """
        answer: SimpleQueue[dict[str, LaneReport]] = SimpleQueue()
        with self._changed:
            self._asked += 1
            self._forgiven.update(forgiven)
            self._askers.append((self._asked, answer))
            self._changed.notify_all()
        while not self._site.stopping.is_set():
            with suppress(Empty):
                return answer.get(timeout=_POLL)
            self._site.beats.alive()
            if beat is not None:
                beat("deliver", self._confirmed)
        raise Stopping("the service ends; what was not delivered is delivered after its next start")

    def _run(self) -> None:
        pause = 0.0
        while self._waits(pause):
            with self._site.holding() as generation:
                pause = self._safely(generation)
            if pause:
                give_back()

    def _waits(self, seconds: float) -> bool:
        """Wait until something is asked for, or as long; False when the service ends."""
        self._site.beats.rests(_NAME)
        until = monotonic() + seconds
        with self._changed:
            while not self._site.stopping.is_set():
                left = until - monotonic()
                if left <= 0 or self._asked > self._served or self._site.current is not self._generation:
                    return True
                self._changed.wait(min(left, _POLL))
        return False

    def _safely(self, generation: Generation) -> float:
        """Do one pass; return for how many seconds there is nothing to do, unless something is asked for."""
        with self._changed:
            asked = self._asked
        try:
            with closing(self._site.open()) as database:
                here = self._site.installation(generation, database)
                reports = self._pass(generation, here)
                again = any(one.stopped in _AGAIN for one in reports.values())
                pause = 0.0 if again else self._rest(here)
        except Stopping:
            return _REST
        except (SyncdError, OSError) as error:
            self.trouble = str(error)
            log.error("deliveries_failed", error=str(error))  # noqa: TRY400 - it is told in words
        except (Exception, SystemExit) as error:  # a plugin's must not end the service
            self.trouble = str(error) or type(error).__name__
            log.exception("deliveries_failed")
        else:
            self.trouble = ""
            self._tell(reports, None if again else asked)
            return pause
        self._tell({}, asked)
        return _REST

    def _pass(self, generation: Generation, here: Installation) -> dict[str, LaneReport]:
        self._generation = generation
        if generation is not self._equipped:
            self.lanes = generation.lanes(here, self.lanes)
            self._equipped = generation
        if not generation.settled.is_set():
            self._take_up(here)
            generation.settled.set()
        with self._changed:
            forgiven, self._forgiven = self._forgiven, set()
        for lane in self.lanes:
            if lane.name in forgiven:
                lane.health.forgive()
        self._beat("deliver", 0)
        return deliver(here, self._beat, lanes=self.lanes, deadline=here.clock() + PASS)

    def _take_up(self, here: Installation) -> None:
        """Finish what a process that ended has left, then plan what the configuration changes for platforms."""
        if not self.resumed:
            for run in resume(here, beat=self._beat, left=_left):
                finish(here, run)
            self.resumed = True
        self._beat("settle", 0)
        settle_policy(here)

    def _beat(self, stage: str, count: int) -> None:
        self._confirmed = count
        self._site.beats.works(_NAME, f"{stage} {count}")

    def _tell(self, reports: dict[str, LaneReport], served: int | None) -> None:
        """Let those who asked know; what one pass could not end is one report with what the next ones do."""
        self._reports = {name: _sum(self._reports.get(name), one) for name, one in reports.items()}
        if served is None:
            return
        with self._changed:
            self._served = served
            for number, answer in self._askers:
                if number <= served:
                    answer.put(self._reports)
            self._askers = [one for one in self._askers if one[0] > served]
        self._reports = {}

    def _rest(self, here: Installation) -> float:
        now = here.clock()
        times = [remotes.next_try(here.database, lane.name, now) for lane in self.lanes]
        times += [lane.health.until(now) for lane in self.lanes]
        seconds = [(time - now).total_seconds() for time in times if time is not None]
        return max(1.0, min([_REST, *seconds]))


def _left(error: Keyless) -> None:
    """Say of a run that it waits; the reading of its source will fail with the same words."""
    log.error("run_left", error=str(error))


def _sum(before: LaneReport | None, now: LaneReport) -> LaneReport:
    if before is None:
        return now
    counts = ("confirmed", "unchanged", "failed", "waiting")
    return replace(now, **{name: getattr(before, name) + getattr(now, name) for name in counts})
