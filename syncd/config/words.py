"""The small grammars of the configuration: durations, percents, ranges, references, dotted paths.

Every parser raises ValueError with what was wrong and what is right.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import timedelta

from ..model import RECIPES, Numbers, Range
from .lines import KeyPath

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = timedelta(days=36_525)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

REFERENCE_KINDS = ("credential", "file", "env")
"""The kinds of secret reference that need no plugin."""

SECRET_KEYS = ("password", "passphrase", "secret", "token")
"""An option whose last word is one of these holds a secret, whatever its plugin says of it."""


def duration(value: object) -> timedelta:
    """Read ``90s``, ``90m``, ``24h``, ``30d`` or ``2w``."""
    match = re.fullmatch(r"([0-9]{1,12})([smhdw])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a duration such as "90m", "24h", "30d" or "2w"')
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST.total_seconds():
        raise ValueError("must be a hundred years at most")
    return timedelta(seconds=seconds)


def duration_text(value: timedelta) -> str:
    """Write a duration as ``duration`` reads it, in the largest unit that fits: ``24h``, ``2d``."""
    seconds = int(value.total_seconds())
    for unit in "wdhm":
        count, rest = divmod(seconds, _SECONDS[unit])
        if count and not rest and (count > 1 or unit in "hm"):
            return f"{count}{unit}"
    return f"{seconds}s"


def percent(value: object) -> float:
    """Read ``5``, ``2.5`` or ``"5%"``: a part of a hundred."""
    number: float | None = None
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,4})?) ?%", value)
        number = float(match[1]) if match else None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    if number is None or not 0 <= number <= 100:
        raise ValueError('must be a percentage from 0 to 100, such as 5 or "5%"')
    return number


def numbers(value: object) -> Numbers:
    """Read ranges such as ``200-299``, ``0200-0299,0400-0449`` or ``200-``, which ends with the last of as many digits."""
    ranges = tuple(map(_range, value.split(","))) if isinstance(value, str) else ()
    if not ranges:
        raise ValueError(_RANGES)
    for place, one in enumerate(ranges):
        for other in ranges[:place]:
            if one.first <= other.last and other.first <= one.last:
                raise ValueError(f"has {one} and {other}, which overlap")
    return Numbers(ranges)


_RANGES = 'must be a range of numbers such as "200-299", several such as "200-249,270-299", or a start such as "200-"'


def _range(text: str) -> Range:
    """Read one range; leading zeros are kept as the width of every number."""
    match = re.fullmatch(r" *([0-9]{1,15})-([0-9]{1,15})? *", text)
    if match is None:
        raise ValueError(_RANGES)
    first, last = match[1], match[2] or "9" * len(match[1])
    if int(last) < int(first):
        raise ValueError(f"ends at {last}, before it begins at {first}")
    padded = first != "0" and first.startswith("0")
    if padded and len(first) != len(last):
        raise ValueError("begins with a zero, so both ends need the same number of digits")
    return Range(int(first), int(last), len(first) if padded else 0)


def secret_to_make(value: object) -> tuple[str, int]:
    """Read how a secret is made: ``password:24`` (letters and digits) or ``digits:6``."""
    match = re.fullmatch(r"([a-z]+):([1-9][0-9]{0,2})", value) if isinstance(value, str) else None
    if match is None or match[1] not in RECIPES:
        raise ValueError('must be how it is made, and how long it is, such as "password:24" or "digits:6"')
    if match[1] == "password" and not 12 <= int(match[2]) <= 256:
        raise ValueError("must be of 12 to 256 characters")
    return match[1], int(match[2])


def reference_kind(text: str) -> str | None:
    """Return the kind of a secret reference (``credential`` in ``credential:hq``); None for a literal."""
    match = re.fullmatch(r"([a-z][a-z0-9+-]+):\S.*", text)
    return match[1] if match else None


def shown_reference(text: str) -> str:
    """Return a secret's reference as it may be shown.

    Only references of the kinds that need no plugin are shown: any other text could be the secret.
    """
    return text if reference_kind(text) in REFERENCE_KINDS else "***"


def is_secret_key(key: str | int) -> bool:
    """Tell whether an option of this name holds a secret, going by its last word."""
    return isinstance(key, str) and key.lower().replace("-", "_").rpartition("_")[2] in SECRET_KEYS


def dotted(path: KeyPath) -> str:
    """Write a path as ``source.hq.base[1]``, with quotes around keys that TOML wants quoted."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if _BARE_KEY.fullmatch(key) else f'"{key}"')
    return text


def listed(words: Iterable[str]) -> str:
    """Write words as ``a, b and c``, sorted."""
    *others, last = sorted(set(words)) or ["none"]
    return f"{', '.join(others)} and {last}" if others else last


def nearest(word: str, known: Collection[str]) -> str | None:
    """Return the known word that ``word`` is, or was probably meant to be."""
    if word in known:
        return word
    from difflib import get_close_matches

    folded = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold(), folded, n=1, cutoff=0.66)  # lets "vai" mean "via"
    return folded[near[0]] if near else None


def suggestion(word: str, known: Collection[str]) -> str:
    """Return ``; did you mean 'X'?`` for the known word that is nearest, or nothing."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near is not None else ""


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """Say that there is no such word, and what was probably meant, or else what there is."""
    known = list(known)
    there_is = f"; there {'is' if len(known) == 1 else 'are'} {listed(known)}" if len(known) <= 12 else ""
    return f"there is no {what} {word!r}{suggestion(word, known) or there_is}"
