"""Floor 5: distribution: platforms are brought to a wanted state, not fed operations.

A row of ``remotes`` says which revision of an account a platform is to have. ``distribute`` derives the
wanted state from the account as it is now, writes down its intent, calls the platform, and writes down
the outcome. A call whose outcome was never written is not repeated before the platform was asked what it
has. ``calling`` is the loop, ``turns`` one platform's part in it, ``choosing`` and ``waits`` the order,
``steps`` what is to be done, ``verdicts`` what an outcome means, ``worker`` the thread that calls.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..store import placements
from ..store.database import Database
from ..store.placements import Pending, pending, retry, want_again
from .calling import distribute
from .health import Breaker, Health
from .lanes import Lane, LaneReport
from .verifying import Difference, verify

__all__ = [
    "Breaker",
    "Difference",
    "Health",
    "Lane",
    "LaneReport",
    "Pending",
    "distribute",
    "pending",
    "retry",
    "seed",
    "verify",
    "want_again",
]


def seed(database: Database, lane: Lane, enterprises: Iterable[str]) -> int:
    """Want every account of these enterprises on a platform that has no row of it; return how many.

    One statement, and no source is read: a new platform gets everybody.
    """
    return placements.seed(database, lane.name, enterprises)
