"""What a read leaves for the next one: of whom it asked what, and how far that server had come."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any, NamedTuple, Protocol, TypeAlias

from syncd import CursorExpired, Entry, Present, Problem, Removed

Mark: TypeAlias = dict[str, Any]
"""How far a server had come, as its strategy tells it; JSON."""


Increment: TypeAlias = Generator[Entry | Present | Removed | Problem, None, tuple[Mark, bool]]
"""What has changed, and in the end: where to go on, and whether this vouches for the whole."""


CONTROLS = {"sync": "1.3.6.1.4.1.4203.1.9.1.1", "dirsync": "1.2.840.113556.1.4.841"}
"""The control of a strategy that has one of its own: Sync Request (RFC 4533, 2.2), and Microsoft's DirSync."""


class Strategy(Protocol):
    """One way of finding changes. ``server`` is whose word its marks are."""

    name: str
    server: str

    def mark(self) -> Mark:
        """Return where to go on after a full read that begins now."""

    def since(self, mark: Mark) -> Increment:
        """Yield what has changed since. Raises CursorExpired where it cannot tell."""

    def unusable(self) -> str | None:
        """Return why this server does not offer it, None if it does."""


class Cursor(NamedTuple):
    """Where to go on.

    ``server`` is whose word ``mark`` is: the URL, or Active Directory's invocation id. ``asked`` is
    everything that decides who is read and what of them.
    """

    strategy: str
    server: str
    asked: str
    mark: Mark

    def text(self) -> str:
        """Return it as the engine keeps it."""
        return json.dumps(self._asdict(), sort_keys=True, separators=(",", ":"))


def parse(text: str) -> Cursor:
    """Return the cursor that ``text`` was made of. Raises CursorExpired for any other text."""
    try:
        found = Cursor(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise CursorExpired("the cursor is not one of this source") from error
    if not isinstance(found.mark, dict):
        raise CursorExpired("the cursor is not one of this source")
    return found


def require(old: Cursor, *, server: str, asked: str) -> Mark:
    """Return where to go on. Raises CursorExpired, saying what is another now."""
    if old.asked != asked:
        raise CursorExpired(
            "other entries or attributes are asked for than the last time, or groups have changed"
        )
    if old.server != server:
        raise CursorExpired(f"another server answers: {server}, and it was {old.server}")
    return old.mark
