"""Floor 3: the rules that judge a finished record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Test: TypeAlias = Callable[[str], str | None]
"""From one value to None, or to what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one attribute of a finished record must satisfy."""

    attribute: str
    required: bool = False
    tests: tuple[Test, ...] = ()
