"""The observer: notices are gathered for a moment and sent as one mail, by a thread of its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from syncd import Context, Denied, Event, Observer, Unavailable

from .options import Options
from .sending import Refused, asked, send
from .writing import letter

_GATHER = 3.0
"""Seconds in which more notices may come that belong into the same mail."""

_PAUSES = (10.0, 60.0, 300.0, 1800.0)
"""Seconds between one try and the next; behind the last one the mail is given up."""

_HOUR = 3600.0
_MOST = 500
"""Notices that wait, at most; of more, the oldest are only counted."""

_LAST = 3.0
"""Seconds that the last mail may take when the service ends."""

_GRADES = {"warning": 1, "critical": 2}


class Mail(Observer):
    """Sends notices by mail; all other events are nothing to it.

    ``observe`` only takes note. What cannot be sent is tried again for half an hour, then the log says so.
    """

    Options = Options

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__(options, context)
        self._wake = threading.Condition()
        self._waiting: deque[Event] = deque(maxlen=_MOST)
        self._lost = 0
        self._thread: threading.Thread | None = None
        self._closing = False
        self._sent: deque[float] = deque()

    def open(self) -> None:
        """Begin, once more after a ``close``; nothing is asked of the server."""
        self._closing = False

    def observe(self, event: Event) -> None:
        """Take note of a notice; the thread sends it."""
        if not self._is_wanted(event):
            return
        with self._wake:
            self._lost += len(self._waiting) == _MOST
            self._waiting.append(event)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="syncd-mail", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def close(self) -> None:
        """Send what waits, in one short try."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(_LAST + 1)
            self._thread = None

    def check(self) -> list[str]:
        """Greet the server, log in, and let it take sender and receivers; nothing is sent."""
        try:
            return [asked(self.options, self._password(), self.options.timeout)]
        except Refused as error:
            raise Denied(str(error)) from error
        except OSError as error:
            raise Unavailable(str(error)) from error

    def _is_wanted(self, event: Event) -> bool:
        """Say whether an event is a notice to be sent; that something is over is as grave as that was."""
        severity = event.fields.get("severity")
        grave = event.fields.get("was") if severity == "ok" else severity
        return _GRADES.get(str(grave), 0) >= _GRADES[self.options.least]

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
            self._pause(_GATHER)
            self._pause(self._until_allowed())
            with self._wake:
                events, lost = list(self._waiting), self._lost
                self._waiting.clear()
                self._lost = 0
            self._deliver(events, lost)

    def _deliver(self, events: list[Event], lost: int) -> None:
        """Send one mail, trying again for as long as there is time."""
        message = letter(self.options, events, lost)
        for pause in (*_PAUSES, None):
            self._sent.append(time.monotonic())
            closing = self._closing
            try:
                timeout = _LAST if closing else self.options.timeout
                refused = send(self.options, self._password(), message, timeout)
            except (OSError, Refused) as error:
                last = pause is None or closing or isinstance(error, Refused)
                self._log(error, len(events), last=last)
                if last:
                    return
                self._pause(pause or 0.0)
            except Exception as error:  # noqa: BLE001 - a secret that is gone; the thread has to live on
                self._log(error, len(events), last=True)
                return
            else:
                self.context.log.info("mail_sent", notices=len(events))
                if refused:
                    self.context.log.warning("mail_receiver_refused", receivers=refused)
                return

    def _log(self, error: Exception, count: int, *, last: bool) -> None:
        if last:
            self.context.log.error("mail_given_up", error=str(error), notices=count)
        else:
            self.context.log.warning("mail_not_sent", error=str(error), notices=count)

    def _pause(self, seconds: float) -> None:
        """Wait, unless the service ends."""
        with self._wake:
            self._wake.wait_for(lambda: self._closing, seconds)

    def _until_allowed(self) -> float:
        """Return for how many seconds no further mail may go out."""
        now = time.monotonic()
        while self._sent and now - self._sent[0] > _HOUR:
            self._sent.popleft()
        over = len(self._sent) - self.options.per_hour
        return self._sent[over] + _HOUR - now if over >= 0 else 0.0

    def _password(self) -> str | None:
        """Look the password up anew: a file may have another one by now."""
        reference = self.options.password
        return None if reference is None else self.context.secret(reference.get_secret_value())
