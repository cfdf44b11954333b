"""Floor 4: the log: events with stable names, in the journal, as JSON or for a terminal, without secrets.

    log = get_log(__name__)
    with bound(run=17, connection="hq"):
        log.info("run_planned", operations=3)

Every event stands in docs/events.md. A log line breaks nothing: what cannot be shown is named, what
cannot be written is dropped. structlog takes 80 ms to import (it looks for rich), so the first event
imports it, and this module does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from ..errors import ConfigError

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
"""What events can be, and the numbers that Python's own logging has for it."""

_OFF = 100

_threshold = 0


class Log:
    """A log whose events go where ``configure`` says; ``bind`` returns one with more fields."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)

    def bind(self, **fields: Any) -> Log:
        """Return a log that adds ``fields`` to every event."""
        return Log({**self._fields, **fields})

    def debug(self, event: str, **fields: Any) -> None:
        """Say what only somebody who looks for a fault wants to know."""
        self._say("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Say what went as it should: a line per run and stage."""
        self._say("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Say what a person should look at some time."""
        self._say("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Say what a person must mend."""
        self._say("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Say an error together with the exception that is being handled."""
        self._say("error", event, {"exc_info": True, **fields})

    def _say(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        if LEVELS[level] < _threshold:
            return
        import structlog

        if not structlog.is_configured():
            configure()
        getattr(structlog.get_logger(), level)(event, **{**self._fields, **fields})


def get_log(name: str) -> Log:
    """Return the log of the module ``name``; costs nothing until the first event."""
    return Log({"logger": name})


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add ``fields`` (run, connection, platform ...) to every event of the block.

    Holds for the calling thread alone: a thread that is started within begins without them.
    """
    if _threshold == _OFF:
        yield
        return
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(**{name: value for name, value in fields.items() if value is not None}):
        yield


def configure(
    *,
    stream: TextIO | None = None,
    level: str = "info",
    json: bool | None = None,
    secrets: Iterable[str] = (),
) -> None:
    """Say where events go, and from which level on; may be called again.

    ``stream`` None is whatever ``sys.stderr`` is when a line is written. ``json`` None chooses: text for a
    terminal, fields for journald if it reads the stream and systemd-python is there, JSON otherwise. What libraries report through Python's ``logging`` becomes the event
    ``library_logged``, from warnings on; ldap3 stays silent, since its log holds filters and passwords.
    With ``off`` nothing is written, and structlog is not even imported.
    Raises ConfigError for a level that there is not.
    """
    global _threshold  # noqa: PLW0603 -- one process has one log
    if level not in LEVELS and level != "off":
        raise ConfigError(f"there is no log level {level!r}; it is one of {', '.join(LEVELS)}, off")
    for secret in secrets:
        remember_secret(secret)
    _threshold = LEVELS.get(level, _OFF)
    if _threshold == _OFF:
        _silence_libraries()
        return
    from . import output

    output.install(stream, LEVELS[level], as_json=json)
    output.listen_to_libraries(get_log)


def _silence_libraries() -> None:
    import logging

    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("ldap3").propagate = False


def remember_secret(value: str) -> None:
    """Show ``value`` as ``***`` from now on, wherever in a line it stands.

    Also where it was written in base64, percent-encoded or with escapes, if it has 6 characters or more.
    One of fewer than 4 characters is hidden only where it is the whole text. Meant for the secrets of
    the configuration: tens of them, not one per account.
    """
    from . import redaction

    redaction.SECRETS.remember(value)


def redact(text: str, forms: Iterable[str] = ()) -> str:
    """Return ``text`` without remembered secrets, passwords in URLs, and quoted values of secret names.

    For what goes to people on another way than the log, such as the message of an error. ``forms`` are further
    secrets that it may hold, from ``forms_of``.
    """
    from . import redaction

    for form in forms:
        if form in text:
            text = text.replace(form, redaction.HIDDEN)
    return redaction.SECRETS.redact(text)


def forms_of(values: Iterable[str]) -> tuple[str, ...]:
    """Return every way in which secrets may be written in a text, for ``redact``."""
    from . import redaction

    return redaction.forms_of(values)
