"""An event as journald's own fields, so that it can be asked for by run, source or kind of event.

``journalctl SYNCD_RUN=17`` and ``journalctl SYNCD_CONNECTION=hq -p warning`` find what concerns one run or
source; MESSAGE_ID says which event it is, and ``journalctl -x`` explains it from the catalog.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PRIORITY: Mapping[str, int] = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""Levels as syslog and journald number them."""

EVENTS = uuid.UUID("5f1c0b9e-6d0f-4b53-9a35-7f0e2b6f4c11")
"""The namespace of message ids: never to be changed, since people filter by what follows from it."""

SOCKET = Path("/run/systemd/journal/socket")

_LONGEST_NAME = 64  # journald drops a field with a longer one
_ELSEWHERE = {"timestamp", "level", "event"}  # journald's own time, PRIORITY and SYNCD_EVENT


def message_id(event: str) -> str:
    """Return the MESSAGE_ID of an event: a version 5 UUID of its name, as 32 hexadecimal digits."""
    return uuid.uuid5(EVENTS, event).hex


def is_available() -> bool:
    """Tell whether events can be sent: systemd-python is installed (``syncd[systemd]``)."""
    try:
        import systemd.journal  # noqa: F401 -- only whether it is there
    except ImportError:
        return False
    return True


def send(level: str, line: Mapping[str, Any]) -> bool:
    """Hand one event to journald; False, where it may not have arrived, and must be written elsewhere.

    What is too large for a datagram goes through a file in memory. Without journald's socket libsystemd
    says nothing and the event is lost, so the socket is looked for before and after.
    """
    from systemd.journal import sendv

    try:
        if not SOCKET.exists():
            return False
        sendv(*(_assignment(name, value) for name, value in entry(level, line)))
        return SOCKET.exists()
    except (OSError, ValueError):
        return False


def entry(level: str, line: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield journald's fields of an event whose values are fit to be shown already."""
    event = str(line.get("event", ""))
    yield "MESSAGE", _message(event, line)
    yield "PRIORITY", str(PRIORITY[level])
    yield "SYSLOG_IDENTIFIER", "syncd"
    yield "MESSAGE_ID", message_id(event)
    yield "SYNCD_EVENT", event
    for name, value in line.items():
        if name not in _ELSEWHERE and value is not None:
            yield f"SYNCD_{_name(name)}".upper()[:_LONGEST_NAME], _text(value)


def _message(event: str, line: Mapping[str, Any]) -> str:
    """Return one line for people: ``run_planned run=17 connection=hq operations=3``."""
    shown = {name: value for name, value in line.items() if name not in {*_ELSEWHERE, "logger"}}
    if "exception" in shown:
        shown["exception"] = (str(shown["exception"]).splitlines() or [""])[-1]
    said = (f"{_name(name)}={_word(value)}" for name, value in shown.items() if value is not None)
    return " ".join([event, *said])


def _word(value: Any) -> str:
    """Return a value as one word: plain if it can stand so, else quoted, and without what moves a cursor."""
    text = _text(value)
    if text.isprintable() and re.fullmatch(r'[^\s"=]+', text):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable()).replace("\x7f", "\\u007f")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _name(name: str) -> str:
    return re.sub("[^A-Za-z0-9_]", "_", name)


def _assignment(name: str, value: str) -> bytes:
    return f"{name}={value}".encode("utf-8", "backslashreplace")
