"""What distribution needs to know of one configured platform, and what it reports of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..connector import Context, Platform
from ..model import Value
from ..services import Service
from ..store import remotes
from ..store.database import Database
from .health import Breaker, Health


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One configured platform.

    ``context`` is the platform's own, to tell it what it has confirmed. ``fields_of`` makes the platform's fields from an account's attributes. ``plugin`` is who is blamed
    (by default the package of the platform's class). ``reveal`` opens a sealed value of an account (its attribute,
    its version); raises Unavailable while that cannot be done. ``pause`` is the first back-off in seconds, doubled
    up to ``longest``. ``keys`` are the platform's key fields with the attributes that fill them, ``allocated`` the
    attributes that templates allocate, and ``shared`` says that several enterprises are served. Keep a lane as long as its configuration lasts: ``health`` lives with it.
    """

    name: str
    platform: Platform
    service: Service
    fields_of: Callable[[Mapping[str, Value]], dict[str, Value]]
    reveal: Callable[[int, str, int, bytes], str] | None = None
    context: Context | None = None
    plugin: str = ""
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    allocated: frozenset[str] = frozenset()
    shared: bool = False
    batch: int = 100
    pause: float = 2.0
    longest: float = remotes.LONGEST
    breaker: Breaker = field(default_factory=Breaker)
    health: Health = field(default_factory=Health, compare=False)

    @property
    def blamed(self) -> str:
        """The plugin that answers for the platform."""
        return self.plugin or type(self.platform).__module__.partition(".")[0]

    def begin(self, database: Database) -> None:
        """Tell the platform how much it has confirmed; to be called before it is opened."""
        if self.context is not None:
            self.context.confirmed = remotes.confirmed(database, self.name)


@dataclass(slots=True)
class LaneReport:
    """What one call of ``distribute`` did for one platform, in accounts.

    ``unchanged`` needed no call. ``held`` wait for another account's key, or for another platform.
    ``stopped`` says why the rest has to wait: ``unavailable``, ``denied``, ``breaker``, ``plugin``,
    ``busy`` (an earlier call never came back), ``stopping`` or ``deadline``; ``until`` is then the end of
    the pause, if there is one.
    """

    platform: str
    confirmed: int = 0
    unchanged: int = 0
    failed: int = 0
    waiting: int = 0
    held: int = 0
    stopped: str = ""
    until: datetime | None = None
    message: str = ""
