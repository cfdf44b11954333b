"""Floor 3: the transforms that ``via = [...]`` can name without any plugin.

A factory takes the text behind the colon, or None, and returns the transform; it raises ValueError with
a cure for an argument that it cannot use. A transform is pure and total: from the texts of an attribute
to the texts to use, or ValueError with a message for a person. Empty texts are dropped by the mapping
between two transforms, so none has to look for them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import NamedTuple, TypeAlias

Transform: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]

Factory: TypeAlias = Callable[[str | None], Transform]


class OneByOne:
    """A transform that changes every text by itself.

    ``one`` is what the mapping calls directly where there is just one text: total, and "" of "".
    """

    __slots__ = ("one",)

    def __init__(self, one: Callable[[str], str]) -> None:
        self.one = one

    def __call__(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(self.one, texts))


class Together:
    """A transform that looks at all texts at once, and has nothing to do where there is just one."""

    __slots__ = ("all",)

    one = str

    def __init__(self, change: Transform) -> None:
        self.all = change

    def __call__(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        return self.all(texts) if len(texts) > 1 else texts


def _plain(name: str, transform: Transform) -> Factory:
    """Return the factory of a transform that takes no argument."""

    def factory(argument: str | None) -> Transform:
        if argument is not None:
            raise ValueError(f"{name} takes no argument: write {name}, not {name}:{argument}")
        return transform

    return factory


def _text(name: str, argument: str | None, example: str) -> str:
    if not argument:
        raise ValueError(f"{name} needs a text behind the colon, such as {name}:{example}")
    return argument


def _digits(text: str) -> str:
    if text.isascii():
        return _NOT_DIGITS.sub("", text)
    return "".join(str(unicodedata.decimal(character)) for character in text if character.isdecimal())


_NOT_DIGITS = re.compile("[^0-9]+")


def last(argument: str | None) -> Transform:
    """``last:N``: the last N characters of every text."""
    if argument is None or not re.fullmatch("[1-9][0-9]{0,3}", argument, re.ASCII):
        raise ValueError("last needs a number of characters from 1 to 9999 behind the colon, such as last:4")
    return OneByOne(itemgetter(slice(-int(argument), None)))


def prefix(argument: str | None) -> Transform:
    """``prefix:TEXT``: TEXT before every text."""
    before = _text("prefix", argument, "+49")
    return OneByOne(lambda text: text and before + text)


def mask(argument: str | None) -> Transform:
    """``mask:MASK``: every text as MASK, in which each X is one of its digits, counted from the right.

    ValueError where a text has fewer digits than MASK has X. Those that are left over are not used.
    """
    pattern = _text("mask", argument, "+4940123XXXX")
    wanted = pattern.count("X")
    if not wanted:
        raise ValueError(f"{shown(pattern)} has no X, which stands for a digit, such as mask:+4940123XXXX")

    def masked(text: str) -> str:
        digits = _digits(text)
        if len(digits) < wanted:
            raise ValueError(f"{shown(text)}: {len(digits)} digits, the mask {shown(pattern)} takes {wanted}")
        of_number = iter(digits[-wanted:])
        return "".join(next(of_number) if one == "X" else one for one in pattern)

    return lambda texts: tuple(masked(text) for text in texts if text)


def join(argument: str | None) -> Transform:
    """``join`` or ``join:SEPARATOR``: all texts as one, with SEPARATOR (a space) between them."""
    separator = " " if argument is None else argument
    return Together(lambda texts: (separator.join(texts),))


def split(argument: str | None) -> Transform:
    """``split`` or ``split:SEPARATOR``: every text cut at SEPARATOR (a comma), without space around."""
    separator = "," if argument is None else _text("split", argument, ";")

    def cut(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(part.strip() for text in texts for part in text.split(separator) if part.strip())

    return cut


def default(argument: str | None) -> Transform:
    """``default:TEXT``: TEXT where there is nothing."""
    texts_instead = (_text("default", argument, "Germany"),)
    return lambda texts: texts if any(texts) else texts_instead


def constant(argument: str | None) -> Transform:
    """``constant:TEXT``: TEXT, whatever there is."""
    always = (_text("constant", argument, "Germany"),)
    return lambda _texts: always


def _point_in_time(text: str) -> str:
    """Return a FILETIME as a point in time of ISO 8601, in UTC and whole seconds, or "" for never."""
    if not re.fullmatch("[0-9]{1,19}", text, re.ASCII):
        raise ValueError(
            f"{shown(text)} is no FILETIME: 100-nanosecond intervals since 1601 as one whole number; name an attribute "
            "that holds one, such as accountExpires"
        )
    seconds = int(text) // 10_000_000
    if not int(text) or seconds >= _END_OF_TIME:
        return ""
    return (_FILETIME + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


_FILETIME = datetime(1601, 1, 1, tzinfo=UTC)
_END_OF_TIME = (datetime.max.replace(tzinfo=UTC) - _FILETIME).total_seconds()
"""Seconds; what lies behind is written for "never", and as 9223372036854775807 by the vendor's own tools."""


def _filetime(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, (_point_in_time(text) for text in texts if text)))


