"""The rules that ship: each is a test of one value, and none repeats the value, which may be a secret."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias

Test: TypeAlias = Callable[[str], str | None]
"""From one value to None, or to what is wrong with it."""


@lru_cache(maxsize=256)
def pattern(text: str) -> Test:
    """Return the test that a whole value matches the regular expression ``text`` (Python's syntax)."""
    try:
        whole = re.compile(text).fullmatch
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return lambda value: None if whole(value) else f"does not match the pattern {text}"


def length(low: int, high: int) -> Test:
    """Return the test that a value has ``low`` to ``high`` characters."""
    if not 0 <= low <= high:
        raise ValueError(f"a length from {low} to {high} cannot be; write the smaller number first")
    wanted = str(low) if low == high else f"{low} to {high}"
    return lambda value: (
        None if low <= len(value) <= high else f"has {len(value)} characters, {wanted} are allowed"
    )


def one_of(values: Iterable[str]) -> Test:
    """Return the test that a value is exactly one of ``values``."""
    known = tuple(dict.fromkeys(values))
    if not known:
        raise ValueError("one-of needs at least one value")
    there_are = ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
    allowed = frozenset(known)
    return lambda value: None if value in allowed else f"is none of the allowed values: {there_are}"


def digits(low: int, high: int) -> Test:
    """Return the test that a value is ``low`` to ``high`` digits 0-9 and nothing else."""
    fitting = length(low, high)

    def test(value: str) -> str | None:
        if not (value.isascii() and value.isdecimal()) and value:
            return "has characters other than the digits 0-9"
        return fitting(value)

    return test


def ascii_only(value: str) -> str | None:
    """Refuse what is not ASCII."""
    return None if value.isascii() else _beyond(value, 0x7F, "ASCII")


def latin_1(value: str) -> str | None:
    """Refuse what ISO 8859-1 cannot write."""
    return None if value.isascii() else _beyond(value, 0xFF, "ISO 8859-1 (Latin-1)")


def _beyond(value: str, highest: int, charset: str) -> str | None:
    for offset, character in enumerate(value):
        if ord(character) > highest:
            return f"has {_named(character)} at offset {offset}, which is not in {charset}"
    return None


def e_mail(value: str) -> str | None:
    """Refuse what is not one plain address: ``local@domain`` in ASCII, at most 254 characters.

    RFC 5321, 4.1.2 and 4.5.3.1, without quoted local parts and address literals, which mail systems
    refuse as well; the domain needs a dot.
    """
    if not value.isascii():
        return ascii_only(value)
    local, at, domain = value.rpartition("@")
    if not at or "@" in local:
        return "is not an e-mail address: it needs exactly one @"
    if len(local) > 64 or len(value) > 254:
        return "is not an e-mail address: at most 64 characters may stand before the @, and 254 in all"
    if not re.fullmatch(_LOCAL, local):
        return "is not an e-mail address: what stands before the @ is not allowed (RFC 5321, Dot-string)"
    if not re.fullmatch(_DOMAIN, domain):
        return "is not an e-mail address: what stands behind the @ is not the full name of a domain"
    return None


_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})+"


def plain_text(value: str) -> str | None:
    """Refuse what a person cannot tell apart: invisible characters, and letters of mixed scripts.

    Meant for logins and other names that identify. Each side of an @ may have its own script. Latin may
    stand with Chinese, Japanese or Korean writing, and those with their own mixes, as in the "highly
    restrictive" level of Unicode's UTS 39; digits, punctuation and marks belong to every script. A name
    wholly in another script that looks like a Latin one is not found.
    """
    if value.isascii() and value.isprintable():
        return None
    for offset, character in enumerate(value):
        if unicodedata.category(character) in _INVISIBLE or re.match(_IGNORABLE, character):
            return f"has the invisible character {_named(character)} at offset {offset}"
    for part in unicodedata.normalize("NFKC", value).split("@"):
        scripts = frozenset(filter(None, map(_script, part)))
        if len(scripts) > 1 and not any(scripts <= mix for mix in _MIXES):
            return f"mixes letters of several scripts that can be mistaken for each other: {_listed(scripts)}"
    return None


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_IGNORABLE = "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
"""What is invisible by Unicode's Default_Ignorable_Code_Point rather than by its category, and the blank
of Braille."""

_MIXES = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
)


def _script(character: str) -> str | None:
    """Return the script of a letter, by the first word of its name; None for what fits everywhere."""
    if character.isascii():
        return "LATIN" if character.isalpha() else None
    if unicodedata.category(character) not in {"Lu", "Ll", "Lt", "Lo"}:
        return None
    word = unicodedata.name(character, "").partition(" ")[0]
    return "CJK" if word == "IDEOGRAPHIC" else word or None


def _listed(scripts: frozenset[str]) -> str:
    return ", ".join(script if script == "CJK" else script.capitalize() for script in sorted(scripts))


def _named(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")


def _plain(name: str, test: Test) -> Callable[[str | None], Test]:
    def factory(argument: str | None) -> Test:
        if argument is not None:
            raise ValueError(f"{name} takes no argument: write {name}, not {name}:{argument}")
        return test

    return factory


def _span(name: str, argument: str | None, example: str) -> tuple[int, int]:
    """Read ``4`` or ``4-15``."""
    match = re.fullmatch("([0-9]{1,6})(?:-([0-9]{1,6}))?", argument or "")
    if match is None:
        raise ValueError(f"{name} needs a number or a range behind the colon, such as {name}:{example}")
    return int(match[1]), int(match[2] or match[1])


def _digits_rule(argument: str | None) -> Test:
    return digits(1, 999_999) if argument is None else digits(*_span("digits", argument, "4-15"))


def _length_rule(argument: str | None) -> Test:
    return length(*_span("length", argument, "2-113"))


def _pattern_rule(argument: str | None) -> Test:
    if not argument:
        raise ValueError("pattern needs a regular expression behind the colon, such as pattern:[a-z]+")
    return pattern(argument)


def _one_of_rule(argument: str | None) -> Test:
    values = [value.strip() for value in (argument or "").split(",")]
    if not all(values):
        raise ValueError("one-of needs values with commas between them, such as one-of:en,de,fr")
    return one_of(values)


RULES: Mapping[str, Callable[[str | None], Test]] = {
    "ascii": _plain("ascii", ascii_only),
    "digits": _digits_rule,
    "e-mail": _plain("e-mail", e_mail),
    "latin-1": _plain("latin-1", latin_1),
    "length": _length_rule,
    "one-of": _one_of_rule,
    "pattern": _pattern_rule,
    "plain-text": _plain("plain-text", plain_text),
}
"""Name -> factory; what follows the first colon is the factory's argument."""
