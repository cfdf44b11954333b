"""From telephones to people: what a node calls a device, and whose it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from syncd import Entry, Problem

LONGEST = 255
"""Characters of an anchor: no node has longer names, and more are rubbish."""

_HALF = re.compile("[\ud800-\udfff]")
_UNNAMED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

Texts: TypeAlias = Mapping[str, tuple[str, ...]]


class Device(NamedTuple):
    """One telephone; ``columns`` is what else its row says."""

    name: str
    number: str
    soft: bool
    enabled: bool
    many: bool
    """More than one telephone may register under its name."""
    columns: Mapping[str, str]

    def stored(self) -> str:
        """Return it as a text; half a character becomes one that can be stored."""
        return json.dumps(self)

    @classmethod
    def restored(cls, text: str) -> Device:
        """Return what ``stored`` has made a text of."""
        return cls(*json.loads(text))


def person(
    anchor: str,
    devices: Sequence[Device],
    texts_of: Callable[[Sequence[Device]], Texts],
    selected: Iterable[str],
) -> Entry | Problem:
    """Return the person whose devices these are; the first of them speaks for all.

    ``texts_of`` gives what only this kind of node knows. Other ``selected`` attributes are columns: each is
    what the first device with a value has. A person is disabled when all of the devices are.
    """
    ordered = sorted(devices, key=lambda device: _rank(device, anchor))
    texts = {**_numbers(ordered), **texts_of(ordered)}
    for name in selected:
        if name not in texts:
            texts[name] = first(ordered, name)
    if bad := sorted(name for name, values in texts.items() if not all(map(is_text, values))):
        names = ", ".join(ascii(device.name) for device in ordered)
        return Problem(anchor, "bad-text", f"{names}: {', '.join(bad)} is not UTF-8; mend it on the node")
    return Entry(anchor, texts, enabled=any(device.enabled for device in devices))


def first(devices: Iterable[Device], column: str) -> tuple[str, ...]:
    """Return the first value that a device has in a column."""
    return next(((value,) for device in devices if (value := device.columns.get(column))), ())


def is_dynamic(devices: Sequence[Device]) -> bool:
    """Tell whether the number of a person rings more than one telephone."""
    return len(devices) > 1 or any(device.many for device in devices)


def _rank(device: Device, anchor: str) -> tuple[bool, bool, int, str]:
    """Desk phones first; among them the one that has the person's own number, then the shortest name."""
    return device.soft, anchor not in {device.name, device.number}, len(device.name), device.name


def _numbers(devices: Sequence[Device]) -> dict[str, tuple[str, ...]]:
    desk = [device.number for device in devices if not device.soft]
    soft = [device.number for device in devices if device.soft]
    shown = {*desk[:1], *soft[:1]}
    return {
        "extension": tuple(desk[:1]),
        "softphone_extension": tuple(soft[:1]),
        "secondary_extensions": tuple(dict.fromkeys(one for one in desk + soft if one not in shown)),
        "devices": tuple(device.name for device in devices),
    }


def caller(callerid: str) -> tuple[str, str]:
    """Split a caller id into name and number, as Asterisk does.

    >>> caller('"Ada Lovelace" <100>')
    ('Ada Lovelace', '100')
    """
    text = callerid.strip()
    name, angle, rest = text.rpartition("<")
    if angle and text.endswith(">"):
        number = rest[:-1]
    elif re.fullmatch(r"[-0-9*#+(). ]+", text):
        name, number = "", text
    else:
        name, number = text, ""
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return name, re.sub("[-(). ]", "", number)


def text_in(value: object) -> str:
    """Return the value of a column as a text, whatever it is; see ``is_text`` for bytes that are none.

    What SQLite, or a database without an encoding, gives back need not be UTF-8.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return "" if value is None else str(value)


def is_text(text: str) -> bool:
    """Tell whether all characters are characters."""
    return _HALF.search(text) is None


def is_anchor(text: str) -> bool:
    """Tell whether a text can be the anchor of a person."""
    return bool(text) and len(text) <= LONGEST and _UNNAMED.search(text) is None
