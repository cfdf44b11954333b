"""Giving back what a piece of work has needed, so that a service at rest stays small.

What glibc offers beyond other C libraries is used where it is there; the others have no arenas for each thread.
"""

from __future__ import annotations

import ctypes
import gc

_M_ARENA_MAX = -8
"""Of mallopt(3), which Python has no name for."""

_libc = ctypes.CDLL(None)
_trim = getattr(_libc, "malloc_trim", None)
_set = getattr(_libc, "mallopt", None)


def share_arena() -> None:
    """Have all threads allocate in one place, whose gaps the next one fills; to be called before there are any."""
    if _set is not None and _trim is not None:
        _set(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Let the system have what nobody uses. To be called by a thread that has closed its database."""
    gc.collect()  # also empties the interpreter's own stores of tuples, lists and floats
    if _trim is not None:
        _trim(0)
