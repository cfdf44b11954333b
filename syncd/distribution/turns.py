"""One platform's part in one call of ``distribute``: all of it but the worker runs on the main thread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..errors import Denied, Unavailable
from ..model import Outcome
from ..store import handovers, remotes
from ..store.remotes import Change, Intent
from ..store.staging import stamp
from .call import Call
from .choosing import Batch, Choice
from .claims import Place
from .health import Line
from .lanes import Lane, LaneReport
from .steps import Step
from .verdicts import blame, looked_up, not_taken_over, of_all, setback, trouble, untouched, verdict_of
from .worker import Broken, Ended, Found, Job, Message, Opened, Worker


class Turn:
    """Brings one platform as far as it goes: ``go_on`` and ``take``, until it is ``finished``."""

    def __init__(self, call: Call, lane: Lane) -> None:
        self.lane = lane
        self.report = LaneReport(lane.name)
        self.finished = False
        self.lingering = False
        """Nothing is left but what waits for other platforms."""
        self._call = call
        self._database = call.database
        self._worker: Worker | None = None
        self._batch: Batch | None = None
        self._wakes: datetime | None = None
        self._lines: list[Line] = []
        self._patient = True
        self.choice = self._choose()
        health = lane.health
        if not health.known:
            health.known = True
            health.down, health.told_until = remotes.told(call.database, lane.name, call.clock())
            health.why = "unavailable" if health.down else ""
        if health.working():
            self.finish("busy")

    def _choose(self) -> Choice:
        call, name = self._call, self.lane.name
        others = {one.name: one for one in call.configured if one.name != name}
        return Choice(self._database, self.lane, others, call.beat, call.settled)

    @property
    def busy(self) -> bool:
        """Whether the platform is being called."""
        return self._batch is not None

    def go_on(self, now: datetime) -> None:
        """Begin what can be begun; afterwards it is busy, asleep, lingering or finished."""
        if self.finished or self.lingering or self.busy:
            return
        why = self._call.halted()
        if why:
            self.finish(why)
        elif self._wakes is not None and (now < self._wakes or self._closing()):
            return
        elif self.lane.health.until(now) is not None:
            self._rest(now)
        else:
            self._next(now)

    def _next(self, now: datetime) -> None:
        if self._wakes is not None:
            self._tally()
            self._wakes, self._patient, self.choice = None, True, self._choose()
        batch = self.choice.batch(now)
        if not batch.size:
            self._rest(now)
            return
        if self._worker is None:
            self._begin(batch)
        else:
            self._batch = batch
            self._submit(batch, now)

    def _begin(self, batch: Batch) -> None:
        """Let a worker open the platform, and then do a batch."""
        self._batch = batch
        self.lane.begin(self._database)
        self._worker = Worker(
            self.lane.name, self.lane.platform, self._call.results, lambda: bool(self._call.halted())
        )
        self.lane.health.working = self._worker.alive

    def _rest(self, now: datetime) -> None:
        """Nothing can be done now: linger for other platforms, sleep, or finish."""
        until = self.lane.health.until(now)
        if until is None and self.choice.awaiting and self._patient:
            self.lingering = True
            return
        wakes = until or remotes.next_try(self._database, self.lane.name, now)
        patient = self._call.until is not None and wakes is not None and wakes <= self._call.until
        if patient and remotes.any_open(self._database, self.lane.name):
            self._wakes = wakes
            if self._worker is not None:
                self._worker.end()  # to be opened anew: what it holds may not outlive the pause
        else:
            self.finish(self.lane.health.why if until else "", until)

    def _closing(self) -> bool:
        """Say whether the last worker is still closing the platform, which only one thread may use."""
        if self._worker is not None and not self._worker.alive():
            self._worker = None
        return self._worker is not None

    def heard(self, place: Place) -> None:
        """Learn what another platform has settled, which somebody may have waited for."""
        if not self.finished and self.choice.heard(place):
            self.lingering = False

    def reach(self) -> bool:
        """See whether the platform can be used if nothing was asked of it yet; return whether that is begun."""
        if self._worker is not None:
            return False
        self.lingering = False
        self._begin(Batch())
        return True

    def give_way(self, places: set[Place]) -> None:
        """Let those go first without whom nobody could go."""
        if self.choice.give_way(places):
            self.lingering = False

    def give_up(self) -> None:
        """Wait no longer for other platforms in this call."""
        self._patient, self.lingering = False, False

    def finish(self, why: str, until: datetime | None = None) -> None:
        """Let it be for this call; a platform that is still being called is given up."""
        self._tally()
        report, health = self.report, self.lane.health
        report.held = self.choice.held
        report.stopped, report.until = why, until
        report.message = health.message if why and why == health.why else ""
        self.finished = True
        if self._worker is not None:
            self._worker.end()
        counts = {
            name: getattr(report, name) for name in ("confirmed", "unchanged", "failed", "waiting", "held")
        }
        if any(counts.values()):
            self._call.log.info("platform_distributed", platform=self.lane.name, **counts, stopped=why)

    def close(self, seconds: float) -> None:
        """Wait until the platform is closed, unless it was given up."""
        if self._worker is not None:
            self._worker.end()
            if not (self.finished and self.busy):
                self._worker.join(seconds)

    def _tally(self) -> None:
        self.report.unchanged += self.choice.unchanged
        self.report.failed += self.choice.unmapped
        self.report.waiting += self.choice.blocked

    # Calling the platform, and what comes of it

    def _submit(self, batch: Batch, now: datetime) -> None:
        rows = [step.row for step in batch.steps]
        intents = [
            Intent(row.account, row.wanted, step.action, row.remote_id, step.sent)
            for row, step in zip(rows, batch.steps, strict=True)
        ]
        ids = remotes.intend(self._database, self.lane.name, stamp(now), intents)
        batch.open = dict(zip(ids, batch.steps, strict=True))
        for step in batch.steps:
            self._say("delivery_started", step)
        self._flush_lines()
        assert self._worker is not None  # noqa: S101 - it has just said that it is open
        self._worker.give(
            Job(
                [(number, accounts) for number, (_, accounts) in batch.finds.items()],
                [step.delivery(number) for number, step in batch.open.items()],
                max(1, self.lane.breaker.failures - self.lane.health.failures),
            )
        )

    def take(self, messages: Sequence[Message], now: datetime) -> None:
        """Write down what the worker told, in one transaction."""
        changes: list[Change] = []
        for message in messages:
            batch = self._batch
            assert batch is not None  # noqa: S101 - a worker speaks of the batch that it has
            if isinstance(message, Opened):
                changes += self._opened(message.error, batch, now)
            elif isinstance(message, Found):
                changes += self._found(message, batch, now)
            elif isinstance(message, Outcome):
                changes.append(self._answered(message, batch, now))
            else:
                changes += self._ended(message, batch, now)
        remotes.record(self._database, self.lane.name, stamp(now), changes)
        self._flush_lines()

    def _opened(self, error: BaseException | None, batch: Batch, now: datetime) -> list[Change]:
        if error is None:
            self._submit(batch, now)
            return []
        self._batch = None
        self._lines += setback(self.lane, error, now, "open()")
        return [
            self._counted(trouble(self.lane, row, of_all(error, "open()"), now, "open()"))
            for row in batch.rows
        ]

    def _found(self, message: Found, batch: Batch, now: datetime) -> list[Change]:
        row, _ = batch.finds.pop(message.account)
        if message.error is not None:
            if isinstance(message.error, Unavailable | Denied):
                self._lines += setback(self.lane, message.error, now, "find()")
            return [self._counted(trouble(self.lane, row, message.error, now, "find()"))]
        self._lines += self.lane.health.answers()
        if row.account not in batch.doubtful:
            self.choice.again([row.account])
            others = self.choice.given_away(row.account)
            return [looked_up(row, [one for one in message.remote_ids if one not in others], others)]
        if not message.remote_ids:
            self.choice.nothing_there(row.account)
            return []
        holder = handovers.holder(self._database, self.lane.name, message.remote_ids[0])
        return [self._counted(not_taken_over(self.lane, row, message.remote_ids[0], holder, now))]

    def _answered(self, outcome: Outcome, batch: Batch, now: datetime) -> Change:
        step = batch.open.pop(outcome.id)
        error = outcome.error
        forms = batch.forms(self.lane, error, step)
        kind, change = verdict_of(self.lane, step, outcome.id, outcome.remote_id, error, now, forms)
        batch.answered += 1
        health = self.lane.health
        if kind in {"unavailable", "denied"} and error is not None:
            self._lines += setback(self.lane, error, now, step.action, forms)
        else:
            self._lines += health.answers()
        if kind == "confirmed":
            self._lines += health.confirms()
            self._say("delivery_confirmed", step)
            self.report.confirmed += step.final
            self.choice.confirmed(step)
            return change
        if kind == "gone" and change.state == "pending":
            self.choice.again([step.row.account])
            return change
        if kind in {"failed", "unavailable", "broken"}:
            batch.failed += 1
            health.failures += 1
        self._say("delivery_failed" if kind == "failed" else "delivery_waiting", step, error=change.message)
        return self._counted(change)

    def _ended(self, ended: Ended, batch: Batch, now: datetime) -> list[Change]:
        self._batch = None
        error = ended.error
        lost = {number: step for number, step in batch.open.items() if number in ended.fed}
        never = {number: step for number, step in batch.open.items() if number not in ended.fed}
        changes = [untouched(step, number) for number, step in never.items()]
        if error is not None:
            if not lost and not batch.answered:
                # Not a single one was taken: they wait as well, or this would go on for ever.
                changes = [
                    self._put_off(one, step, error, now, batch)
                    for one, step in zip(changes, never.values(), strict=True)
                ]
            changes += self._lost(lost, error, now, batch)
            failed = max(1, len(lost))
            batch.failed += failed
            batch.answered += failed
            self.lane.health.failures += failed
        self.choice.again([*batch.finds, *(step.row.account for step in never.values())])
        self._lines += self.lane.health.judge(
            self.lane.breaker, now, answered=batch.answered, failed=batch.failed
        )
        return changes

    def _lost(self, lost: dict[int, Step], error: BaseException, now: datetime, batch: Batch) -> list[Change]:
        """Judge the deliveries that the platform took and never answered: they are looked up before the next try."""
        forms = batch.forms(self.lane, error)
        if isinstance(error, Unavailable | Denied):
            self._lines += setback(self.lane, error, now, "deliver()", forms)
        elif len(lost) == 1 and not isinstance(error, Broken):
            ((number, step),) = lost.items()
            own = batch.forms(self.lane, error, step)
            change = verdict_of(self.lane, step, number, None, error, now, own).change
            self._say("delivery_failed", step, error=change.message)
            return [self._counted(change)]
        else:
            message = str(blame(self.lane, "deliver()", error, forms))
            self._lines.append(Line("error", "platform_broken", {"error": message}))
        changes = []
        for step in lost.values():
            change = trouble(self.lane, step.row, of_all(error, "deliver()", forms), now, "deliver()", forms)
            change = change._replace(delivered=step.sent or change.delivered)
            self._say("delivery_waiting", step, error=change.message)
            changes.append(self._counted(change))
        return changes

    def _put_off(
        self, change: Change, step: Step, error: BaseException, now: datetime, batch: Batch
    ) -> Change:
        forms = batch.forms(self.lane, error)
        waiting = trouble(self.lane, step.row, of_all(error, "deliver()", forms), now, "deliver()", forms)
        return self._counted(
            waiting._replace(result=change.result, action=change.action, intent=change.intent)
        )

    def _counted(self, change: Change) -> Change:
        self.report.failed += change.state == "failed"
        self.report.waiting += change.state == "waiting"
        return change

    def _say(self, event: str, step: Step, **fields: Any) -> None:
        row = step.row
        about = {"account": row.account, "operation": row.wanted, "action": step.action}
        self._lines.append(Line("debug", event, {**about, **fields}))

    def _flush_lines(self) -> None:
        """Say what happened, after it was committed."""
        for level, event, fields in self._lines:
            getattr(self._call.log, level)(event, platform=self.lane.name, **fields)
        self._lines.clear()
