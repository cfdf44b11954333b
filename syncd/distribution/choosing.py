"""Choosing what a platform is to do next: the due rows in their order, without those that have to wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from ..errors import Blocked, Denied, Unavailable
from ..logs import forms_of
from ..model import Account
from ..store import remotes
from ..store.database import Database
from ..store.handovers import AWAITED, Contended, certain_ids, contended, unsettled
from ..store.remotes import SUSPECT, Change, Due
from ..store.staging import stamp
from .claims import Place, doubtful, elsewhere, require_free
from .lanes import Lane
from .scanning import Scan
from .steps import Step, belongs, cut_off, opened, parting_of, secrets_of, sought, step_of, unopened
from .verdicts import RENUMBERING, trouble
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
    """Everything due on one platform, given out batch by batch; what needs no call is written down at once.

    ``settled`` is called with every account of which the platform has confirmed something, or needs nothing.
    """

    def __init__(
        self,
        database: Database,
        lane: Lane,
        others: Mapping[str, Lane],
        beat: Callable[[], None],
        settled: Callable[[Place], None],
    ) -> None:
        self.unchanged = 0
        self.unmapped = 0
        self.blocked = 0
        """How many want a key that is another enterprise's there."""
        self.awaiting: dict[Place, str] = {}
        """What can only be done once another platform has confirmed something: the actions."""
        self._database = database
        self._lane = lane
        self._others = others
        self._beat = beat
        self._settled = settled
        self._looked: set[int] = set()
        self._first: set[int] = set()
        self._changes: list[Change] = []
        self._parting: dict[int, set[str]] = {}
        self._scan = Scan(database, lane.name)
        every = contended(database)
        self._waits = Waits(
            (one.account, one.holder, one.attribute) for one in every if one.platform == lane.name
        )
        self._rivals: dict[int, list[Contended]] = {}
        for one in every:
            if one.platform in others and not one.foreign:
                self._rivals.setdefault(one.account, []).append(one)
        self._awaited_by: dict[Place, set[Place]] = {}

    @property
    def held(self) -> int:
        """How many wait for another account's key, or for another platform."""
        return self._waits.held + len(self.awaiting)

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
        self._settled((account, self._lane.name))

    def heard(self, place: Place) -> bool:
        """Learn what another platform has settled; return whether somebody waited for it."""
        return self._go(self._awaited_by.pop(place, set()))

    def nothing_there(self, account: int) -> None:
        """Learn that the platform has nothing under the number that was allocated to an account."""
        self._looked.add(account)
        self.again([account])

    def given_away(self, account: int) -> set[str]:
        """Return the remote ids that are by now those of who got the keys of an account."""
        return certain_ids(self._database, self._lane.name, self._waits.takers(account))

    def waiting(self) -> dict[Place, set[Place]]:
        """Return who waits, here and for other platforms, each with all that they wait for."""
        name = self._lane.name
        taking = [one for (one, _), action in self.awaiting.items() if action != "delete"]
        waits: dict[Place, set[Place]] = {place: set() for place in self.awaiting}
        for one in [*self._waits.waiting, *taking]:
            waits[one, name] = {(other, name) for other in self._waits.holders(one)}
        for place, those in self._awaited_by.items():
            for waiter in those & self.awaiting.keys():
                waits[waiter].add(place)
        return waits

    def give_way(self, places: set[Place]) -> bool:
        """Let those of these go who are here, without waiting for other platforms; return False if there are none."""
        self._first |= {account for account, _ in self.awaiting.keys() & places}
        return self._go(places)

    def _go(self, places: set[Place]) -> bool:
        """Let those of them go on who are here and wait for other platforms; return whether there are any."""
        found = sorted(self.awaiting.keys() & places)
        for place in found:
            del self.awaiting[place]
        self.again(account for account, _ in found)
        return bool(found)

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
            self._settled((row.account, self._lane.name))
        elif row.account not in self._first and (awaited := self._awaited(step)):
            self._await(step, awaited)
        elif step.action == "delete":
            batch.steps.append(step)
        elif self._waits.must_wait(row.account) and (step.action != "disable" or step.final):
            self._hold(row)
        elif row.account not in self._looked and (account := doubtful(self._database, self._lane, step)):
            batch.finds[row.account] = (row, [account])
            batch.doubtful.add(row.account)
        else:
            batch.steps.append(step)

    def _hold(self, row: Due) -> None:
        if row.remote_id is None:  # it has nothing there that anybody could wait for
            self.again(self._waits.release(row.account))
        self._waits.hold(row.account, row.wanted)

    def _awaited(self, step: Step) -> dict[Place, str]:
        """Return what has to be confirmed on other platforms first, each told in words.

        A move adds before it removes: whoever is awaited elsewhere stays until having arrived there.
        """
        account = step.row.account
        if step.action != "delete":
            rivals = self._rivals.get(account)
            return elsewhere(self._database, self._others, self._lane, step, rivals) if rivals else {}
        return {
            (account, name): f"it has yet to arrive on platform {name}"
            for name in unsettled(self._database, account) & self._others.keys()
            if belongs(self._others[name], step.row)
        }

    def _await(self, step: Step, awaited: Mapping[Place, str]) -> None:
        row = step.row
        here = (row.account, self._lane.name)
        self.awaiting[here] = step.action
        for place in awaited:
            self._awaited_by.setdefault(place, set()).add(here)
        message = f"{AWAITED}{awaited[min(awaited)]}"
        change = Change(row.account, row.wanted, "waiting", row.remote_id, row.delivered, row.attempts)
        self._changes.append(change._replace(message=message))

    def _sought(self, row: Due) -> list[Account]:
        """Return the account with the keys that it had there, and with those that it may have got since."""
        rows, asked = [row], row._replace(delivered=None)
        # Its old keys come first: what is found by others, and above all by those of now, may be somebody else.
        if row.delivered is None and row.last_action != "add":
            rows = [*reversed([row, *remotes.formerly(self._database, self._lane.name, asked)])]
        elif row.last_action in RENUMBERING or row.last_action == "delete":
            rows += [*remotes.formerly(self._database, self._lane.name, asked), asked]
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
