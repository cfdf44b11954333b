"""Floor 3: from an entry to a record, by the attribute lists and transforms of the configuration.

An empty text is no value: not in an entry, not between two transforms, not in a record. A value that is
refused is a fault of its record and nothing else: the record travels on without it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple, TypeAlias

from .model import Attribute, Entry, Fault, Record, Value

Transform: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]
"""From the texts of an attribute to the texts to use; raises ValueError with a message for a person."""


class Rule(NamedTuple):
    """How one attribute of the record is made."""

    attribute: str
    many: bool = False
    sources: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()
    default: Value | None = None
    constant: Value | None = None
    policy: str = "always"
    illegal: str = "reject"
    limit: int | None = None


class AttributeMapping(NamedTuple):
    """All rules of one source, and the text of the configuration that they were made from.

    ``text`` is part of every stored fingerprint: another text means that every entry is mapped anew.
    """

    rules: tuple[Rule, ...]
    text: str

    @property
    def sources(self) -> tuple[str, ...]:
        """The source's attributes that any rule uses, each once, in the order of the rules."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.sources))


def map_entries(
    stream: Iterable[object], mapping: AttributeMapping, vocabulary: Mapping[str, Attribute]
) -> Iterator[object]:
    """Turn every Entry of ``stream`` into a Record; everything else passes on, in order.

    What is wrong with a value becomes a fault of its Record. Raises TypeError where a source or a
    transform breaks its contract and says one text instead of a tuple of texts.
    """
    map_entry = mapper(mapping, vocabulary)
    for item in stream:
        yield map_entry(item) if isinstance(item, Entry) else item


def mapper(mapping: AttributeMapping, vocabulary: Mapping[str, Attribute]) -> Callable[[Entry], Record]:
    """Return the function that maps one entry by ``mapping``; the rules are made ready once.

    In the Record a refused value is absent and its attribute stands in ``unknown``, so that nothing
    takes it for an empty one. ``vocabulary`` says which attributes are secret (a fault then repeats no
    message of a transform) and how long one may be whose rule has no limit.
    """
    steps = tuple(_step(rule, vocabulary) for rule in mapping.rules)

    def map_entry(entry: Entry) -> Record:
        values: dict[str, Value] = {}
        notes: _Notes | None = None
        get, untold = entry.attributes.get, entry.unknown
        for attribute, source, changes, limit, nothing, in_full in steps:
            if source is not None and source not in untold:
                texts = get(source)
                if not texts:
                    if nothing is not None:
                        values[attribute] = nothing
                    continue
                if len(texts) == 1:
                    text = texts[0]
                    for change in changes:
                        text = change(text)
                    if text and len(text) <= limit and text.isprintable():
                        values[attribute] = text
                        continue
            notes = _noted(in_full, attribute, entry, values, notes)
        if notes is None:
            return Record(entry.anchor, values, entry.enabled, entry.fingerprint)
        faults, warnings, unknown = tuple(notes.faults), tuple(notes.warnings), frozenset(notes.unknown)
        return Record(entry.anchor, values, entry.enabled, entry.fingerprint, faults, warnings, unknown)

    return map_entry


class _Notes(NamedTuple):
    """What is found about one entry besides its values."""

    faults: list[Fault]
    warnings: list[Fault]
    unknown: set[str]


def _noted(
    in_full: Callable[[Entry, _Notes], Value | None],
    attribute: str,
    entry: Entry,
    values: dict[str, Value],
    notes: _Notes | None,
) -> _Notes:
    """Put what the whole rule makes of ``entry`` into ``values``, and the rest into ``notes``."""
    if notes is None:
        notes = _Notes([], [], set())
    value = in_full(entry, notes)
    if value is not None:
        values[attribute] = value
    return notes


class _Step(NamedTuple):
    """A rule made ready. ``source`` is None where only ``in_full`` will do."""

    attribute: str
    source: str | None
    changes: tuple[Callable[[str], str], ...]
    limit: int
    nothing: str | None
    in_full: Callable[[Entry, _Notes], Value | None]


def _step(rule: Rule, vocabulary: Mapping[str, Attribute]) -> _Step:
    """Make ``rule`` ready, and open the quick way for the common kind.

    Quick are rules with one source and one text that is not secret, whose transforms all have ``one``: a total function from
    one text to one text that says what the transform would, with "" for nothing (and nothing of "").
    ``one = str`` says that a single text stays as it is.
    """
    word = vocabulary.get(rule.attribute)
    limit = rule.limit if rule.limit is not None else word.limit if word is not None else None
    limit = sys.maxsize if limit is None else limit
    secret = word is not None and word.secret
    in_full = partial(_value, rule, limit, secret)
    changes = tuple(getattr(transform, "one", None) for transform in rule.transforms)
    nothing = rule.default if isinstance(rule.default, str) else None
    quick = (
        rule.constant is None
        and not (rule.many or secret)
        and len(rule.sources) == 1
        and None not in changes
        and nothing == rule.default
        and (not nothing or (nothing.isprintable() and len(nothing) <= limit))
    )
    return _Step(
        rule.attribute,
        rule.sources[0] if quick else None,
        tuple(change for change in changes if change is not None and change is not str) if quick else (),
        limit,
        nothing or None,
        in_full,
    )


