"""What a memory source reads and a memory platform writes; it outlives them, as a directory would."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import CursorExpired, Gone, Unavailable
from ..model import Account, Entry

Texts = str | tuple[str, ...]
T = TypeVar("T")


class World:
    """People by anchor, in an order that is kept, and a log of all that happened to them."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, tuple[str, ...]]] = {}
        self.disabled: set[str] = set()
        self.down: Exception | None = None
        """What every read raises, while it is set."""
        self._log: list[str] = []
        self._forgotten = 0
        self._numbers = itertools.count(1)

    def add(self, anchor: str | None = None, **attributes: Texts) -> str:
        """Add a person (one that is made up, if nothing is said of them) and return the anchor."""
        number = next(self._numbers)
        anchor = anchor if anchor is not None else f"made-up-{number}"
        self.people[anchor] = _many(attributes or {"name": f"Made-up person {number}"})
        self._log.append(anchor)
        return anchor

    def change(self, anchor: str, **attributes: Texts) -> None:
        """Change attributes of a person: a text, texts, or "" for none; some attribute if none is named."""
        changed = attributes or {"note": f"changed {next(self._numbers)}"}
        self.people[anchor] = {**self.people[anchor], **_many(changed)}
        self._log.append(anchor)

    def remove(self, anchor: str) -> None:
        """Take a person away."""
        del self.people[anchor]
        self.disabled.discard(anchor)
        self._log.append(anchor)

    def disable(self, anchor: str) -> None:
        """Disable a person at the source."""
        self.disabled.add(anchor)
        self._log.append(anchor)

    def enable(self, anchor: str) -> None:
        """Undo ``disable``."""
        self.disabled.discard(anchor)
        self._log.append(anchor)

    def forget(self) -> None:
        """Forget the log: every cursor made so far has expired."""
        self._forgotten = len(self._log) + 1
        self._log.append("")

    @property
    def cursor(self) -> str:
        """The cursor of now."""
        return str(len(self._log))

    def since(self, cursor: str) -> list[str]:
        """Return the anchors to which something happened, each once; raises CursorExpired."""
        if not cursor.isdecimal() or not self._forgotten <= int(cursor) <= len(self._log):
            raise CursorExpired(f"the world does not know the cursor {cursor!r}; read in full")
        return [anchor for anchor in dict.fromkeys(self._log[int(cursor) :]) if anchor]

    def entry(self, anchor: str) -> Entry:
        """Return a person as the source yields them."""
        attributes, enabled = dict(self.people[anchor]), anchor not in self.disabled
        digest = hashlib.blake2b(repr((anchor, sorted(attributes.items()), enabled)).encode(), digest_size=16)
        return Entry(anchor, attributes, enabled, digest.digest())


@dataclass(slots=True)
class Fault:
    """What happens at one call; ``applied``: it was done all the same, and only the answer is lost."""

    error: Exception
    applied: bool


class System:
    """The accounts of a platform by remote id, every call made to it, and the faults it will have."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.calls: list[tuple[str, str]] = []
        """(method, account key or remote id), the failed ones included."""
        self.down: Exception | None = None
        """What every call raises, while it is set."""
        self.faults: dict[int, Fault] = {}
        self._numbers = itertools.count(1)

    def fail(self, nth: int = 1, error: Exception | None = None, *, applied: bool = False) -> None:
        """Let the ``nth`` call from now fail; with ``applied`` it is done, and its answer is lost."""
        default = Unavailable("the connection was lost")
        self.faults[len(self.calls) + nth] = Fault(default if error is None else error, applied)

    def call(self, method: str, subject: str, work: Callable[[], T]) -> T:
        """Do ``work`` as one call of the platform, with the faults that are due."""
        self.calls.append((method, subject))
        fault = self.faults.pop(len(self.calls), None)
        if self.down is not None:
            raise self.down
        if fault is None:
            return work()
        if fault.applied:
            work()
        raise fault.error

    def number(self) -> str:
        """Return a remote id that was never used."""
        return f"r{next(self._numbers)}"

    def named(self, remote_id: str) -> Account:
        """Return an account; raises Gone."""
        if remote_id not in self.accounts:
            raise Gone(f"there is no account {remote_id}")
        return self.accounts[remote_id]


def _many(attributes: dict[str, Texts]) -> dict[str, tuple[str, ...]]:
    return {
        name: ((texts,) if texts else ()) if isinstance(texts, str) else tuple(texts)
        for name, texts in attributes.items()
    }
