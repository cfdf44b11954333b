"""What is required of an observer."""

from __future__ import annotations

import time

import pytest

from ...connector import Observer
from ...model import Event
from .connectors import ConnectorConformance

_SOON = 0.5

NOTICE = Event(
    "plan_held",
    "2026-01-05T08:00:00Z",
    {
        "severity": "warning",
        "subject": "source hq",
        "text": "run 7 (sync) is held with 3 changes: first-run",
        "next": "syncd runs 7",
        "since": "2026-01-05T08:00:00Z",
        "again": False,
        "connection": "hq",
    },
)
"""What a person should know."""

STRANGE = (
    Event("run_planned", "2026-01-05T08:00:00Z", {"run": 7, "connection": "hq", "objections": ["first-run"]}),
    Event(
        "of_a_later_version", "2026-01-05T08:00:00Z", {"nobody": None, "knows": [1.5], "this": {"yet": ()}}
    ),
    Event("without_fields", "2026-01-05T08:00:00Z", {}),
    Event("of_another_gravity", "2026-01-05T08:00:00Z", {**NOTICE.fields, "severity": "unheard-of"}),
)


class ObserverConformance(ConnectorConformance):
    """Subclass it and give the fixture ``observer``: one that has not been opened, over something that works.

    Optional fixtures: ``unreachable`` and ``denied``, of which ``check`` is asked.
    """

    @pytest.fixture
    def connector(self, observer: Observer) -> Observer:
        """The observer, for the tests that sources and platforms have as well."""
        return observer

    def use(self, connector: Observer) -> None:
        """Let it check itself, and tell it a notice."""
        for _ in connector.check():
            pass
        connector.observe(NOTICE)

    def test_any_event_can_be_told(self, opened: Observer) -> None:
        """It is told every event, of later versions too, with any fields; what it does not know, it passes over."""
        for event in (NOTICE, *STRANGE, NOTICE):
            opened.observe(event)

    def test_being_told_takes_no_time(self, opened: Observer) -> None:
        """``observe`` returns soon: all observers share one thread, and what waits in it makes events get lost."""
        begin = time.monotonic()
        opened.observe(NOTICE)

        assert time.monotonic() - begin < _SOON