class NumberRange(NamedTuple):
    """Telephone numbers that share a beginning; ``low`` to ``high`` digits may follow it.

    ``bare``: the extension alone, without the beginning, belongs to the range as well.
    """

    beginning: str
    low: int = 1
    high: int = 15
    bare: bool = False

    def __str__(self) -> str:
        if not self.bare:
            return self.beginning
        return f"{self.beginning}/{self.low}" + (f"-{self.high}" if self.high != self.low else "")


def number_range(text: str) -> NumberRange:
    """Read ``+49401234``, ``+49401234/3`` or ``+49401234/2-4``; spaces and dashes in the number are allowed."""
    number, slash, lengths = text.partition("/")
    beginning = re.sub("[ -]", "", number)
    match = re.fullmatch("([1-9][0-9]?)(?:-([1-9][0-9]?))?", lengths.strip(), re.ASCII) if slash else None
    if not re.fullmatch(r"\+[1-9][0-9]{0,13}", beginning, re.ASCII) or (slash and match is None):
        raise ValueError(
            f"{shown(text.strip())} is not a number range; write the number with + and country code, and after a "
            "slash the number of digits of an extension, such as +49401234 or +49401234/3 or +49401234/2-4"
        )
    if match is None:
        return NumberRange(beginning)
    low, high = int(match[1]), int(match[2] or match[1])
    if not low <= high <= 16 - len(beginning):
        raise ValueError(
            f"{shown(text.strip())}: the numbers of digits must ascend, and be at most {16 - len(beginning)} "
            "here: a number has no more than 15 digits in all (E.164)"
        )
    return NumberRange(beginning, low, high, bare=True)


def extension_of(argument: str | None) -> Transform:
    """``extension-of:RANGE[,RANGE...]``: the extension in the first text that lies in one of the ranges.

    Where none does, ValueError: an extension is never guessed.
    """
    ranges = [number_range(text) for text in _text("extension-of", argument, "+49401234").split(",")]
    ranges.sort(key=lambda one: -len(one.beginning))
    named = ", ".join(str(one) for one in ranges)

    def extension(texts: tuple[str, ...]) -> tuple[str, ...]:
        written = [text for text in texts if text.strip()]
        found = next(filter(None, (_extension(text, ranges) for text in written)), None)
        if found or not written:
            return (found,) if found else ()
        numbers = ", ".join(shown(text) for text in written[:3]) + (", ..." if len(written) > 3 else "")
        raise ValueError(
            f"{numbers}: no number of the ranges {named}; correct it in the source, or add its range to extension-of"
        )

    return extension


def _extension(text: str, ranges: list[NumberRange]) -> str | None:
    """Return the extension in ``text``; ``ranges`` with the longest beginning come first."""
    number = written_number(text)
    if number is None:
        return None
    for one in ranges:
        for reading in number.readings:
            if reading.startswith(one.beginning):
                rest = number.extra or reading.removeprefix(one.beginning)
            elif one.bare and not reading.startswith("+") and not number.extra:
                rest = reading
            else:
                continue
            if one.low <= len(rest) <= one.high:
                return rest
    return None


class WrittenNumber(NamedTuple):
    """A telephone number as a person wrote it.

    ``digits`` are ASCII, behind a + if there was one. ``readings`` are its possible meanings: 00 in front
    is +, and a zero in brackets after the country code is left out or kept. ``extra`` is an extension
    part (``;ext=567``, ``x567``), or "".
    """

    digits: str
    readings: tuple[str, ...]
    extra: str


def written_number(text: str) -> WrittenNumber | None:
    """Return the number that ``text`` is, or None if it is anything else or anything more."""
    if len(text) > 64:
        return None
    visible = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    match = re.fullmatch(_WRITTEN, visible, re.IGNORECASE)
    if match is None:
        return None
    dialled = match["number"]
    digits = _dialled(dialled)
    if not digits.strip("+"):
        return None
    readings = [_dialled(re.sub(r"\(\s*0\s*\)", "", dialled, count=1)), digits]
    if not digits.startswith(("+", "00")):
        readings = [digits]
    international = (f"+{one[2:]}" if one.startswith("00") else one for one in readings)
    return WrittenNumber(digits, tuple(dict.fromkeys(international)), _digits(match["extra"] or ""))


_WRITTEN = (
    r"\s*(?:tel:)?\s*(?P<number>\(?\s*\+?[\d\s().\-\u2010\u2012-\u2015\u2212/]+?)"
    r"(?:(?:;ext=|extension|ext\.?|x|#)\s*(?P<extra>\d{1,15})\s*)?"
)


def _dialled(text: str) -> str:
    return ("+" if "+" in text else "") + _digits(text)


def shown(text: str) -> str:
    """Return a foreign text as a message may hold it: in quotes, short, without control characters."""
    return repr(text if len(text) <= 64 else f"{text[:61]}...")


TRANSFORMS: Mapping[str, Factory] = {
    "trim": _plain("trim", OneByOne(str.strip)),
    "lower": _plain("lower", OneByOne(str.lower)),
    "upper": _plain("upper", OneByOne(str.upper)),
    "digits": _plain("digits", OneByOne(_digits)),
    "first": _plain("first", Together(lambda texts: texts[:1])),
    "last": last,
    "join": join,
    "split": split,
    "filetime": _plain("filetime", _filetime),
    "prefix": prefix,
    "mask": mask,
    "extension-of": extension_of,
    "default": default,
    "constant": constant,
}
"""Name -> factory; what follows the first colon in ``via`` is the factory's argument."""