def _value(rule: Rule, limit: int, secret: bool, entry: Entry, notes: _Notes) -> Value | None:  # noqa: FBT001
    """Return what ``rule`` makes of ``entry``, or None for no value; says in ``notes`` why."""
    if rule.constant is not None:
        return _finished(rule, limit, (), rule.constant, notes)
    told = rule.sources
    if entry.unknown:
        told = tuple(name for name in told if name not in entry.unknown)
    texts = _gathered(entry, told)
    try:
        for transform in rule.transforms if texts or len(told) == len(rule.sources) else ():
            texts = _without_empty(transform, transform(texts))
    except ValueError as error:
        message = _storable(str(error)) or f"the transforms of {rule.attribute} refuse the value"
        if secret:
            message = f"the transforms of {rule.attribute} refuse the value, which is secret and not shown"
        notes.faults.append(Fault("transform", rule.attribute, message))
        notes.unknown.add(rule.attribute)
        return None
    except Exception as error:  # a plugin's fault, whose text may repeat the value
        if not secret:
            raise
        kept = f"a transform of {rule.attribute} raised {type(error).__name__}; its text may hold the secret"
        raise TypeError(f"{kept} and is kept back") from None
    if not texts and len(told) < len(rule.sources):
        notes.unknown.add(rule.attribute)
        return None
    return _finished(rule, limit, texts, rule.default, notes)


def _gathered(entry: Entry, names: tuple[str, ...]) -> tuple[str, ...]:
    texts: list[str] = []
    for name in names:
        found = entry.attributes.get(name, ())
        if isinstance(found, str):
            raise TypeError(
                f"attribute {name!r} of entry {entry.anchor!r} is one text; a source yields a tuple of texts"
            )
        texts.extend(filter(None, found))
    return tuple(texts)


def _without_empty(transform: Transform, texts: object) -> tuple[str, ...]:
    if not isinstance(texts, tuple):
        raise TypeError(
            f"transform {transform!r} made {type(texts).__name__}; it has to make a tuple of texts"
        )
    return tuple(filter(None, texts))


def _finished(
    rule: Rule, limit: int, texts: tuple[str, ...], otherwise: Value | None, notes: _Notes
) -> Value | None:
    """Return the value that ``texts`` are, or ``otherwise`` where they come to nothing."""
    faults = len(notes.faults)
    kept = _fitting(rule, limit, texts, notes)
    if not kept and otherwise is not None:
        kept = _fitting(rule, limit, (otherwise,) if isinstance(otherwise, str) else otherwise, notes)
    if len(notes.faults) > faults:
        notes.unknown.add(rule.attribute)
        return None
    if not kept:
        return None
    return tuple(dict.fromkeys(kept)) if rule.many else kept[0]


def _fitting(rule: Rule, limit: int, texts: tuple[str, ...], notes: _Notes) -> list[str]:
    """Return the texts that may stand; a fault or a warning in ``notes`` for every other one."""
    kept: list[str] = []
    for text in texts if rule.many else texts[:1]:
        if not text.isprintable() and (illegal := re.search(ILLEGAL, text)):
            place = f"U+{ord(illegal[0]):04X} at offset {illegal.start()}"
            if rule.illegal != "strip":
                notes.faults.append(_illegal(rule, place))
                continue
            text, count = re.subn(ILLEGAL, "", text)
            message = f"characters that are not allowed were removed: {count}, first {place}"
            notes.warnings.append(Fault("illegal_character", rule.attribute, message, "warning"))
        if len(text) > limit:
            notes.faults.append(_too_long(rule, len(text), limit))
        elif text:
            kept.append(text)
    return kept


ILLEGAL = "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
"""A character outside the production Char of XML 1.0 (section 2.2). All that is printable is inside.

Told by what is outside: compiling the ranges that are inside takes ten times as long.
"""


def _illegal(rule: Rule, place: str) -> Fault:
    cure = 'correct it in the source, or set illegal = "strip"'
    message = f"{rule.attribute}: {place} is not an allowed character (XML 1.0, Char); {cure}"
    return Fault("illegal_character", rule.attribute, message)


def _too_long(rule: Rule, length: int, limit: int) -> Fault:
    message = f"{rule.attribute}: the value has {length} characters, {limit} are allowed"
    return Fault("too_long", rule.attribute, f"{message}; shorten it in the source")


def _storable(message: str) -> str:
    """Return a plugin's message so that UTF-8 can hold it."""
    return message.encode("utf-8", "backslashreplace").decode()
