"""Choosing what a platform is to do next: the due rows in their order, without those that have to wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from ..errors import Blocked, Denied, Unavailable
from ..logs import forms_of
from ..model import Account
from ..store import remotes
from ..store.database import Database
from ..store.remotes import SUSPECT, Change, Due
from ..store.staging import stamp
from .claims import circling, doubtful, require_free
from .lanes import Lane
from .scanning import Scan
from .steps import Step, belongs, cut_off, opened, parting_of, secrets_of, sought, step_of, unopened
from .verdicts import trouble
from .waits import Waits

_FLUSH = 1000


@dataclass(slots=True)
class Batch:
    """What the worker is given at once.

    ``finds`` are accounts to look up, each in the shapes that the platform may know; those that are ``doubtful``
    lest anything be taken over. ``open`` are the steps without an outcome by the id of their intent.
    """

    finds: dict[int, tuple[Due, list[Account]]] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    open: dict[int, Step] = field(default_factory=dict)
    answered: int = 0
    failed: int = 0
    secrets: tuple[str, ...] | None = None

    def forms(self, lane: Lane, error: BaseException | None, step: Step | None = None) -> tuple[str, ...]:
        """Return how secrets may stand in an error: those of a step, or of all where it is the whole platform's."""
        if error is None:
            return ()
        if step is not None and not isinstance(error, Unavailable | Denied):
            return forms_of(secrets_of(lane, step.account))
        if self.secrets is None:
            told = (one for each in self.steps for one in secrets_of(lane, each.account))
            # Any number holds a code of three digits.
            self.secrets = forms_of(one for one in told if len(one) > 3)
        return self.secrets

    @property
    def size(self) -> int:
        """How many accounts it holds."""
        return len(self.finds) + len(self.steps)

    @property
    def rows(self) -> list[Due]:
        """The rows that it holds."""
        return [row for row, _ in self.finds.values()] + [step.row for step in self.steps]


