"""What an outcome means for the row that it answers. Pure but for the jitter of the back-off."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ..errors import Blocked, ConnectorError, Denied, Gone, PluginError, Rejected, Unavailable
from ..logs import redact
from ..store.remotes import Change, Due, rounded_up, told_until
from .health import Line, back_off
from .lanes import Lane
from .steps import Step
from .worker import Broken

RENUMBERING = frozenset({"update", "enable", "disable"})
"""Actions that may give an account other keys, and with them another remote id."""

_LONGEST_TOLD = 366 * 86400.0


class Verdict(NamedTuple):
    """``kind`` is ``confirmed``, ``blocked``, ``failed``, ``gone``, ``denied``, ``unavailable`` or ``broken``."""

    kind: str
    change: Change


def verdict_of(
    lane: Lane,
    step: Step,
    intent: int,
    remote_id: str | None,
    error: object,
    now: datetime,
    forms: Iterable[str],
) -> Verdict:
    """Judge an outcome; an error that is neither None nor an exception is the plugin's fault as well."""
    if error is None and step.action == "add" and not (isinstance(remote_id, str) and remote_id):
        error = Broken("it confirmed an add without a remote id")
    if error is None or (isinstance(error, Gone) and step.action == "delete"):
        return Verdict("confirmed", _confirmed(step, intent, remote_id))
    if not isinstance(error, BaseException):
        error = Broken(f"it yielded an error that is no exception, but {type(error).__name__}")
    change = trouble(lane, step.row, error, now, f"{step.action}()", forms)
    result = "failed" if change.state == "failed" else "waiting"
    change = change._replace(intent=intent, action=step.action, result=result)
    if isinstance(error, Gone) and step.action != "add":
        return Verdict("gone", _gone(lane, step.row, change, now))
    if isinstance(error, Denied):
        return Verdict("denied", change)
    if isinstance(error, Blocked):
        # A leaver may have been cut off, and no more.
        return Verdict("blocked", change._replace(delivered=None) if step.action == "disable" else change)
    if step.action == "delete" or isinstance(error, Rejected):
        # Part of it may have been done: how the account looks there is not known any more.
        change = change._replace(delivered=None)
    else:
        # No answer at all. The intent stays open, so that the account is looked up first, by its old keys and its
        # new ones: the platform may have given it another remote id.
        change = change._replace(result=None, intent=None, delivered=step.sent or change.delivered)
    if isinstance(error, Unavailable):
        return Verdict("unavailable", change)
    if isinstance(error, Broken):
        return Verdict("broken", change)
    return Verdict("failed", change)


def trouble(
    lane: Lane, row: Due, error: BaseException, now: datetime, doing: str, forms: Iterable[str] = ()
) -> Change:
    """Return the state of a row after an error of ``doing``; what stands on the platform stays as known."""
    text = said(error, forms)
    change = Change(row.account, row.wanted, "waiting", row.remote_id, row.delivered, row.attempts + 1)
    if isinstance(error, Denied):
        return change._replace(state="pending", message=f"denied: {text}")
    if isinstance(error, Unavailable) and (asked := told(error)) is not None:
        until = rounded_up(now + asked)
        return change._replace(next_try=until, message=told_until(until, text))
    until = rounded_up(now + back_off(row.attempts + 1, lane.pause, lane.longest))
    if isinstance(error, Unavailable):
        return change._replace(next_try=until, message=f"unavailable: {text}")
    if isinstance(error, Blocked):
        references = f" by {', '.join(error.references)}" if error.references else ""
        return change._replace(next_try=until, message=redact(f"blocked{references}: {text}"))
    if isinstance(error, Broken):
        return change._replace(next_try=until, message=str(blame(lane, doing, error, forms)))
    if isinstance(error, ConnectorError):
        return change._replace(state="failed", message=f"{type(error).__name__.lower()}: {text}")
    return change._replace(state="failed", message=str(blame(lane, doing, error, forms)))


def setback(
    lane: Lane, error: BaseException, now: datetime, doing: str, forms: Iterable[str] = ()
) -> list[Line]:
    """Leave the whole platform alone for a while after an error that is not one account's; return what to log."""
    pause = back_off(lane.health.setbacks + 1, lane.pause, lane.longest)
    if isinstance(error, Unavailable):
        asked, text = told(error), said(error, forms)
        return lane.health.setback("unavailable", text, now, asked or pause, told=asked is not None)
    if isinstance(error, Denied):
        return lane.health.setback("denied", said(error, forms), now, pause)
    return lane.health.setback("plugin", str(blame(lane, doing, error, forms)), now, pause)


