#!/usr/bin/env python3
"""Writes what follows from the table of events: systemd/syncd.catalog, and the ids in docs/events.md.

    python3 packaging/catalog.py

It needs nothing but Python. A test says when it has to be run again: after a change of docs/events.md.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from syncd.logs.journal import message_id  # noqa: E402 -- from this tree, installed or not

PAGE = ROOT / "docs" / "events.md"
CATALOG = ROOT / "systemd" / "syncd.catalog"

NEXT = {
    "run_held": "See the plan:  syncd runs @SYNCD_RUN@\nAgree to it:   syncd apply @SYNCD_RUN@",
    "removals_detained": "See and decide:  syncd queue",
    "licences_short": "How many there are, and who waits:  syncd licences",
    "run_": "More of this run:  syncd runs @SYNCD_RUN@",
    "read_torn": "More of this run:  syncd runs @SYNCD_RUN@",
    **dict.fromkeys(
        ["platform_denied", "platform_unavailable", "server_passed_over"],
        "Does it answer now?  syncd check --connect",
    ),
    "connection_": "Does it answer now?  syncd check --connect",
    "reload_refused": "Find every mistake:  syncd check",
    "delivery_": "What this platform still has to get:  syncd deliveries list --platform @SYNCD_PLATFORM@",
    "platform_": "What this platform still has to get:  syncd deliveries list --platform @SYNCD_PLATFORM@",
    "decision_recorded": "What waits for a person:  syncd queue",
}
"""Beginning of an event's name -> the commands that lead on; the first that fits counts."""

HEAD = """\
# Explains the events of syncd to "journalctl -x". Made by packaging/catalog.py from docs/events.md.
"""

ENTRY = """
-- {identity}
Subject: {event}
Defined-By: syncd
Documentation: file:///usr/share/doc/syncd/events.md

{meaning}
"""


def events() -> dict[str, str]:
    """Return event -> what it means, from the table of docs/events.md."""
    rows = re.findall(r"^\| `(\w+)` \|.*\|.*\| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {event: re.sub(r"`(\w+)`", r"\1", meaning) for event, meaning in rows}


def catalog() -> str:
    """Return the text of the catalog."""
    text = HEAD
    for event, meaning in events().items():
        follows = next((commands for start, commands in NEXT.items() if event.startswith(start)), "")
        told = f"{meaning}\n\n{follows}" if follows else meaning
        text += ENTRY.format(identity=message_id(event), event=event, meaning=told)
    return text


def page() -> str:
    """Return docs/events.md with the ids of today's events under its last heading."""
    head, heading, rest = PAGE.read_text("utf-8").partition("## Message ids\n")
    if not heading:
        raise SystemExit(f"{PAGE} has no heading '## Message ids' any more")
    explained = rest.partition("\n\n    ")[0].rstrip()
    longest = max(map(len, events()))
    ids = "".join(f"    {event:{longest}} {message_id(event)}\n" for event in events())
    return f"{head}{heading}{explained}\n\n{ids}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    CATALOG.write_text(catalog(), "utf-8")