class Choice:
    """Everything due on one platform, given out batch by batch; what needs no call is written down at once."""

    def __init__(
        self, database: Database, lane: Lane, lanes: Sequence[Lane], beat: Callable[[], None]
    ) -> None:
        self.unchanged = 0
        self.unmapped = 0
        self.blocked = 0
        """How many want a key that is another enterprise's there."""
        self.left = 0
        """How many stay where they are because another platform has not got them yet."""
        self.moving: dict[int, set[str]] = {}
        """Those for whom another platform may still get ready in this call."""
        self._database = database
        self._lane = lane
        self._others = [one for one in lanes if one.name != lane.name]
        self._beat = beat
        self._last_look = False
        self._looked: set[int] = set()
        self._first: set[int] = set()
        self._changes: list[Change] = []
        self._parting: dict[int, set[str]] = {}
        self._scan = Scan(database, lane.name)
        self._waits = Waits(remotes.contended(database, lane.name))

    @property
    def held(self) -> int:
        """How many wait for another account's key, or for another platform."""
        return self._waits.held + self.left + len(self.moving)

    def again(self, accounts: Iterable[int]) -> None:
        """Let these accounts come next."""
        self._scan.again(accounts)

    def confirmed(self, step: Step) -> None:
        """Learn that a step was confirmed: those who waited for it can go on."""
        account = step.row.account
        if step.final:
            self.again(self._waits.settle(account))
        elif step.lets_go:
            self.again(self._waits.release(account))
        else:
            self.again([account])

    def nothing_there(self, account: int) -> None:
        """Learn that the platform has nothing under the number that was allocated to an account."""
        self._looked.add(account)
        self.again([account])

    def give_way(self, platforms: Iterable[str]) -> bool:
        """Go on with those who have arrived elsewhere meanwhile; return False if there is nobody.

        Of each circle of those who move to each other's places, one goes without having arrived.
        """
        database, moving = self._database, self.moving
        ready = {one for one, places in moving.items() if places.isdisjoint(remotes.unsettled(database, one))}
        if not ready:
            ready = circling(database, platforms, moving)
            self._first |= ready
        self.moving = {one: places for one, places in moving.items() if one not in ready}
        self.again(sorted(ready))
        return bool(ready)

    def look_again(self) -> None:
        """Look a last time at those who should first arrive on another platform."""
        self._last_look = True
        self.again(self.moving)
        self.moving = {}

    def batch(self, now: datetime) -> Batch:
        """Return what to do next; an empty batch if there is nothing."""
        batch = Batch()
        size = 1 if self._lane.health.probing else self._lane.batch
        while batch.size < size:
            row = self._scan.row(now)
            if row is None:
                if batch.size or not self._break_circles(batch, size, now):
                    break
                continue
            suspect = row.attempts >= SUSPECT
            if suspect and batch.size:
                self._scan.back(row)
                break
            self._examine(row, batch, now)
            if suspect and batch.size:
                break
            if len(self._changes) >= _FLUSH:
                self._write(now)
        self._write(now)
        return batch

    def _write(self, now: datetime) -> None:
        remotes.record(self._database, self._lane.name, stamp(now), self._changes)
        self._changes.clear()
        self._beat()

    def _examine(self, row: Due, batch: Batch, now: datetime) -> None:
        try:
            if row.unsure:
                batch.finds[row.account] = (row, self._sought(row))
                return
            step = step_of(self._lane, row)
            if step is not None:
                step = cut_off(self._lane, step)
                require_free(self._database, self._lane, step)
                step = self._opened(step)
        except Blocked as error:
            self._changes.append(trouble(self._lane, row, error, now, ""))
            self.blocked += 1
            return
        except Exception as error:  # noqa: BLE001 - one account that cannot be mapped must not stop the others
            self._changes.append(trouble(self._lane, row, error, now, "the mapping of its fields"))
            self.unmapped += 1
            return
        if step is None:
            self._changes.append(Change(row.account, row.wanted, "done", row.remote_id, row.delivered))
            self.unchanged += 1
            self.again(self._waits.settle(row.account))
        elif step.action == "delete":
            self._delete(step, batch)
        elif self._waits.must_wait(row.account) and (step.action != "disable" or step.final):
            self._waits.hold(row.account, row.wanted)
        elif row.account not in self._looked and (account := doubtful(self._database, self._lane, step)):
            batch.finds[row.account] = (row, [account])
            batch.doubtful.add(row.account)
        else:
            batch.steps.append(step)

    def _sought(self, row: Due) -> list[Account]:
        """Return the account with the keys that it had there, and with those that it may have got since."""
        rows = [row]
        if row.last_action in {"update", "enable", "disable"}:
            asked = row._replace(delivered=None)
            rows += [asked, *remotes.formerly(self._database, self._lane.name, asked)]
        accounts = [sought(self._lane, one) for one in rows]
        return [one for number, one in enumerate(accounts) if one not in accounts[:number]]

    def _opened(self, step: Step) -> Step:
        """Return a step with the secrets that the platform is to be told; a leaver does not wait for them."""
        if step.action == "delete":
            return step
        try:
            return step._replace(account=opened(self._lane, step.row, step.account))
        except Unavailable:
            if step.action != "disable":
                raise
            return unopened(self._lane, step)

    def _delete(self, step: Step, batch: Batch) -> None:
        """A move adds before it removes: whoever is awaited elsewhere stays until having arrived there."""
        account = step.row.account
        awaiting = {lane.name for lane in self._others if belongs(lane, step.row)}
        if account in self._first or awaiting.isdisjoint(remotes.unsettled(self._database, account)):
            batch.steps.append(step)
        elif self._last_look:
            self.left += 1
        else:
            self.moving[account] = awaiting

    def _break_circles(self, batch: Batch, size: int, now: datetime) -> bool:
        """Let one account of each circle of waiting ones give way; return False if there is no circle.

        Where none can do without its keys, the whole circle goes at once: it is never divided.
        """
        if not self._parting:
            self._parting = self._waits.break_cycles()
        chosen = {account: self._parting.pop(account) for account in list(islice(self._parting, size))}
        whole: set[int] = set()
        for row in remotes.due_of(self._database, self._lane.name, now, chosen):
            step = parting_of(self._lane, row, chosen[row.account])
            if step is None:
                self.again(self._waits.release(row.account))
            elif step.lets_go or step.action == "delete":
                batch.steps.append(self._opened(step))
            else:
                whole |= self._waits.together(row.account)
        whole.difference_update(step.row.account for step in batch.steps)
        for row in remotes.due_of(self._database, self._lane.name, now, whole):
            if (step := step_of(self._lane, row)) is not None:
                batch.steps.append(self._opened(step))
        return bool(chosen)