def untouched(step: Step, intent: int) -> Change:
    """Return the change of a delivery that the platform never saw: nothing was done."""
    row = step.row
    return Change(
        row.account,
        row.wanted,
        "pending",
        row.remote_id,
        row.delivered,
        row.attempts,
        result="nothing",
        action=step.action,
        intent=intent,
    )


def looked_up(row: Due, found: Sequence[str], others: Collection[str] = ()) -> Change:
    """Return what a look-up means: the remote id is known, and how the account looks there is not.

    ``found`` are remote ids, the likeliest first; ``others`` are those of other accounts by now.

    Where it may have got other keys, it was searched for by its old ones first: if it is found by the others, the
    platform gave it another id with them. Else an id that was known before is truer than one that was searched for.
    """
    left_over = row.last_intent is None
    remote_id = found[0] if found else None
    before = None if row.remote_id in others else row.remote_id
    gone = remote_id is None and row.last_action == "delete"
    known = before if row.delivered is None and row.last_action not in RENUMBERING else None
    return Change(
        row.account,
        row.wanted,
        "pending",
        None if gone else known or remote_id or before,
        None,
        row.attempts,
        result="nothing" if remote_id is None else "found",
        action=(row.last_action or "find") if left_over else "find",
        intent=row.last if left_over else None,
    )


def not_taken_over(lane: Lane, row: Due, remote_id: str, holder: int | None, now: datetime) -> Change:
    """Return what becomes of an account whose number was allocated as free, and is that of something there.

    It waits where that is the ``holder``'s, another account, and is for a person to see to where it is nobody's.
    """
    if holder is not None:
        blocked = Blocked(f"{remote_id} is still that of account {holder} on platform {lane.name}")
        return trouble(lane, row, blocked, now, "find()")
    names = ", ".join(sorted(lane.allocated & frozenset().union(*lane.keys.values())))
    message = (
        f"{remote_id} is there already and has no account; what was allocated as free is not taken over: give account "
        f"{row.account} another {names} (syncd accounts edit), or this very one if it is this person's, and retry"
    )
    return Change(
        row.account, row.wanted, "failed", None, row.delivered, row.attempts + 1,
        message=message, result="failed", action="find",
    )  # fmt: skip


def of_all(error: BaseException, doing: str, forms: Iterable[str] = ()) -> BaseException:
    """Return an error of the whole platform as it counts for one row: an unexpected one makes it wait, not fail."""
    if isinstance(error, Unavailable | Denied | Broken):
        return error
    return Broken(f"{doing} raised {type(error).__name__}: {said(error, forms)}")


def told(error: Unavailable) -> timedelta | None:
    """Return how long the platform asked to be left alone, if it said so and it makes sense."""
    seconds = error.retry_after
    if seconds is None or not math.isfinite(seconds) or seconds <= 0:
        return None
    return timedelta(seconds=min(seconds, _LONGEST_TOLD))


def said(error: BaseException, forms: Iterable[str] = ()) -> str:
    """Return the text of an error on one line, without secrets: those of the configuration, and ``forms`` of others."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a plugin's own error class may fail to show itself
        text = f"{type(error).__name__} (its text cannot be shown)"
    return " ".join(redact(text, forms).split())[:500]


def blame(lane: Lane, doing: str, error: BaseException, forms: Iterable[str] = ()) -> PluginError:
    """Return the PluginError that says whose fault it was, and of which platform."""
    text = said(error, forms)
    what = text if isinstance(error, Broken) else f"{doing} raised {type(error).__name__}: {text}"
    return PluginError(lane.blamed, f"platform {lane.name}: {what}")


def _confirmed(step: Step, intent: int, remote_id: str | None) -> Change:
    row = step.row
    known = remote_id if isinstance(remote_id, str) and remote_id else row.remote_id
    return Change(
        row.account,
        row.wanted,
        "done" if step.final else "pending",
        None if step.action == "delete" else known,
        step.delivered,
        result="confirmed",
        action=step.action,
        intent=intent,
    )


def _gone(lane: Lane, row: Due, change: Change, now: datetime) -> Change:
    """Forget the remote id and leave the intent open, so that the account is looked up; if it was tried before, later."""
    change = change._replace(
        state="pending", remote_id=None, delivered=None, result=None, next_try=None,
        message="gone: it is looked up on the platform",
    )  # fmt: skip
    if row.attempts == 0:
        return change
    until = rounded_up(now + back_off(row.attempts + 1, lane.pause, lane.longest))
    return change._replace(state="waiting", next_try=until)
