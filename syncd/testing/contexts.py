"""A connector's context for tests: a log that can be read, and secrets from a dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..connector import Context
from ..errors import ConfigError


class Line(NamedTuple):
    """One line of the log."""

    level: str
    event: str
    fields: dict[str, Any]


class RecordingLog:
    """Looks like the log that connectors get, and keeps every line in ``lines``."""

    def __init__(self, lines: list[Line] | None = None, **bound: Any) -> None:
        self.lines: list[Line] = [] if lines is None else lines
        self._bound = bound

    def bind(self, **fields: Any) -> RecordingLog:
        """Return a log that adds ``fields`` to each of its lines, and keeps them in the same list."""
        return RecordingLog(self.lines, **{**self._bound, **fields})

    def debug(self, event: str, **fields: Any) -> None:
        """Keep a line."""
        self._keep("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Keep a line."""
        self._keep("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Keep a line."""
        self._keep("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Keep a line."""
        self._keep("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Keep a line."""
        self._keep("error", event, {"exc_info": True, **fields})

    def critical(self, event: str, **fields: Any) -> None:
        """Keep a line."""
        self._keep("critical", event, fields)

    def _keep(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.lines.append(Line(level, event, {**self._bound, **fields}))


def context(name: str = "test", secrets: Mapping[str, str] | None = None, confirmed: int = 0) -> Context:
    """Return a context whose log records and whose ``secret`` looks into ``secrets``, by reference.

    ``confirmed`` is how many accounts the engine would say that the platform has confirmed.
    """
    known: Mapping[str, str] = {} if secrets is None else secrets

    def secret(reference: str) -> str:
        if reference not in known:
            raise ConfigError(f"the test has no secret {reference!r}: put it into `secrets`")
        return known[reference]

    return Context(name, RecordingLog(), secret, confirmed=confirmed)
