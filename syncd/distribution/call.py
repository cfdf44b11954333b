"""What the platforms of one call of ``distribute`` have in common."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..store.database import Database
from .claims import Place
from .lanes import Lane
from .worker import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the platforms of one call share.

    ``configured`` are all platforms, whether or not they take part. ``settled`` tells all of them what one of them
    has settled. ``halted`` says why nothing new may begin, or "" if it may; workers ask it as well. ``until`` is
    how long waits are sat out, None for not at all.
    """

    database: Database
    configured: Sequence[Lane]
    settled: Callable[[Place], None]
    clock: Callable[[], datetime]
    log: Any
    beat: Callable[[], None]
    halted: Callable[[], str]
    until: datetime | None
    results: queue.Queue[tuple[str, Message]] = field(default_factory=queue.Queue)
