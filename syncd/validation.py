"""Floor 3: the rules that judge a finished record, and a platform's demands on its fields.

A test's message never repeats the value: it may be a secret.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from .connector import Field
from .model import Completed, Fault, Value

Test: TypeAlias = Callable[[str], str | None]
"""From one value to None, or to what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one attribute of a finished record must satisfy."""

    attribute: str
    required: bool = False
    tests: tuple[Test, ...] = ()


@dataclass(frozen=True, slots=True)
class Demand:
    """What one platform demands of the accounts that it serves.

    ``serves`` says of (kind, values) whether it does; ``fields_of`` makes its fields from the values, and
    raises ValueError where it cannot.
    """

    platform: str
    serves: Callable[[str, Mapping[str, Value]], bool]
    fields: Mapping[str, Field]
    fields_of: Callable[[Mapping[str, Value]], dict[str, Value]]


@dataclass(frozen=True, slots=True)
class Places:
    """The locations and departments that are configured; an empty set lets everything in."""

    locations: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()


def validate(
    stream: Iterable[object],
    checks: tuple[Check, ...],
    demands: tuple[Demand, ...],
    places: Places,
    kind: str,
) -> Iterator[object]:
    """Judge each Completed: the connection's rules, the places that exist, what its platforms demand.

    What was wrong before the change and is not touched by it is not held against it.
    """
    if not (checks or demands or places.locations or places.departments):
        yield from stream
        return
    for item in stream:
        if isinstance(item, Completed):
            was = item.standing.attributes if item.standing is not None else {}
            if item.values != was:
                faults = [*judge(item.values, checks), *_placed(item.values, places)]
                faults += _demanded(item.values, demands, item.standing.kind if item.standing else kind)
                if faults:
                    item = item._replace(faults=(*item.faults, *faults))
        yield item


def _placed(values: Mapping[str, Value], places: Places) -> Iterator[Fault]:
    for name, known in (("location", places.locations), ("department", places.departments)):
        value = values.get(name)
        if known and value is not None and value not in known:
            message = f"{name} {value!r} is not configured; add it there, or mend it in the source"
            yield Fault(f"{name}_unknown", name, message, "detained")


def _demanded(values: Mapping[str, Value], demands: tuple[Demand, ...], kind: str) -> Iterator[Fault]:
    for demand in demands:
        if demand.serves(kind, values):
            try:
                fields = demand.fields_of(values)
            except ValueError as error:
                yield Fault("transform", None, f"platform {demand.platform}: {error}")
                continue
            for fault in fits(demand.fields, fields):
                yield fault._replace(message=f"platform {demand.platform}: {fault.message}")


def judge(values: Mapping[str, Value], checks: tuple[Check, ...]) -> list[Fault]:
    """Return every fault of ``values``: ``required`` for what is missing, ``invalid`` for the rest."""
    faults: list[Fault] = []
    for check in checks:
        name = check.attribute
        texts = _texts(values.get(name))
        if check.required and not texts:
            message = f"{name} is required and has no value; fill it in the source, or map a default"
            faults.append(Fault("required", name, message))
        for text in texts:
            wrong = (test(text) for test in check.tests)
            faults.extend(Fault("invalid", name, f"{name} {message}") for message in wrong if message)
    return faults


def fits(fields: Mapping[str, Field], values: Mapping[str, Value]) -> list[Fault]:
    """Return why a platform with ``fields`` cannot take ``values`` (field -> value).

    The codes are ``required``, ``too_many``, ``too_long`` and ``invalid``; a fault's attribute is the
    field. The messages do not name the platform: the caller does.
    """
    return [
        Fault(code, name, f"field {name} {message}")
        for name, field in fields.items()
        for code, message in _misfits(field, _texts(values.get(name)))
    ]


def _misfits(field: Field, texts: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if not texts and field.required:
        yield "required", f"is required and has no value; map something to it ({field.attribute} by default)"
    if len(texts) > 1 and not field.many:
        yield "too_many", f"takes one value, there are {len(texts)}; map one of them, or join them"
    for text in texts:
        if field.limit is not None and len(text) > field.limit:
            yield "too_long", f"takes at most {field.limit} characters, the value has {len(text)}"
        if field.pattern is not None and (wrong := pattern(field.pattern)(text)):
            yield "invalid", wrong


def _texts(value: Value | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(filter(None, (value,) if isinstance(value, str) else value))


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
    if not _LOCAL.fullmatch(local):
        return "is not an e-mail address: what stands before the @ is not allowed (RFC 5321, Dot-string)"
    if not _DOMAIN.fullmatch(domain):
        return "is not an e-mail address: what stands behind the @ is not the full name of a domain"
    return None


_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")


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
        if unicodedata.category(character) in _INVISIBLE or _IGNORABLE.match(character):
            return f"has the invisible character {_named(character)} at offset {offset}"
    for part in unicodedata.normalize("NFKC", value).split("@"):
        scripts = frozenset(filter(None, map(_script, part)))
        if len(scripts) > 1 and not any(scripts <= mix for mix in _MIXES):
            return f"mixes letters of several scripts that can be mistaken for each other: {_listed(scripts)}"
    return None


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
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
