"""What one attribute, and one field of a platform, must satisfy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..connector import Field
from ..model import Fault, Value
from .rules import Test, pattern


class Check(NamedTuple):
    """What one attribute of a finished record must satisfy."""

    attribute: str
    required: bool = False
    tests: tuple[Test, ...] = ()
    secret: bool = False


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
            wrong = _wrong(check, text)
            faults.extend(Fault("invalid", name, f"{name} {told}") for told in wrong)
    return faults


def _wrong(check: Check, text: str) -> list[str]:
    """Return what the tests say of a text. Of a secret one nothing is passed on, as a plugin's rule may repeat it."""
    try:
        wrong = [told for test in check.tests if (told := test(text))]
    except Exception as error:  # a plugin's fault
        if not check.secret:
            raise
        kept = f"a rule of {check.attribute} raised {type(error).__name__}; its text may hold the secret"
        raise TypeError(f"{kept} and is kept back") from None
    return ["is not as its rules demand; it is secret and not shown"] if wrong and check.secret else wrong


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
