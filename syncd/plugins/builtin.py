"""Floor 5: what syncd itself brings comes through the same hooks as everybody else's.

This module is the plugin named ``syncd``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..hookspecs import hookimpl


@hookimpl
def register_transforms(register: Callable[[str, Callable[..., Any]], None]) -> None:
    """Register the transforms of floor 3, and ``e164``, which needs a library."""
    from ..transforms import TRANSFORMS
    from .phone import e164

    for word, factory in TRANSFORMS.items():
        register(word, factory)
    register("e164", e164)


@hookimpl
def register_rules(register: Callable[[str, Callable[..., Any]], None]) -> None:
    """Register the validation rules."""
    from ..validation import RULES

    for word, factory in RULES.items():
        register(word, factory)
