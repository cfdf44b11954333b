"""From the fields of an event to the line that is written, and from libraries' own logging to events."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from types import ModuleType
from typing import Any, TextIO

# structlog imports rich, where it is there, for a way to draw exceptions, and asyncio for coroutines that log.
# Neither is used here: 5 MiB and 2 MiB, 70 ms. Whoever else imports them gets them as ever.
_INSTEAD = {"rich": None, "asyncio": ModuleType("asyncio")}  # None makes an import fail
_INSTEAD = {name: module for name, module in _INSTEAD.items() if name not in sys.modules}
sys.modules.update(_INSTEAD)  # type: ignore[arg-type]
import structlog  # noqa: E402

for _name in _INSTEAD:
    del sys.modules[_name]

from . import journal, redaction  # noqa: E402

_FIRST = ("timestamp", "level", "event", "run", "connection", "platform", "operation", "account")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def install(stream: TextIO | None, level: int, *, as_json: bool | None) -> None:
    """Make structlog write lines to ``stream``, or to journald; see ``logs.configure``."""
    now = sys.stderr if stream is None else stream
    terminal = _is_terminal(now)
    to_journal = as_json is None and _is_journal(now) and journal.is_available()
    for_terminal = as_json is False or (as_json is None and terminal)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(),  # as text, which shows no local variables
            _Line(_console(colors=terminal) if for_terminal else None),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Journal(stream) if to_journal else _Output(stream),
        cache_logger_on_first_use=False,
    )


class _Line:
    """The last step: the text that is written, and the fields that it was made of."""

    def __init__(self, console: structlog.dev.ConsoleRenderer | None) -> None:
        self.console = console

    def __call__(
        self, logger: Any, level: str, fields: MutableMapping[str, Any]
    ) -> tuple[tuple[str, dict[str, Any]], dict[str, Any]]:
        try:
            ordered = {name: fields[name] for name in _FIRST if name in fields}
            line = redaction.clean({**ordered, **fields}, redaction.SECRETS)
            if self.console is None:
                text = json.dumps(line)
            else:
                text = self.console(logger, level, {name: _still(value) for name, value in line.items()})
        except Exception as error:  # noqa: BLE001 -- a log line breaks nothing
            event = redaction.SECRETS.redact(redaction.as_text(fields.get("event")))
            line = {"level": level, "event": event, "lost": type(error).__name__}
            text = json.dumps(line)
        return (text, line), {}


def _console(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=colors and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
        sort_keys=False,
        exception_formatter=structlog.dev.plain_traceback,
    )


def _still(value: Any) -> Any:
    """Return ``value`` without what would move a terminal's cursor or turn its text round."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value) if isinstance(value, str) else value


class _Output:
    """Writes whole lines; under journald each with its priority in front, which journald takes off."""

    _writing = threading.Lock()

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def debug(self, text: str, line: Mapping[str, Any]) -> None:
        self._write("debug", text, line)

    def info(self, text: str, line: Mapping[str, Any]) -> None:
        self._write("info", text, line)

    def warning(self, text: str, line: Mapping[str, Any]) -> None:
        self._write("warning", text, line)

    def error(self, text: str, line: Mapping[str, Any]) -> None:
        self._write("error", text, line)

    def _write(self, level: str, text: str, line: Mapping[str, Any]) -> None:  # noqa: ARG002 -- for _Journal
        stream = sys.stderr if self._stream is None else self._stream
        first = f"<{journal.PRIORITY[level]}>" if _is_journal(stream) else ""
        with suppress(OSError, ValueError), self._writing:  # nowhere is left to report a full disk to
            encoding = getattr(stream, "encoding", None) or "utf-8"
            stream.write((first + text + "\n").encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()


class _Journal(_Output):
    """Hands fields to journald, and writes the line where journald does not take them."""

    def _write(self, level: str, text: str, line: Mapping[str, Any]) -> None:
        if not journal.send(level, line):
            super()._write(level, text, line)


def _is_terminal(stream: TextIO) -> bool:
    with suppress(OSError, ValueError, AttributeError):
        return stream.isatty()
    return False


def _is_journal(stream: TextIO) -> bool:
    """Tell whether journald reads ``stream``: it names what it reads by device and inode."""
    if "JOURNAL_STREAM" not in os.environ:
        return False
    with suppress(OSError, ValueError, AttributeError):
        status = os.fstat(stream.fileno())
        return os.environ["JOURNAL_STREAM"] == f"{status.st_dev}:{status.st_ino}"
    return False


class _Libraries(logging.Handler):
    """Turns what libraries log into events of ours."""

    def __init__(self, get_log: Callable[[str], Any]) -> None:
        super().__init__(logging.WARNING)
        self._get_log = get_log

    def emit(self, record: logging.LogRecord) -> None:
        log = self._get_log(record.name)
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 -- a mistake in a library's own call breaks nothing of ours
            message = redaction.as_text(record.msg)
        if record.levelno >= logging.ERROR:
            log.error("library_logged", message=message, exc_info=record.exc_info)
        else:
            log.warning("library_logged", message=message, exc_info=record.exc_info)


def listen_to_libraries(get_log: Callable[[str], Any]) -> None:
    """Report what libraries log, from warnings on, through ``get_log``; ldap3 stays silent."""
    root = logging.getLogger()
    for ours in [listener for listener in root.handlers if isinstance(listener, _Libraries)]:
        root.removeHandler(ours)
    root.addHandler(_Libraries(get_log))
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    silent = logging.getLogger("ldap3")
    silent.handlers = [logging.NullHandler()]
    silent.propagate = False
