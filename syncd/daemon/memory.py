"""Giving back what a piece of work has needed, so that a service at rest stays small."""

from __future__ import annotations

import ctypes
import gc

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""glibc keeps what was freed between what is still in use; other libraries give it back by themselves."""


def give_back() -> None:
    """Let the system have what nobody uses. To be called by a thread that has closed its database."""
    gc.collect()  # also empties the interpreter's own stores of tuples, lists and floats
    if _trim is not None:
        _trim(0)
