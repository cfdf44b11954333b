"""A call as floor 8 sees it: the verb, who asks, and where its words go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .verbs import LEVELS, LOOK

_PIECE = 64 * 1024
"""Characters of one reply: at most 768 KiB once they are written in ASCII."""

_PAUSE = 0.1
"""Seconds between two hints about the progress of one stage."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the person who asks has in front of them; by default no terminal at all."""

    columns: int = 80
    encoding: str = "utf-8"
    output: bool = False
    messages: bool = False
    asks: bool = False
    colour: bool = False


class Ear(Protocol):
    """Where replies go."""

    @property
    def cut(self) -> bool:
        """Whether nobody listens any more."""

    def put(self, document: Mapping[str, Any]) -> None:
        """Send one, and wait for a while if too many were not taken."""

    def hint(self, document: Mapping[str, Any]) -> None:
        """Send one that may be lost; never waits."""


@dataclass(slots=True)
class Call:
    """One verb that a peer asks for. ``changes``: the peer may have the service do something.

    ``document``: nobody reads along, what counts is the JSON document and, if ``watched``, the progress.
    """

    arguments: tuple[str, ...]
    verb: str
    actor: str
    ear: Ear
    changes: bool
    terminal: Terminal = field(default_factory=Terminal)
    agreed: bool = False
    watched: bool = False
    document: bool = False
    question: dict[str, Any] | None = None
    _told: tuple[str, str] = ("", "")
    _next: float = 0.0

    @property
    def looks(self) -> bool:
        """Whether the verb changes nothing."""
        return LEVELS[self.verb] == LOOK

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for the outcome."""
        return not self.ear.cut

    def write(self, stream: str, text: str) -> None:
        """Send a part of what the verb writes; ``stream`` is stdout or stderr."""
        for start in range(0, len(text), _PIECE):
            self._reply(output={"stream": stream, "text": text[start : start + _PIECE]})

    def progress(self, about: str, stage: str, count: int, total: int | None) -> None:
        """Tell how far a stage is, if that is wanted; not more often than a person can see."""
        if not self.watched:
            return
        now = time.monotonic()
        if (about, stage) == self._told and now < self._next:
            return
        self._told, self._next = (about, stage), now + _PAUSE
        reached = {"about": about, "stage": stage, "count": count}
        told = {"progress": reached if total is None else {**reached, "total": total}}
        self.ear.hint({"parameters": told, "continues": True})

    def _reply(self, **parameters: Any) -> None:
        self.ear.put({"parameters": parameters, "continues": True})


Execute = Callable[[Call], int]
"""Carries out a call and returns the exit code; raises nothing that it could tell."""
