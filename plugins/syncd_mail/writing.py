"""What a mail says: plain text, the worst first, each notice with the command to begin with."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from syncd import Event

from .options import Options

_ORDER = {"critical": 0, "warning": 1, "ok": 2}
_LONGEST = 120


def letter(options: Options, events: Sequence[Event], lost: int = 0) -> EmailMessage:
    """Return the mail about some notices; ``lost`` are those of which only the number is known."""
    notices = sorted(latest(events), key=lambda event: _ORDER.get(str(event.fields["severity"]), 0))
    host = socket.gethostname()
    message = EmailMessage()
    message["Subject"] = _subject(notices, lost, host)
    message["From"] = options.sender
    message["To"] = ", ".join(options.to)
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid("syncd", options.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is to answer it
    parts = [_paragraph(event) for event in notices]
    if lost:
        parts.append(
            f"{lost} earlier notices were left out: there were too many. syncd status tells what there is now."
        )
    parts.append(f"-- \nsyncd on {host}. What is well and what is not: syncd status")
    message.set_content("\n\n".join(parts) + "\n")
    return message


def latest(events: Iterable[Event]) -> list[Event]:
    """Return the last notice of each name and subject, in the order in which they came."""
    found: dict[tuple[str, object], Event] = {}
    for event in events:
        key = event.name, event.fields.get("subject")
        found.pop(key, None)
        found[key] = event
    return list(found.values())


def _subject(notices: Sequence[Event], lost: int, host: str) -> str:
    first = notices[0].fields
    more = len(notices) - 1 + lost
    text = f"[syncd {host}] {str(first['severity']).upper()}: {first['subject']}: {first['text']}"
    text = " ".join(text.split())
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return f"{text} (and {more} more)" if more else text


def _paragraph(event: Event) -> str:
    fields = event.fields
    severity = str(fields["severity"])
    lines = [f"{severity.upper()}  {fields['subject']}: {fields['text']}"]
    if severity == "ok":
        lines.append(f"  it was so since {fields.get('since')}")
    else:
        lines.append(f"  since {fields.get('since')}{', and still' if fields.get('again') else ''}")
    if command := fields.get("next"):
        lines.append(f"  begin with: {command}")
    return "\n".join(lines)
